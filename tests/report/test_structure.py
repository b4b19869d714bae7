"""Sentences on units, similarity and selectivity: their numbers are the tables'."""

import pandas as pd
import pytest

from multires.report import structure
from multires.results import no_rows


def row(**columns) -> dict:
    made = {
        "model": "a",
        "condition": "multi",
        "seed": 0,
        "layer": "middle.0",
        "layer_index": 3,
        "low": None,
        "high": None,
    }
    return {**made, **columns}


def test_similarity_names_the_layers_that_share_most_and_least():
    other = {"comparison": "between conditions", "against": "b", "against_seed": 0, "against_condition": "mono"}
    rows = [
        row(**other, measure="cka", value=0.5, low=0.4, high=0.6, against_layer_index=3),
        row(**other, measure="cka", value=0.9, low=0.8, high=0.95, layer="encoder.0.0", layer_index=1, against_layer_index=1),
        row(**other, measure="cka", value=0.99, against_layer_index=2),  # another depth
        row(**other, measure="cka (shuffled)", value=0.01, against_layer_index=3),
        row(comparison="within a model", against="a", against_seed=0, against_condition="multi", measure="cka", value=1.0,
            against_layer_index=3),
    ]  # fmt: skip
    text = structure.similarity(pd.DataFrame(rows))
    assert "MR-HuBERT without aux. loss and 20 ms control share most at layer 1 (0.90 [0.80, 0.95])" in text
    assert "least at layer 3 (0.50 [0.40, 0.60]; shuffled at most 0.01)" in text
    assert "no two models" in structure.similarity(pd.DataFrame(rows[-1:]))


def test_units_are_compared_with_acoustic_ones_for_each_rate():
    where = {"clusters_requested": 50, "rate": 25}
    rows = [
        row(**where, measure="pnmi", value=0.4, low=0.3, high=0.5),
        row(**where, measure="pnmi", value=0.3, layer_index=2),
        row(**where, measure="pnmi", value=0.35, model="mfcc", condition="mfcc", layer="mfcc"),
        row(**where, measure="pnmi (shuffled)", value=0.02),
    ]
    assert structure.units(pd.DataFrame(rows)) == (
        "The clusters that say most about phones (PNMI) are, with 50 clusters at 25 Hz those of layer 3 of MR-HuBERT without "
        "aux. loss (0.40 [0.30, 0.50]; MFCC 0.35; shuffled at most 0.02)."
    )
    assert "no layers" in structure.units(pd.DataFrame(rows[2:3]))


def test_selectivity_and_compression_are_told_apart():
    rows = [
        row(view="phone", measure="selectivity", value=0.2, low=0.1, high=0.3, condition="mono"),
        row(view="phone", measure="selectivity", value=0.1, condition="mel", model="mel", layer="mel"),
        row(view="word", measure="compression", value=1.5),
        row(view="word", measure="bits per item", value=9.0),
    ]
    text = structure.selectivity(pd.DataFrame(rows))
    assert (
        "probes for the phone are most selective at layer 3 of the 20 ms control (0.20 [0.10, 0.30]; log-mel 0.10)"
        in text
    )
    assert "the code of words is shortened most by layer 3 of MR-HuBERT without aux. loss (1.50)" in text
    assert structure.selectivity(pd.DataFrame(rows[1:2])) == "This run has no layers to probe."


@pytest.mark.parametrize("describe", [structure.similarity, structure.units, structure.selectivity])
def test_a_table_that_could_not_be_computed_has_no_sentence(describe):
    assert describe(no_rows("too few speakers")) == ""
