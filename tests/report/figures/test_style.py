"""Colors and sizes by resolution, and whether every reader can tell them apart."""

import itertools

import matplotlib.colors
import numpy as np
import pytest

from multires.report.figures import style

# Viewed with protanopia and deuteranopia: Machado, Oliveira and Fernandes (2009), table 1, severity 1.
SIGHTS = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    "grayscale": [[0.2126, 0.7152, 0.0722]] * 3,
}


def cielab(color: str, sight) -> np.ndarray:
    """A color as seen, in CIELAB, where a distance of 10 is plain to see."""
    rgb = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(sight) @ linear, 0, 1)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(matrix @ seen / matrix.sum(1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_resolutions_are_told_apart_by_every_reader(sight):
    seen = [cielab(color, SIGHTS[sight]) for color in style.RESOLUTION_COLORS.values()]
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)]
    assert min(distances) > 10


def test_coarser_is_larger_and_its_text_can_be_read():
    sizes = [style.marker_size(period) for period in (0.02, 0.04, 0.08)]
    assert sizes == [5, 7, 9]
    for period in (0.02, 0.04, 0.08, 0.16):
        light = cielab(style.text_color(period), np.eye(3))[0]
        assert light < 50.1  # a contrast of 4.5 with white


@pytest.mark.parametrize("period", [0.02, 0.04, 0.08])
def test_resolution_colors(period):
    assert style.resolution_color(period + 1e-9) == style.RESOLUTION_COLORS[period]
    assert style.resolution_color(0.16) == style.BASELINE


@pytest.mark.parametrize(
    ("condition", "color"),
    [
        ("hubert", style.BASELINE),
        ("mono+aux", style.RESOLUTION_COLORS[0.02]),
        ("multi", style.RESOLUTION_COLORS[0.04]),
    ],
)
def test_a_condition_has_the_color_of_its_coarsest_frames(condition, color):
    assert style.condition_color(condition) == color
