"""Geometry of layers: the table against direct calls, and what treatments change."""

import numpy as np
import pytest

from multires.analysis import stages
from multires.analysis.stages.geometry import TREATMENTS, _treated
from multires.analysis.stages.grid import PERIOD, grid_vectors, sampled_windows
from multires.measures.cka import debiased_cka
from multires.report import figures


def test_treatments_scale_or_remove_dimensions():
    x = np.random.default_rng(0).normal(size=(50, 4)) * [1, 2, 3, 40] + 5
    assert _treated(x, TREATMENTS[0], np.array([3]), x) is x
    np.testing.assert_allclose(_treated(x, TREATMENTS[1], np.array([3]), x).std(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(_treated(x, TREATMENTS[2], np.array([3]), x), x[:, :3])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns")
def test_anisotropy_of_every_layer_and_treatments_of_the_example(framed):
    table = stages.layer_geometry(framed).table
    assert set(table["model"]) == {*framed.profile.models, "mel"}
    assert np.isfinite(table["value"].astype(float)).all()
    keys = ["model", "seed", "layer", "measure", "view", "treatment"]
    assert not table.duplicated(keys).any()
    treated = table[table["view"].ne("frames")]
    assert set(treated["model"]) == {framed.example.name}
    assert set(treated["measure"]) >= {"cka", "cca", "cca (shuffled)"}
    assert set(treated["measure"]) <= {
        "cka",
        *(f"{name}{kind}" for name in ("cca", "abx accuracy") for kind in ("", " (shuffled)")),
    }
    assert set(treated["treatment"]) == set(TREATMENTS)

    store, layer = framed.frames(*_names(framed.example)), framed.chosen_layers(*_names(framed.example))[1]
    windows = sampled_windows(framed, store.items(), PERIOD, ("evaluation",))
    x = grid_vectors(store, layer, windows, PERIOD).astype(float)
    mel = grid_vectors(framed.frames("mel"), framed.model("mel").layers[0], windows, PERIOD)
    rows = table[table["model"].eq(framed.example.name) & table["seed"].eq(framed.example.seed)]
    rows = rows[rows["layer"].eq(layer.name)]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = unit @ unit.T
    wanted = cosines[~np.eye(len(x), dtype=bool)].mean()
    assert rows[rows["measure"].eq("mean cosine")]["value"].item() == pytest.approx(wanted, abs=1e-5)
    scaled = (x - x.mean(0)) / x.std(0)
    (found,) = rows[rows["measure"].eq("cka") & rows["treatment"].eq("standardized")]["value"]
    assert found == pytest.approx(debiased_cka(scaled, mel), abs=0.03)
    for draw in (figures.dominant_dimensions, figures.treated_dimensions):
        assert draw(table, corpus="synthetic", models="untrained").axes


def _names(subject):
    return subject.name, subject.seed
