"""The figure of the verdicts."""

import numpy as np
import pandas as pd

from multires.report import figures, verdicts

NAMES = {"corpus": "synthetic", "models": "untrained models (mono-small, multi-small)"}


def test_markers_of_verdicts_differ():
    table = pd.DataFrame({
        "source": "this run", "claim": [1, 2, 2, 3], "evidence": ["loss", "words", "phones", "time"], "value": [0.1, np.nan, 0.0, 0.8],
        "low": [0.05, np.nan, -0.1, 0.7], "high": [0.2, np.nan, 0.1, 0.9],
        "verdict": [verdicts.SUPPORTS, verdicts.UNTESTED, verdicts.OPEN, verdicts.CONTRADICTS],
    })  # fmt: skip
    figure = figures.claims(table, **NAMES)
    top, bottom = figure.axes
    assert [label.get_text() for label in top.get_yticklabels()] == ["phones\n(leaves open)", "loss\n(supports)"]
    assert [label.get_text() for label in bottom.get_yticklabels()] == ["time\n(contradicts)"]
    phones, loss = (box.lines[0] for box in top.containers)
    assert phones.get_markerfacecolor() == "white"
    assert loss.get_markerfacecolor() != "white"
    assert bottom.containers[0].lines[0].get_marker() == "X"
    elsewhere = figures.claims(table.assign(source=["experiment, toy"] * 3 + ["this run"]), **NAMES)
    assert elsewhere.get_suptitle().startswith("effects: experiment, toy; costs: this run (")
