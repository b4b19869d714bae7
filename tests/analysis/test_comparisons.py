import numpy as np
import pandas as pd
import pytest

from multires.analysis import comparisons, stages
from multires.analysis.stages import REPLICATE
from multires.errors import MultiresError
from multires.measures.bootstrap import compare_replicates
from multires.report import contrasts
from multires.results import COLUMNS, tidy

RNG = np.random.default_rng(0)
SHARED = RNG.normal(0, 0.1, 400)
"""What the draw of speakers does to every score alike."""


def scores(model, condition, layer, view, value, window=None, trained=True):
    where = {"model": model, "condition": condition, "seed": 0, "trained": trained, "layer": layer, "layer_index": 1,
             "block": "b", "frame_period": 0.02, "view": view, "window": window}  # fmt: skip
    own = RNG.normal(0, 0.01, 400)
    return [
        {**where, "measure": "pwcca", "value": value, "n": 900},
        {**where, "measure": "pwcca", "trial": 0, "value": value + 1, "n": 900},
        {**where, "measure": "shuffled", "value": 9.0, "n": 900},
        *({**where, "measure": REPLICATE, "trial": i, "value": value + s, "n": 30} for i, s in enumerate(SHARED + own)),
    ]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rows = [
        *scores("m", "mono", "a", "phone", 0.5),
        *scores("m", "mono", "b", "phone", 0.6),
        *scores("d", "multi", "a", "phone", 0.65),
        *scores("d", "multi", "b", "phone", 0.3),
        *scores("m", "mono", "a", "mel", 0.9, window=20),
        *scores("m", "mono", "b", "mel", 0.4, window=80),
        *scores("d", "multi", "b", "mel", 0.4, window=80),
        *scores("u", "multi", "b", "phone", 0.99, trained=False),
    ]
    return tidy(rows)


def test_best_layers_are_compared_in_the_same_resamples(table):
    found = comparisons.compare(table)
    assert tuple(found.columns[: len(COLUMNS)]) == COLUMNS
    phone = found[found["view"] == "phone"].iloc[0]
    assert (phone["model"], phone["layer"], phone["against"], phone["against_layer"]) == ("d", "a", "m", "b")
    assert phone["value"] == pytest.approx(0.05)
    assert phone["low"] < 0.05 < phone["high"]
    assert phone["high"] - phone["low"] < 0.08, "what the scores share drops out"
    assert phone["n"] == 30
    mel = found[found["view"] == "mel"].iloc[0]
    assert (mel["window"], mel["against_layer"]) == (80, "b"), "in the widest window only"
    assert len(found) == 2, "no trained model is the control of an untrained one"
    text = contrasts.differences(found)
    assert "MR-HuBERT without aux. loss less 20 ms control: phone +0.050 [" in text
    assert "1 of 2 intervals exclude zero" in text
    twice = contrasts.differences(pd.concat([found, found.assign(model="e")]))
    assert "d less 20 ms control" in twice, "by their own names where two models are of one condition"


def test_the_input_of_the_transformer_is_not_compared(table):
    inputs = table[table["layer"].eq("b") & table["model"].eq("m") & table["view"].eq("phone")]
    best = inputs.assign(layer="input", block="input", value=inputs["value"] + 0.3)
    pd.testing.assert_frame_equal(comparisons.compare(pd.concat([table, best])), comparisons.compare(table))


def test_without_replicates_there_is_no_interval(table):
    found = comparisons.compare(table[table["measure"] != REPLICATE])
    assert found[["low", "high"]].isna().all(axis=None)
    assert set(found["n"]) == {0}


def test_one_model_has_nothing_to_be_compared_with(table):
    found = comparisons.shown(comparisons.compare(table[table["model"] == "m"]))
    assert found.empty
    assert "no two models" in contrasts.differences(found)


def test_replicates_must_be_pairs():
    with pytest.raises(MultiresError, match="cannot be paired"):
        compare_replicates(0.0, np.zeros(3), np.zeros(4))


def test_probes_are_compared_on_single_layers_without_acoustic_features(framed):
    paired = comparisons.probe_comparisons(framed).table
    probed = stages.probes(framed).table
    assert REPLICATE not in set(probed["measure"])
    kept = stages.probe_replicates(framed).table
    assert not set(kept.loc[kept["measure"].eq(REPLICATE), "model"]) & {"mel", "mfcc"}
    assert set(paired["layer"]) <= {"encoder.0.1", "middle.0"}, "weighted sums are not compared"
    best = probed[probed["measure"].eq("accuracy") & probed["layer_index"].notna() & probed["view"].eq("phone")]
    best = best.groupby(["model", "seed"])["value"].max()
    for found in paired[paired["view"].eq("phone")].to_dict("records"):
        pair = best[found["model"], found["seed"]] - best[found["against"], found["seed"]]
        assert found["value"] == pytest.approx(pair)
