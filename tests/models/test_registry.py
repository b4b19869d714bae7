"""Names of models, and the table of them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from multires.errors import MultiresError
from multires.models import load_model, models_table
from multires.models.registry import layers_of, published, shipped


def test_every_published_checkpoint_has_a_key_and_an_address():
    entries = published()
    assert len(entries) == 37
    assert len({entry.url for entry in entries.values()}) == 37
    assert all(entry.url.startswith("https://dl.fbaipublicfiles.com/") for entry in entries.values())
    assert {"mono_base", "b5-a", "mono_xlarge_v1", "hubert_xlarge"} <= entries.keys()


def test_parameters_are_those_the_papers_state():
    table = models_table().set_index("key")
    assert table.parameters["hubert_base"] == 94_371_712  # torchaudio's HUBERT_BASE
    for key, millions in {"hubert_large": 316, "hubert_xlarge": 964, "mono_base": 97, "mono_large": 321}.items():
        assert table.parameters[key] / 1e6 == pytest.approx(millions, rel=0.01)
    assert table.layers["b1-c"] == "6-4-2"
    assert table.frame_periods_ms["b2-a"] == "20/40/80/40/20"
    assert table.frame_periods_ms["b5-a"] == "20/20/20"
    assert table.known_from["b8-f"] == "checkpoint"


@pytest.mark.parametrize("name", ["untrained/hubert-small", "untrained/multi3-small", "mel", "mfcc"])
def test_models_have_the_layers_that_they_name(name):
    model = load_model(name)
    outputs = model(torch.randn(2, 8_000), torch.tensor([8_000, 5_000]))
    assert list(outputs.frames) == [layer.name for layer in model.layers]
    for layer in model.layers:
        frames = outputs.frames[layer.name]
        assert frames.shape == (2, int(outputs.lengths[layer.name].max()), layer.dim)
    assert model.key == name
    assert model.trained == (name in ("mel", "mfcc"))
    assert not model.training


def test_every_key_of_the_published_list_is_there():
    """Every address of the list that lies beside the repository, where it does."""
    listed = Path(__file__).parents[3] / "shared" / "facts" / "mr_hubert_checkpoints.csv"
    if not listed.is_file():
        pytest.skip("the list of checkpoints is not here")
    with listed.open(encoding="utf-8") as file:
        wanted = {row["url"] for row in csv.DictReader(file)}
    assert len(wanted) == 34
    assert wanted < {entry.url for entry in published().values()}


def test_the_table_has_what_a_reader_chooses_by():
    table = models_table()
    assert {"key", "description", "reference", "parameters", "layers", "frame_periods_ms", "megabytes"} <= set(table)
    assert table.key.is_unique
    assert set(published()) | set(shipped()) <= set(table.key)


def test_bfloat16_holds_the_weights_and_keeps_the_waveform():
    exact, model = load_model("untrained/multi-small"), load_model("untrained/multi-small", precision="bfloat16")
    waveforms = torch.randn(1, 8_000, generator=torch.Generator().manual_seed(0)) * 1e-3 + 0.5
    with torch.inference_mode():
        wanted, found = exact(waveforms), model(waveforms)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    for name, frames in found.frames.items():
        assert frames.dtype is torch.bfloat16
        # A waveform in bfloat16 would be the constant 0.5 and nothing else.
        assert (frames.float() - wanted.frames[name]).norm() < 0.05 * wanted.frames[name].norm()


def test_precisions_that_are_not_there():
    with pytest.raises(MultiresError, match="mel computes in float32 only"):
        load_model("mel", precision="bfloat16")
    with pytest.raises(MultiresError, match="precision"):
        load_model("untrained/multi-small", precision="float8")


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(MultiresError, match=r"mono_base.*untrained/multi-small.*torchaudio"):
        load_model("mono-base")
    with pytest.raises(MultiresError, match="HUBERT_BASE"):
        load_model("torchaudio:HUBERT")


def test_layers_of_published_models_are_known_without_a_download():
    layers, predicts_from = layers_of(("hubert_base", "mono_base"))
    assert layers.groupby("model").size().to_dict() == {"hubert_base": 13, "mono_base": 13}
    assert layers[layers["frame_period"] == 40]["label"].tolist() == ["M1", "M2", "M3", "M4"]
    assert predicts_from == {"hubert_base": ("encoder.0.11",), "mono_base": ("decoder.0.3", "middle.3")}
    with pytest.raises(MultiresError, match="no architecture is known here for 'b8-c'"):
        layers_of(("b8-c",))
