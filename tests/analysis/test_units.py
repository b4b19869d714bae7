"""Units of layers: the table against direct calls."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from multires.analysis import stages
from multires.analysis.stages.grid import grid_vectors, sampled_windows
from multires.analysis.stages.units import RATES
from multires.measures.kmeans import fit_kmeans
from multires.report import figures


@pytest.mark.slow
def test_units_of_every_layer_and_of_acoustic_features(framed):
    table = stages.frame_units(framed).table
    assert np.isfinite(table["value"].astype(float)).all()
    assert set(table["model"]) == {*framed.profile.models, "mel", "mfcc"}
    assert set(table["rate"]) == set(RATES)
    assert not table.duplicated(["model", "seed", "layer", "rate", "clusters_requested", "measure"]).any()

    store, layer = framed.frames("untrained/multi-small", 1), framed.chosen_layers("untrained/multi-small", 1)[1]
    assert layer.frame_period == 0.04
    for rate in RATES:
        fit, judge = (sampled_windows(framed, store.items(), 1 / rate, (split,)) for split in ("train", "evaluation"))
        fitted, judged = (grid_vectors(store, layer, each, 1 / rate) for each in (fit, judge))
        found = fit_kmeans(fitted, 10, seed=0).predict(judged)
        counts = judge["label"].value_counts(normalize=True).to_numpy()
        wanted = mutual_info_score(judge["label"], found) / -(counts * np.log(counts)).sum()
        rows = table[table["model"].eq("untrained/multi-small") & table["seed"].eq(1) & table["layer"].eq(layer.name)]
        (row,) = rows[rows["rate"].eq(rate) & rows["measure"].eq("pnmi")].to_dict("records")
        assert row["value"] == pytest.approx(wanted, abs=1e-6)
        assert row["low"] < row["high"]
        assert row["n"] == len(judge)

    drawn = figures.units_by_layer(table, corpus="synthetic", models="untrained")
    assert [axis.get_title(loc="left") for axis in drawn.axes] == ["10 clusters, 50 Hz", "10 clusters, 25 Hz"]
