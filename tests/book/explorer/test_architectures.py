"""The models of the explorer: every key of the registry, with what its own code says of it."""

from dataclasses import replace

import pandas as pd
import pytest

from multires.book.explorer import architectures
from multires.efficiency.counting import count
from multires.models import load_model, models_table
from multires.models.config import LOG_MEL_GEOMETRY, preset
from multires.models.registry import published


@pytest.fixture(scope="module")
def registry() -> dict[str, dict]:
    return {row["key"]: row for row in architectures.registry()}


def test_every_model_of_the_registry_is_there_with_its_parameters(registry):
    table = models_table().set_index("key")
    assert list(registry) == list(table.index)
    for key, row in registry.items():
        known = table.loc[key, "parameters"]
        assert row.get("parameters") == (None if pd.isna(known) else known), key


def test_blocks_are_those_of_the_model(registry):
    row, model = registry["untrained/multi3-small"], load_model("untrained/multi3-small")
    found = [(label, block["period"]) for block in row["blocks"] for label in block["layers"]]
    assert found == [(layer.label, pytest.approx(1000 * layer.frame_period)) for layer in model.layers]
    samplers = sum(p.numel() for name, p in model.named_parameters() if "samplers" in name)
    assert sum(block["parameters"] for block in row["blocks"]) + samplers == pytest.approx(row["parameters"], rel=0.01)


def test_costs_are_those_of_the_closed_form(registry):
    for seconds in ("2", "60"):
        total = count(preset("multi", "base"), float(seconds))["macs"].sum()
        assert sum(registry["untrained/multi-base"]["macs"][seconds].values()) == total
    assert "macs" not in registry["mel"]


def test_the_layer_before_the_transformer_is_named_by_what_computes_it():
    config = replace(preset("multi", "small"), front_end="log_mel", convolutions=LOG_MEL_GEOMETRY)
    blocks = architectures._architecture(config)["blocks"]
    assert [block["name"] for block in blocks] == ["input", "encoder.0", "middle", "decoder.0"]


def test_models_that_only_their_checkpoint_knows_say_so(registry):
    unknown = [key for key, entry in published().items() if entry.config is None]
    assert unknown
    for key in unknown:
        assert "blocks" not in registry[key]
        assert "checkpoint" in registry[key]["known_from"]
