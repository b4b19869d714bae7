"""Paired differences beside curves, and the strip for far baselines."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from multires.report.figures.measures import cca_by_layer, probes_by_layer
from multires.report.figures.strip import strip_for_baselines
from multires.report.figures.style import new_figure

CONDITIONS = ("hubert", "mono", "mono+aux", "multi", "multi+aux")


def scores() -> pd.DataFrame:
    return pd.DataFrame([
        {"model": name, "condition": name, "seed": 0, "trained": True, "layer": f"encoder.0.{depth}", "layer_index": depth,
         "frame_period": 0.02, "measure": measure, "view": view, "trial": None, "window": np.nan, "n": 90,
         "value": value + 0.01 * depth, "low": value, "high": value + 0.1}
        for view in ("phone", "word") for name in CONDITIONS for depth in range(3)
        for measure, value in (("pwcca", 0.6), ("shuffled", 0.01))
    ])  # fmt: skip


def differences() -> pd.DataFrame:
    return pd.DataFrame([
        {"model": name, "condition": name, "view": view, "value": value, "low": value - 0.02, "high": value + 0.01,
         "against": against, "against_condition": against}
        for view in ("phone", "word")
        for name, against, value in (("hubert", "mono", 0.01), ("multi", "mono", -0.03), ("multi+aux", "mono+aux", 0.04))
    ])  # fmt: skip


def test_differences_stand_beside_the_curves_the_largest_first():
    figure = cca_by_layer(scores(), corpus="toy", models="models", differences=differences())
    curves, beside = figure.axes[:2]
    assert curves.get_title(loc="left") == "phone"
    assert [text.get_text() for text in beside.texts] == ["MR-HuBERT", "HuBERT", "MR-HuBERT without aux. loss"]
    boxes = [box for box in beside.containers if isinstance(box, ErrorbarContainer)]
    assert [float(box.lines[0].get_xdata()[0]) for box in boxes] == pytest.approx([0.04, 0.01, -0.03])
    ends = boxes[0].lines[2][0].get_segments()[0][:, 0]
    assert ends == pytest.approx([0.02, 0.05])
    assert beside.get_ylim()[0] > beside.get_ylim()[1]  # the first at the top
    assert "20 ms control with the same loss" in figure.axes[-1].get_xlabel()


def test_probes_have_their_differences_beside_them():
    table = scores().replace({"measure": {"pwcca": "accuracy", "shuffled": "shuffled accuracy"}})
    figure = probes_by_layer(table, corpus="toy", models="models", differences=differences())
    assert [axis.get_title(loc="left") for axis in figure.axes[::2]] == ["phone", "word"]
    assert len(figure.axes[1].texts) == 3
    assert "20 ms control" in figure.axes[-1].get_xlabel()


def test_without_differences_the_curves_are_drawn_alone():
    alone = cca_by_layer(scores(), corpus="toy", models="models", differences=differences().iloc[:0])
    assert [axis.get_title(loc="left") for axis in alone.axes] == ["phone", "word"]


def test_a_view_that_was_not_compared_says_so():
    figure = cca_by_layer(scores(), corpus="toy", models="models", differences=differences().query("view == 'phone'"))
    assert figure.axes[3].texts[0].get_text() == "not compared"


def heights(values: list[float], baselines: list[float]) -> tuple[float, float]:
    """Where the lowest value and the lowest baseline lie in the panel, from 0 to 1."""
    _, axes = new_figure()
    axis = axes.flat[0]
    axis.plot(range(len(values)), values)
    axis.plot(range(len(baselines)), baselines)
    strip_for_baselines(axis, np.array(values), np.array(baselines))
    axis.get_ylim()  # else the limits are not yet known
    points = axis.transAxes.inverted().transform(axis.transData.transform([(0, min(values)), (0, min(baselines))]))
    return float(points[0, 1]), float(points[1, 1])


def test_far_baselines_leave_the_curves_most_of_the_panel():
    value, baseline = heights([0.80, 0.85, 0.9], [0.0, 0.02])
    assert 0.2 < value < 0.35
    assert 0 < baseline < value / 2


def test_near_baselines_keep_an_even_scale():
    value, baseline = heights([0.5, 0.9], [0.45, 0.4])
    assert value - baseline == pytest.approx(0.1 / 0.5 / 1.1, abs=0.01)  # margins of 5 % at both ends
