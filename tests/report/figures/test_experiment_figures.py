"""Figures of the controlled experiment, on tables whose numbers are known."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from multires.experiment import earlier
from multires.experiment.tables import experiment_tables
from multires.report import figures
from multires.report.figures import style
from multires.report.figures.experiment import FACTORS
from multires.report.names import condition_name, speech_name

CONDITIONS = ("hubert", "mono", "mono+aux", "multi", "multi+aux")


def effects(seeds: int = 3, scores=("phone accuracy, best layer", "phone error rate, weighted sum")) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"condition": condition, "seed": seed, "score": score, "value": 0.1 * condition.endswith("aux") + 0.01 * noise}
        for score in scores
        for seed in range(seeds)
        for condition, noise in zip(CONDITIONS, rng.normal(size=len(CONDITIONS)), strict=True)
    ]
    return earlier.effects(pd.DataFrame(rows))


def log(seeds: int = 2) -> pd.DataFrame:
    return pd.DataFrame([
        {"condition": condition, "seed": seed, "step": step, "part": part, "resolution": head,
         "frame_period": 0.04 if head and condition.startswith("multi") else 0.02,
         "loss": 4.0 / step + seed, "accuracy": 0.1 * step + 0.01 * seed}
        for condition in CONDITIONS
        for seed in range(seeds)
        for step in range(1, 7)
        for part in ("train", "held out")
        for head in range(1 + condition.endswith("+aux"))
    ])  # fmt: skip


def carried() -> pd.DataFrame:
    accuracy = {
        "hubert": 0.7,
        "multi+aux": 0.8,
        "mfcc": 0.6,
        "mel": 0.5,
        "untrained hubert": 0.4,
        "untrained multi": 0.3,
    }
    probes = pd.DataFrame([
        {"condition": name, "seed": 0, "layer": "x", "value": value} for name, value in accuracy.items()
    ])  # fmt: skip
    flat = pd.DataFrame({
        "condition": "hubert", "seed": 0, "part": "train", "resolution": 0, "step": range(1, 11),
        "loss": [4, 3, 2, 1, 1, 1, 1, 1, 1, 1],
    })  # fmt: skip
    falling = flat.assign(condition="multi+aux", loss=np.arange(10, 0, -1.0))
    return earlier.carries(probes, pd.concat([flat, falling]))


def bars(axis) -> list[ErrorbarContainer]:
    return [box for box in axis.containers if isinstance(box, ErrorbarContainer)]


def legend_of(figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_effects_of_two_corpora_stand_side_by_side_on_one_scale():
    table = pd.concat([effects().assign(corpus="embedded"), effects(5).assign(corpus="librispeech")])
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


def test_effects_differ_in_shape_and_take_no_resolutions_colour():
    figure = figures.factorial(effects(), corpus="embedded")
    (axis,) = figure.axes
    lines = [box.lines[0] for box in bars(axis)]
    assert len({line.get_marker() for line in lines}) == 3
    colours = {matplotlib.colors.to_hex(line.get_color()).upper() for line in lines}
    assert not colours & set(style.RESOLUTION_COLOURS.values())
    assert legend_of(figure)[:3] == ["auxiliary loss", "downsampling", "interaction"]
    assert axis.get_title(loc="left") == "synthetic speech, 3 seeds"


def test_one_seed_draws_points_without_intervals():
    (axis,) = figures.factorial(effects(1), corpus="embedded").axes
    assert len(bars(axis)) == 6
    lengths = [np.ptp(each[:, 0]) for box in bars(axis) for each in box.lines[2][0].get_segments()]
    assert lengths == [0.0] * 6


def test_no_effect_is_said_and_not_an_error():
    figure = figures.factorial(effects().iloc[:0], corpus="embedded")
    assert "no effect to show" in figure.axes[0].texts[0].get_text()


def test_training_curves_are_means_over_seeds_by_head():
    figure = figures.training_curves(log(), corpus="embedded")
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[:2] == ["units at the high resolution, 20 ms", "units of the auxiliary loss, 20/40 ms"]
    high, auxiliary = figure.axes[:2]
    assert len(high.lines) == 2 * len(CONDITIONS)
    assert len(auxiliary.lines) == 2 * 2
    for line in high.lines:
        np.testing.assert_allclose(line.get_ydata(), 0.1 * np.arange(1, 7) + 0.005)
    np.testing.assert_allclose(figure.axes[2].lines[0].get_ydata(), 4 / np.arange(1, 7) + 0.5)
    assert legend_of(figure) == [*map(condition_name, CONDITIONS), "held out", "train"]
    assert figure.get_suptitle() == "synthetic speech; 2 seeds"


def test_training_without_held_out_speech_shows_what_there_is():
    rows = log()
    figure = figures.training_curves(rows[rows["part"] == "train"], corpus="embedded")
    assert "held out" not in legend_of(figure)
    assert len(figure.axes[0].lines) == len(CONDITIONS)


def test_what_carries_stands_beside_its_baselines():
    figure = figures.carries(carried(), corpus="embedded")
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["HuBERT", "MR-HuBERT"]
    said = [text.get_text() for text in axis.texts]
    assert said == ["+0.10 over MFCC: carries", "+0.20 over MFCC: loss still falling (22%)"]
    points = sorted(float(line.get_xdata()[0]) for line in axis.lines if len(line.get_xdata()) == 1)
    assert points == pytest.approx([0.3, 0.4, 0.5, 0.5, 0.6, 0.6, 0.7, 0.8])
    assert legend_of(figure)[:3] == ["MFCC", "log-mel", "untrained"]


def test_tables_without_the_single_baselines_show_the_best_one():
    figure = figures.carries(carried().drop(columns=["mfcc", "mel", "untrained"]))
    assert legend_of(figure)[0] == "best baseline"


@pytest.mark.parametrize(
    ("condition", "colour"),
    [
        ("hubert", style.BASELINE),
        ("mono+aux", style.RESOLUTION_COLOURS[0.02]),
        ("multi", style.RESOLUTION_COLOURS[0.04]),
    ],
)
def test_a_condition_has_the_colour_of_its_coarsest_frames(condition, colour):
    assert style.condition_colour(condition) == colour


def test_layers_stand_side_by_side_by_view_and_corpus():
    found = experiment_tables()
    figure = figures.layers_by_corpus(found, stage="cca", measure="pwcca", shuffled="shuffled", ylabel="CCA")
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == [f"{view}s, {speech_name(each.corpus)} ({each.seeds} seed{'s' * (each.seeds > 1)})" for view in ("phone", "word") for each in found]  # fmt: skip
    scores = found[0].scores
    rows = scores[(scores["stage"] == "cca") & (scores["view"] == "phone") & (scores["measure"] == "pwcca")]
    means = rows[rows["trial"].isna()].groupby(["condition", "layer_index"])["value"].mean()
    tops = [
        float(np.max(line.get_ydata()))
        for line in figure.axes[0].lines
        if line.get_linestyle() == "-" and len(line.get_ydata()) > 1
    ]
    assert max(tops) == pytest.approx(means.max()), "seeds are averaged"
