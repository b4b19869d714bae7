"""Tables of one model with known numbers, by stage."""

import pandas as pd
import pytest


def rows(model: str, condition: str, view: str, measure: str, value: float, **more) -> dict:
    acoustic = model in ("mel", "mfcc")
    return {
        "model": model, "condition": condition, "seed": 0, "layer": "mel" if acoustic else "encoder.0.0",
        "layer_index": None if acoustic else 1, "frame_period": 0.01 if acoustic else 0.02, "measure": measure,
        "view": view, "trial": None, "value": value, "low": value - 0.1, "high": value + 0.1, "n": 50, **more,
    }  # fmt: skip


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    multi = ("m", "multi")
    return {
        "extraction": pd.DataFrame([rows(*multi, "frame80", "participation ratio", 7.0), rows(*multi, "phone", "segments", 9)]),
        "cca": pd.DataFrame([
            rows(*multi, "word", "pwcca", 0.4, window=None), rows(*multi, "word", "pwcca", 0.6, seed=1, window=None),
            rows(*multi, "word", "pwcca", 0.99, trial=0, window=None),
            rows(*multi, "word", "shuffled", 0.05, window=None), rows(*multi, "word", "shuffled", 0.07, seed=1, window=None),
            rows(*multi, "mel", "pwcca", 0.3, window=20), rows(*multi, "mel", "pwcca", 0.8, window=80),
        ]),
        "mutual information": pd.DataFrame([
            rows(*multi, "phone", "adjusted", 0.5), rows("mfcc", "mfcc", "phone", "adjusted", 0.45),
            rows(*multi, "phone", "normalized", 0.9),
        ]),
        "probes": pd.DataFrame([
            rows(*multi, "speaker", "accuracy", 0.2), rows(*multi, "speaker", "accuracy", 0.9, layer="weighted sum", layer_index=None),
        ]),
    }  # fmt: skip
