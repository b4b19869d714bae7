"""Maps of similarity: their pairs, and the table against direct calls."""

import numpy as np
import pytest

from multires.analysis import stages
from multires.analysis.run import Subject
from multires.analysis.stages.grid import PERIOD, grid_vectors, sampled_windows
from multires.analysis.stages.maps import CONDITIONS, SEEDS, WITHIN, _comparison
from multires.measures.cka import debiased_cka
from multires.report import figures


def compared(first, second, conditions, trained=(True, True), seeds=(0, 0)):
    sides = [{"condition": name, "trained": known} for name, known in zip(conditions, trained, strict=True)]
    return _comparison(*(Subject(n, s) for n, s in zip((first, second), seeds, strict=True)), *sides)


def test_models_are_compared_that_differ_in_one_respect():
    assert compared("a/multi-0", "a/mono-0", ("multi", "mono")) == CONDITIONS
    assert compared("a/multi+aux-0", "a/multi-0", ("multi+aux", "multi")) == CONDITIONS
    assert compared("a/multi-0", "a/multi-1", ("multi", "multi")) == SEEDS
    assert compared("untrained/multi", "untrained/multi", ("multi", "multi"), (False, False), (0, 1)) == SEEDS
    assert compared("a/multi-0", "b/multi-1", ("multi", "multi")) is None  # other speech
    assert compared("a/multi+aux-0", "a/mono-0", ("multi+aux", "mono")) is None  # two switches
    assert compared("a/multi-0", "untrained/multi", ("multi", "multi"), (True, False)) is None
    assert compared("a/hubert-0", "a/mono-0", ("hubert", "mono")) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns")
def test_maps_of_models_conditions_and_seeds(framed):
    table = stages.layer_similarity(framed).table
    assert set(table["comparison"]) == {WITHIN, CONDITIONS, SEEDS}
    assert np.isfinite(table["value"].astype(float)).all()
    keys = ["model", "seed", "layer", "against", "against_seed", "against_layer", "measure"]
    assert not table.duplicated(keys).any()
    own = table[table["comparison"].eq(WITHIN) & table["layer"].eq(table["against_layer"]) & table["measure"].eq("cka")]
    np.testing.assert_allclose(own["value"].astype(float), 1, atol=1e-6)
    shuffled = table[table["measure"].eq("cka (shuffled)")]["value"].astype(float)
    assert shuffled.abs().max() < 0.15

    names = [("untrained/mono-small", 0), ("untrained/multi-small", 0)]
    windows = sampled_windows(framed, framed.frames(*names[0]).items(), PERIOD, ("evaluation",))
    x, y = (grid_vectors(framed.frames(*name), framed.chosen_layers(*name)[1], windows, PERIOD) for name in names)
    pair = table[table["model"].eq(names[0][0]) & table["against"].eq(names[1][0]) & table["seed"].eq(0)]
    pair = pair[pair["layer"].eq("middle.0") & pair["against_layer"].eq("middle.0")].set_index("measure")
    assert pair.loc["cka", "value"] == pytest.approx(debiased_cka(x, y), abs=0.02)
    assert pair.loc["cka", "low"] <= pair.loc["cka", "value"] <= pair.loc["cka", "high"]
    assert 0 < pair.loc["cca", "value"] < 1

    maps = figures.similarity_maps(table, corpus="synthetic", models="untrained")
    assert len([axis for axis in maps.axes if axis.get_visible()]) == 5  # four maps and their scale
    assert len(figures.shared_by_depth(table, corpus="synthetic", models="untrained").legends[0].get_texts()) >= 3
