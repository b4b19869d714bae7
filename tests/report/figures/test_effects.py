"""Figures of the experiment's effects, on tables whose numbers are known."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from multires.report import figures
from multires.report.figures import style
from multires.report.figures.effects import FACTORS


def effects(seeds: int = 3, scores=("phone accuracy, best layer", "phone error rate, weighted sum")) -> pd.DataFrame:
    half = 0.01 if seeds > 1 else 0.0
    rows = [
        {"score": score, "effect": effect, "value": value + 0.01 * place, "n": seeds}
        for place, score in enumerate(scores)
        for effect, value in (("auxiliary loss", 0.1), ("downsampling", -0.02), ("interaction", 0.005), ("shape", 0.3))
    ]
    table = pd.DataFrame(rows)
    return table.assign(low=table["value"] - half, high=table["value"] + 2 * half)


def bars(axis) -> list[ErrorbarContainer]:
    return [box for box in axis.containers if isinstance(box, ErrorbarContainer)]


def legend_of(figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_effects_of_two_corpora_stand_side_by_side_on_one_scale():
    table = pd.concat([effects().assign(corpus="synthetic"), effects(5).assign(corpus="librispeech")])
    figure = figures.factorial(table, models="small models")
    left, right = figure.axes
    assert [axis.get_title(loc="left") for axis in (left, right)] == [
        "synthetic speech, 3 seeds",
        "librispeech, 5 seeds",
    ]
    assert left.get_xlim() == right.get_xlim()
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert labels == ["phone accuracy\nbest layer", "phone error rate\nweighted sum (less is better)"]
    part = table[(table["corpus"] == "librispeech") & table["effect"].isin(list(FACTORS))]
    drawn = {round(float(box.lines[0].get_xdata()[0]), 9) for box in bars(right)}
    assert drawn == {round(value, 9) for value in part["value"]}
    (segment,) = bars(right)[0].lines[2][0].get_segments()
    assert sorted(segment[:, 0]) == pytest.approx(list(part.iloc[0][["low", "high"]]))


def test_effects_differ_in_shape_and_take_no_resolutions_color():
    figure = figures.factorial(effects(), corpus="synthetic")
    (axis,) = figure.axes
    lines = [box.lines[0] for box in bars(axis)]
    assert len({line.get_marker() for line in lines}) == 3
    colors = {matplotlib.colors.to_hex(line.get_color()).upper() for line in lines}
    assert not colors & set(style.RESOLUTION_COLORS.values())
    assert legend_of(figure)[:3] == ["auxiliary loss", "downsampling", "interaction"]
    assert axis.get_title(loc="left") == "synthetic speech, 3 seeds"


def test_one_seed_draws_points_without_intervals():
    (axis,) = figures.factorial(effects(1), corpus="synthetic").axes
    assert len(bars(axis)) == 6
    lengths = [np.ptp(each[:, 0]) for box in bars(axis) for each in box.lines[2][0].get_segments()]
    assert lengths == [0.0] * 6


def test_no_effect_is_said_and_not_an_error():
    figure = figures.factorial(effects().iloc[:0], corpus="synthetic")
    assert "no effect to show" in figure.axes[0].texts[0].get_text()
