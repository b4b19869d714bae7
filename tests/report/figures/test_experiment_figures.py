"""Figures of the controlled experiment, on tables whose numbers are known."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from multires.experiment.tables import ExperimentTables
from multires.report import figures
from multires.report.figures import style
from multires.report.figures.experiment import FACTORS
from multires.report.names import condition_name

CONDITIONS = ("hubert", "mono", "mono+aux", "multi", "multi+aux")


def effects(seeds: int = 3, scores=("phone accuracy, best layer", "phone error rate, weighted sum")) -> pd.DataFrame:
    half = 0.01 if seeds > 1 else 0.0
    rows = [
        {"score": score, "effect": effect, "value": value + 0.01 * place, "n": seeds}
        for place, score in enumerate(scores)
        for effect, value in (("auxiliary loss", 0.1), ("downsampling", -0.02), ("interaction", 0.005), ("shape", 0.3))
    ]
    table = pd.DataFrame(rows)
    return table.assign(low=table["value"] - half, high=table["value"] + 2 * half)


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
    shared = {"mfcc": 0.6, "mel": 0.5, "baseline": 0.6, "baseline_name": "mfcc", "beats": True}
    return pd.DataFrame([
        {"condition": "hubert", "best": 0.7, "untrained": 0.4, "above": 0.1, "flattened": True, "last_fifth": 0.0,
         "carries": True, **shared},
        {"condition": "multi+aux", "best": 0.8, "untrained": 0.3, "above": 0.2, "flattened": False, "last_fifth": 0.22,
         "carries": False, **shared},
    ])  # fmt: skip


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


def test_effects_differ_in_shape_and_take_no_resolutions_colour():
    figure = figures.factorial(effects(), corpus="synthetic")
    (axis,) = figure.axes
    lines = [box.lines[0] for box in bars(axis)]
    assert len({line.get_marker() for line in lines}) == 3
    colours = {matplotlib.colors.to_hex(line.get_color()).upper() for line in lines}
    assert not colours & set(style.RESOLUTION_COLOURS.values())
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


def test_training_curves_are_means_over_seeds_by_head():
    figure = figures.training_curves(log(), corpus="synthetic")
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
    figure = figures.training_curves(rows[rows["part"] == "train"], corpus="synthetic")
    assert "held out" not in legend_of(figure)
    assert len(figure.axes[0].lines) == len(CONDITIONS)


def test_what_carries_stands_beside_its_baselines():
    figure = figures.carries(carried(), corpus="synthetic")
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["HuBERT", "MR-HuBERT"]
    said = [text.get_text() for text in axis.texts]
    assert said == ["+0.10 over MFCC: adequate", "+0.20 over MFCC: loss still falling (22%)"]
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


def tables() -> ExperimentTables:
    """Two models of two seeds and an untrained one: two layers, one of them in two forms, two test speakers."""
    keys = ["condition", "seed", "layer", "layer_index", "block", "frame_period", "form", "labels", "correct"]
    places = [("encoder.0.0", 1, "encoder.0", 0.02, "averaged"), ("encoder.0.0", 1, "encoder.0", 0.02, "decimated"),
              ("middle.0", 2, "middle", 0.04, "native")]  # fmt: skip
    rows = [
        (condition, seed, *place, labels, right + seed + depth - 4 * (labels == "shuffled"))
        for condition, seeds, right in (("multi", 2, 6.0), ("multi+aux", 2, 8.0), ("untrained multi", 1, 5.0))
        for seed in range(seeds)
        for depth, place in enumerate(places)
        for labels in ("true", "shuffled")
    ]
    scores = pd.DataFrame(rows, columns=keys).assign(outcome="word_cca", role="test", total=20.0)
    both = pd.concat([scores.assign(speaker="a"), scores.assign(speaker="b", correct=0.0)], ignore_index=True)
    nothing = pd.DataFrame()
    training = pd.DataFrame({"condition": ["multi"] * 2, "seed": [0, 1]})
    return ExperimentTables("LibriSpeech", both, training, nothing, nothing, nothing, nothing, {})


def test_layers_of_the_experiment_have_a_panel_for_each_form():
    figure = figures.outcome_layers([tables()], ["word_cca"], ylabel="CCA", forms=True)
    titles = [axis.get_title(loc="left") for axis in figure.axes if axis.get_title(loc="left")]
    assert titles == ["20 ms layers averaged to 40 ms", "20 ms layers decimated to 40 ms"]
    tops = {round(float(y), 6) for line in figure.axes[0].lines for y in np.atleast_1d(line.get_ydata())}
    assert round((8.0 + 0.5 + 2) / 40, 6) in tops, "seeds are averaged, and the speakers' items are added up"
