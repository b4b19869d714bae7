"""Figure and sentence on sensitivity runs."""

import pandas as pd
import pytest

from multires.experiment.plan import PLAN
from multires.experiment.sensitivity import shipped_sensitivity
from multires.report import figures
from multires.report.sensitivity import sensitivity


def table(**gains):
    """Two outcomes under each run; the interval of a gain is 0.01 to either side."""
    rows = []
    for run, gain in gains.items():
        common = {"run": run, "changes": "", "seeds": 2, "speakers": 100}
        rows.append(
            {**common, "outcome": "", "measure": "pnmi", "estimand": "", "value": 0.5, "low": 0.45, "high": 0.55}
        )
        for outcome in ("phone_classification", "phone_abx"):
            kinds = (("lead", "", 0.2), ("effect", "control", gain if outcome == "phone_abx" else -0.03))
            rows += [
                {**common, "outcome": outcome, "measure": measure, "estimand": key, "value": value, "low": value - 0.01,
                 "high": value + 0.01}
                for measure, key, value in kinds
            ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_sentence_says_whether_the_sign_is_kept():
    text = sensitivity(table(MFCC=0.05, own=-0.05))
    assert (
        "- MFCC: PNMI with phones 0.50, HuBERT less MFCC +0.200 [+0.190, +0.210] in phone classification, 2 seeds\n"
        in text
    )
    assert "MR-HuBERT less HuBERT:\n\n- phone classification: below zero under MFCC and own (MFCC -0.030" in text
    assert "- phone ABX across speakers: below zero under own and above zero under MFCC (MFCC +0.050" in text
    assert "below zero under own, and not shown to differ from zero under MFCC (" in sensitivity(
        table(MFCC=0.0, own=-0.05)
    )
    assert "not shown to differ from zero under any (" in sensitivity(table(MFCC=0.0, own=0.005))
    assert "one kind of targets only" in sensitivity(table())


def test_the_figure_draws_every_run_and_outcome():
    figure = figures.sensitivity(table(MFCC=0.05, own=-0.05), corpus="LibriSpeech")
    learned, gain = figure.axes
    assert len(learned.containers) == 2
    assert len(gain.containers) == 4
    assert learned.get_title(loc="left") == "phone classification"
    assert gain.get_title(loc="left") == "MR-HuBERT less HuBERT"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["MFCC", "own"]
    with pytest.raises(ValueError, match="no run"):
        figures.sensitivity(table(own=1.0).iloc[:0])


def test_the_shipped_runs_compare_targets_by_their_information_about_phones():
    shipped = shipped_sensitivity()
    quality = shipped[shipped["measure"] == "pnmi"].set_index("run")["value"]
    lead = shipped[shipped["measure"].eq("lead") & shipped["outcome"].eq("phone_classification")].set_index("run")[
        "value"
    ]
    assert quality.idxmax() == "Whisper encoder"
    assert quality["MFCC"] < quality["Whisper encoder"]
    assert lead["MFCC"] < lead["Whisper encoder"]
    for run in quality.index:
        assert run in sensitivity(shipped)
    assert len(figures.sensitivity(shipped).axes[1].containers) == len(quality) * len(PLAN.sensitivity)
