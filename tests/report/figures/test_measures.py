"""Weighted sums and the agreement of measures, on tables whose numbers are known."""

import itertools

import numpy as np
import pandas as pd

from multires.report import figures, sentences
from multires.results import tidy
from tests.report.figures.parts import axes_of, titles_of

NAMES = {"corpus": "synthetic", "models": "untrained models (mono-small, multi-small)"}


def test_findings_and_figure_agree_on_the_rank_correlation():
    table = pd.DataFrame({
        "condition": "multi", "trained": True, "frame_period": 0.02, "view": "phone", "measure": "CCA",
        "value": [0.1, 0.2, 0.3, 0.4], "accuracy": [0.1, 0.3, 0.2, 0.4],
    })  # fmt: skip
    assert "ρ = 0.80" in titles_of(figures.agreement(table, **NAMES))
    assert "0.80 for CCA and phones (4 layers)" in sentences.agreement(table)


def test_no_name_of_a_weighted_sum_lies_on_another():
    """Five conditions, trained and untrained ones among them, and two acoustic features, as in the shipped profiles."""
    rows = [
        {"model": name, "condition": name, "view": task, "measure": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6,
         "trained": "un" not in name, "layer": layer, "layer_index": index, "seed": 0}
        for task in ("phone", "word", "speaker")
        for name in ("hubert", "mono", "mono+aux", "multi", "multi+aux", "unhubert", "unmono", "unmulti")
        for layer, index in (("encoder.0.1", 1.0), ("weighted sum", np.nan))
    ]  # fmt: skip
    rows += [
        {"model": name, "condition": name, "view": task, "measure": "accuracy", "value": 0.4, "low": 0.3, "high": 0.5,
         "trained": False, "layer": name, "layer_index": 0.0, "seed": 0}
        for task in ("phone", "word", "speaker")
        for name in ("mel", "mfcc")
    ]  # fmt: skip
    figure = figures.weighted_sums(tidy(rows), **NAMES)
    figure.canvas.draw()
    for axis in axes_of(figure):
        names = sorted((label.get_window_extent() for label in axis.get_yticklabels()), key=lambda box: box.y0)
        assert len(names) > 10
        for below, above in itertools.pairwise(names):
            assert above.y0 > below.y0 + 0.8 * below.height, "names overlap"


def test_the_best_weighted_sum_stands_at_the_top():
    rows = [
        {"model": name, "condition": name, "view": "word", "measure": "accuracy", "value": value + more, "low": value,
         "high": value + 0.2, "trained": True, "layer": layer, "layer_index": index, "seed": 0}
        for name, value in (("hubert", 0.4), ("multi+aux", 0.6))
        for layer, index, more in (("encoder.0.1", 2.0, 0.0), ("weighted sum", np.nan, 0.1))
    ]  # fmt: skip
    (axis,) = figures.weighted_sums(tidy(rows), **NAMES).axes
    assert [label.get_text() for label in axis.get_yticklabels()][::-1] == [
        "MR-HuBERT: best, layer 2", "MR-HuBERT: weighted sum", "HuBERT: best, layer 2", "HuBERT: weighted sum",
    ]  # fmt: skip


def test_a_run_of_acoustic_features_alone_has_no_layers_to_agree():
    table = pd.DataFrame(columns=["condition", "trained", "frame_period", "view", "measure", "value", "accuracy"])
    figure = figures.agreement(table, **NAMES)
    assert "no such scores" in figure.axes[0].texts[0].get_text()
    assert sentences.agreement(table)


def test_input_frames_are_no_best_layer():
    rows = [
        {"model": "multi", "condition": "multi", "view": "speaker", "measure": "accuracy", "value": value, "low": value,
         "high": value, "trained": True, "layer": layer, "layer_index": index, "seed": 0, "n": 9}
        for layer, index, value in (("input", 0.0, 0.9), ("encoder.0.0", 1.0, 0.7), ("weighted sum", np.nan, 0.8))
    ]  # fmt: skip
    (axis,) = figures.weighted_sums(tidy(rows), **NAMES).axes
    assert "MR-HuBERT without aux. loss: best, layer 1" in {label.get_text() for label in axis.get_yticklabels()}
    assert "+0.100 for speaker" in sentences.weighted_sums(tidy(rows))
    majority = [{**rows[1], "measure": "majority accuracy", "value": 0.1}]
    assert "speaker: layer 1 of MR-HuBERT without aux. loss at 0.70" in sentences.probes(tidy(rows + majority))
