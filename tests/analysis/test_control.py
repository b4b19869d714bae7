"""Control tasks and description length: the table against direct calls."""

import numpy as np
import pytest

from multires.analysis import stages
from multires.analysis.stages.control import code_rows
from multires.measures.control import description_length
from multires.report import figures


@pytest.mark.slow
def test_selectivity_of_phones_and_parts_of_speech_and_the_length_of_words(framed):
    table = stages.selectivities(framed).table
    assert np.isfinite(table["value"].astype(float)).all()
    assert set(table["view"]) == {"phone", "part of speech", "word"}
    assert not table.duplicated(["model", "seed", "layer", "view", "measure"]).any()
    wide = table.pivot_table(index=["model", "seed", "layer", "view"], columns="measure", values="value")
    tasks = wide.drop(index="word", level="view")
    np.testing.assert_allclose(tasks["selectivity"], tasks["accuracy"] - tasks["control accuracy"], atol=1e-12)

    name, seed = "untrained/multi-small", 1
    store, layer = framed.features(name, seed), framed.chosen_layers(name, seed)[1]
    labels = store.labels("word")
    rows = code_rows(framed, labels)
    counts = labels["label"].iloc[rows].value_counts()
    assert len(rows) >= 20 * len(counts)
    assert set(labels["split"].iloc[rows]) == {"evaluation"}
    x = store.vectors(layer.name, "word")[rows]
    wanted = description_length(x, labels["label"].to_numpy(str)[rows], seed=0).compression
    assert wide.loc[(name, seed, layer.name, "word"), "compression"] == pytest.approx(wanted, rel=1e-3)
    assert len(figures.selectivity(table, corpus="synthetic", models="untrained").axes) >= 3
