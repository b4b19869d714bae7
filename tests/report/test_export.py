"""Tables in the forms that a paper takes."""

import numpy as np
import pandas as pd

from multires.report.export import latex, layers_by_view
from multires.results import tidy


def scores() -> pd.DataFrame:
    common = {"model": "multi_base", "seed": 0, "layer_index": 1, "frame_period": 0.02, "measure": "pwcca"}
    rows = [
        {**common, "layer": "encoder.0.1", "view": "phone", "value": 0.5, "low": 0.4, "high": 0.6},
        {**common, "layer": "encoder.0.1", "view": "phone", "value": 0.7, "trial": 0},
        {**common, "layer": "encoder.0.1", "view": "phone", "value": 0.1, "measure": "shuffled"},
        {**common, "layer": "encoder.0.1", "view": "mel", "window": 20.0, "value": 0.25},
        {**common, "layer": "middle.0", "frame_period": 0.04, "view": "phone", "value": 0.9, "low": 0.8, "high": 1.0},
    ]
    return tidy([{"window": np.nan, "low": np.nan, "high": np.nan, **row} for row in rows])


def test_a_page_has_a_row_for_each_layer_and_a_column_for_each_view():
    table = layers_by_view(scores())
    assert list(table.columns) == ["model", "seed", "layer", "ms", "phone", "mel 20 ms"]
    assert table["ms"].tolist() == ["20", "40"]
    assert table["phone"].tolist() == ["0.500 [0.400, 0.600]", "0.900 [0.800, 1.000]"]
    assert table["mel 20 ms"].tolist()[0] == "0.250"


def test_latex_is_escaped_and_complete():
    text = latex(pd.DataFrame({"model": ["b_4 & 50 %"], "n": [3], "score": [0.12345]}), "What & why", "cca")
    assert r"b\_4 \& 50 \%" in text
    assert r"\caption{What \& why}" in text
    assert r"\label{tab:cca}" in text
    assert "0.123" in text
    for word in ("toprule", "midrule", "bottomrule"):
        assert rf"\{word}" in text
    assert text.count(r"\begin{") == text.count(r"\end{")
