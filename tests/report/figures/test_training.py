"""Figures of how the experiment's models were trained, on tables whose numbers are known."""

import numpy as np
import pandas as pd
import pytest

from multires.report import figures
from multires.report.names import condition_name

CONDITIONS = ("hubert", "mono", "mono+aux", "multi", "multi+aux")


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


def legend_of(figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


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
