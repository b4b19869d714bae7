"""Figure and sentence on repeated frames."""

import pandas as pd
import pytest

from multires.report import figures
from multires.report.frame_rates import frame_rates


def effects() -> pd.DataFrame:
    return pd.DataFrame([
        {"trained": known, "manner": manner, "edit": edit, "mono": mono, "multi": multi, "value": multi - mono,
         "low": multi - mono - 0.01, "high": multi - mono + 0.01, "speakers": 60, "seeds": 3}
        for known in (False, True)
        for manner, gain in (("repeated", 0.2), ("grid", 0.0))
        for edit, mono, multi in (("insertions", 0.4, 0.4 - gain), ("deletions", 0.1, 0.1), ("substitutions", 0.5, 0.5),
                                  ("all", 1.0, 1.0 - gain))
    ])  # fmt: skip


def test_the_sentence_names_the_kind_of_edit_that_changes():
    text = frame_rates(effects())
    assert (
        "with every 40 ms frame repeated, downsampling changes the phone error rate by -0.200 [-0.210, -0.190]" in text
    )
    assert "(from 1.00 to 0.80; insertions alone -0.200)" in text
    assert "with all layers on a 40 ms grid, downsampling changes the phone error rate by +0.000" in text
    assert "No error rates" in frame_rates(effects().iloc[:0])


def test_bars_add_up_to_the_error_rate():
    figure = figures.frame_rates(effects(), corpus="toy")
    left, right = figure.axes
    ends = [
        max(bar.get_x() + bar.get_width() for bar in left.patches if round(bar.get_y() + 0.31) == place)
        for place in range(4)
    ]
    assert ends == pytest.approx([1.0, 0.8, 1.0, 0.8])
    assert [text.get_text() for text in right.texts] == ["1.00"] * 4
    assert left.get_yticklabels()[0].get_text() == "untrained 20 ms control"
