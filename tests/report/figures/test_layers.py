"""Curves by layer, on tables whose numbers are known."""

import itertools

import numpy as np
import pandas as pd
import pytest

from multires.report.figures.layers import MARKERS, condition_markers, layer_curves
from multires.results import tidy
from tests.report.figures.parts import axes_of, error_bars, titles_of


def curve(condition: str, seed: int, level: float, *, layers: int = 3) -> list[dict]:
    return [
        {"condition": condition, "seed": seed, "layer_index": depth, "frame_period": 0.02, "view": "phone",
         "value": level + depth, "low": level + depth - 0.1, "high": level + depth + 0.2}
        for depth in range(layers)
    ]  # fmt: skip


def test_seeds_are_averaged_and_their_intervals_joined():
    table = pd.DataFrame(curve("multi", 0, 1.0) + curve("multi", 1, 2.0))
    figure = layer_curves(table, panels="view", ylabel="score", title="toy")
    (box,) = error_bars(figure)
    assert list(box.lines[0].get_ydata()) == [1.5, 2.5, 3.5]
    (segments,) = (each.get_segments() for each in box.lines[2])
    np.testing.assert_allclose(segments[0][:, 1], [0.9, 2.2])


def test_baselines_and_references_are_drawn():
    table = pd.DataFrame(curve("multi", 0, 1.0))
    shuffled = table.assign(value=[0.1, 0.2, 0.3])
    figure = layer_curves(
        table, panels="view", ylabel="score", title="toy", baselines=shuffled, references={"MFCC": {"phone": 1.5}}
    )
    assert [text.get_text() for text in figure.axes[0].texts] == ["MFCC"]
    (band,) = figure.axes[0].patches
    assert (band.get_y(), band.get_height()) == (pytest.approx(0.1), pytest.approx(0.2))


def test_no_rows_make_a_figure_that_says_so(tmp_path):
    empty = pd.DataFrame(curve("multi", 0, 1.0)).iloc[:0]
    figure = layer_curves(empty, panels="view", ylabel="score", title="synthetic; nothing")
    assert "no such scores" in figure.axes[0].texts[0].get_text()
    assert "synthetic" in titles_of(figure)
    figure.savefig(tmp_path / "figure.png")


def test_known_conditions_keep_their_marker_and_others_get_one_each():
    markers = condition_markers(["multi", "mine", "yours"])
    assert markers["multi"] == MARKERS["multi"]
    assert len({*markers.values()}) == 3
    assert not {markers["mine"], markers["yours"]} & set(MARKERS.values())


def test_untrained_models_beside_trained_ones_are_a_condition_of_their_own():
    table = pd.DataFrame([{**row, "trained": level > 1} for level in (1.0, 2.0) for row in curve("multi", 0, level)])
    figure = layer_curves(table, panels="view", ylabel="score", title="toy")
    assert [list(box.lines[0].get_ydata()) for box in error_bars(figure)] == [[1, 2, 3], [2, 3, 4]]
    (legend,) = figure.legends
    assert {"MR-HuBERT without aux. loss", "untrained MR-HuBERT"} < {text.get_text() for text in legend.get_texts()}
    alone = layer_curves(table[table["trained"]], panels="view", ylabel="score", title="toy")
    assert "untrained MR-HuBERT" not in {text.get_text() for text in alone.legends[0].get_texts()}


def test_equal_scores_stand_beside_each_other():
    table = pd.DataFrame(curve("mono", 0, 1.0) + curve("multi", 0, 1.0))
    figure = layer_curves(table, panels="view", ylabel="", title="")
    mono, multi = (np.asarray(box.lines[0].get_xdata(), float) for box in error_bars(figure))
    np.testing.assert_allclose(multi - mono, 0.12)
    assert np.round(mono).tolist() == [0, 1, 2]


@pytest.mark.parametrize("apart", [0.0, 0.004])
def test_names_of_baselines_as_good_as_each_other_do_not_lie_on_one_another(apart):
    rows = [
        {"model": "m", "condition": "hubert", "view": "speaker", "measure": "accuracy", "value": 0.5 + index / 10, "low": 0.4, "high": 0.8,
         "layer": f"encoder.0.{index}", "layer_index": index, "frame_period": 0.02, "block": "encoder.0"}
        for index in range(3)
    ]  # fmt: skip
    both = {"log-mel": {"speaker": 0.9}, "MFCC": {"speaker": 0.9 - apart}}
    figure = layer_curves(tidy(rows), panels="view", ylabel="accuracy", title="toy", references=both)
    figure.canvas.draw()
    texts = [text for text in axes_of(figure)[0].texts if "M" in text.get_text() or "log" in text.get_text()]
    assert ", ".join(text.get_text() for text in texts) in ("log-mel, MFCC", "MFCC, log-mel")
    boxes = [text.get_window_extent() for text in texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
