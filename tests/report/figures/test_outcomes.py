"""Layers of the experiment's models, on tables whose numbers are known."""

from dataclasses import replace

import numpy as np
import pandas as pd

from multires.experiment.tables import ExperimentTables
from multires.report import figures
from multires.report.figures.outcomes import seed_differences


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


def compared() -> ExperimentTables:
    """The tables with a control, of which one seed is missing, and the chosen layers."""
    found = tables()
    control = found.scores[found.scores["condition"].eq("multi") & found.scores["seed"].eq(0)]
    scores = pd.concat(
        [found.scores, control.assign(condition="mono", correct=control["correct"] - 2)], ignore_index=True
    )
    chosen = pd.DataFrame(
        {"condition": ["mono", "multi", "multi+aux"], "outcome": "word_cca", "layer": "middle.0", "form": "native"}
    )
    return replace(found, scores=scores, chosen=chosen)


def test_differences_from_the_control_are_paired_by_seed():
    (row,) = seed_differences(compared(), "word_cca").to_dict("records")  # no control has the loss
    assert (row["condition"], row["against_condition"]) == ("multi", "mono")
    assert row["value"] == row["low"] == row["high"]  # the one seed that both have
    assert round(row["value"], 6) == 4 / 40, "both speakers lose two of twenty"


def test_differences_stand_beside_the_curves():
    figure = figures.outcome_layers([compared()], ["word_cca"], ylabel="CCA", differences=True)
    curves, beside = figure.axes[:2]
    assert curves.get_ylabel() == "CCA"
    assert [text.get_text() for text in beside.texts] == ["MR-HuBERT without aux. loss"]
