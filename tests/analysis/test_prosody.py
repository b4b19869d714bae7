"""Continuous targets: their windows, and the table against a direct call."""

import numpy as np
import pandas as pd
import pytest

from multires.analysis import stages
from multires.analysis.stages.grid import grid_vectors, grid_windows, sampled_windows
from multires.analysis.stages.prosody import PERIOD, TARGETS, with_targets
from multires.corpus.utterance import Utterance
from multires.measures.regression import ridge_probe
from multires.report import figures


def test_targets_of_windows():
    times = np.arange(16_000) / 16_000
    sound = sum(np.sin(2 * np.pi * 200 * k * times) for k in range(1, 5)) / 10
    sound[4800:] *= 0.1
    utterance = Utterance("u", "s", "train", 1.0, lambda: sound.astype(np.float32))
    items = pd.DataFrame([
        {"unit": "phone", "number": 0, "utterance": "u", "speaker": "s", "split": "train", "label": label,
         "start": start, "end": end}
        for label, start, end in (("aa", 0.1, 0.3), ("t", 0.3, 0.4), ("iy", 0.41, 0.6))
    ])  # fmt: skip
    table = with_targets(grid_windows(items, PERIOD), items, [utterance]).set_index("window")
    assert table.index[table["boundary"].eq(1)].tolist() == [5, 15, 20]
    assert table.loc[6, "energy"] - table.loc[16, "energy"] == pytest.approx(20, abs=0.1)
    assert table.loc[8, "duration"] == pytest.approx(np.log2(0.2))
    assert table.loc[22, "duration"] == pytest.approx(np.log2(0.19))
    assert table.loc[10, "pitch"] == pytest.approx(np.log2(200), abs=0.03)
    assert table["pitch"].isna().tolist() == table["label"].eq("t").tolist()


@pytest.mark.slow
def test_probes_of_every_layer(framed):
    table = stages.prosody(framed).table
    assert np.isfinite(table["value"].astype(float)).all()
    assert set(table["view"]) == set(TARGETS)
    assert set(table["model"]) == {*framed.profile.models, "mel", "mfcc"}
    assert not table.duplicated(["model", "seed", "layer", "view", "measure"]).any()
    known = table[table["measure"].eq("r2")].set_index(["model", "view"])["value"]
    assert known["mel", "energy"] > 0.8  # log-mel bands hold it

    store, layer = framed.frames("untrained/multi-small", 1), framed.chosen_layers("untrained/multi-small", 1)[1]
    fit, judge = (
        with_targets(sampled_windows(framed, store.items(), PERIOD, (split,)), store.items(), framed.frame_sample)
        for split in ("train", "evaluation")
    )
    x, test_x = (grid_vectors(store, layer, each, PERIOD) for each in (fit, judge))
    (wanted,) = ridge_probe(x, fit["energy"], test_x, judge["energy"], groups=fit["speaker"], clusters=judge["speaker"])
    rows = table[table["model"].eq("untrained/multi-small") & table["seed"].eq(1) & table["layer"].eq(layer.name)]
    (row,) = rows[rows["view"].eq("energy") & rows["measure"].eq("r2")].to_dict("records")
    assert row["value"] == pytest.approx(wanted.r2, abs=1e-6)
    assert len(figures.prosody(table, corpus="synthetic", models="untrained").axes) >= 4
