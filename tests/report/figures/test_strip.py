"""The strip for far baselines: its labels stay apart, and its name stays inside the panel."""

import itertools

import numpy as np
import pytest

from multires.report.figures.strip import strip_for_baselines
from multires.report.figures.style import new_figure


def drawn(columns: int, values: list[float], baselines: list[float]):
    """The first of some panels with a strip, laid out."""
    figure, axes = new_figure(1, columns, height=3.3)
    for axis in axes.flat:
        axis.plot(range(len(values)), values)
        axis.plot(range(len(baselines)), baselines)
        strip_for_baselines(axis, np.array(values), np.array(baselines))
    figure.canvas.draw()
    return axes.flat[0]


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize(
    ("values", "baselines"),
    [([0.47, 0.78], [0.05, 0.07]), ([0.8, 0.9], [0.0, 0.45]), ([0.52, 0.74], [0.0]), ([0.6, 0.9], [-0.1, 0.3])],
)
def test_tick_labels_do_not_touch_and_the_name_lies_on_none(columns, values, baselines):
    axis = drawn(columns, values, baselines)
    low, high = axis.get_ylim()
    labels = [
        label.get_window_extent()
        for tick, label in zip(axis.get_yticks(), axis.get_yticklabels(), strict=True)
        if low <= tick <= high
    ]
    assert len(labels) >= 2
    for below, above in itertools.pairwise(sorted(labels, key=lambda box: box.y0)):
        assert above.y0 > below.y1, "tick labels overlap"
    (name,) = axis.texts
    box = name.get_window_extent()
    assert not any(box.overlaps(label) for label in labels)
    panel = axis.get_window_extent()
    assert panel.x0 <= box.x0
    assert box.x1 <= panel.x1


def test_a_narrow_panel_has_the_short_name():
    assert drawn(3, [0.47, 0.78], [0.05]).texts[0].get_text() == "compressed scale"
    assert drawn(1, [0.47, 0.78], [0.05]).texts[0].get_text() == "baselines, compressed scale"
