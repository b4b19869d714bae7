"""Names of models that are no names: each is answered with what to give instead, and the answer works."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import save_file

from multires.errors import MultiresError
from multires.models import load_model
from multires.models.checkpoint import convert, save_model
from multires.models.mr_hubert import build_model


def refused(name: str, match: str) -> None:
    with pytest.raises(MultiresError, match=match) as error:
        load_model(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["nowhere/x.pt", "/nowhere/x", "./x", "~/nowhere", "x.safetensors", "../x.pth"])
def test_a_path_where_nothing_is_is_called_that(name):
    refused(name, r"there is no file .*nowhere|there is no file \.*/?x")


@pytest.mark.parametrize("name", ["untrained/hubert-tiny", "embedded/multi+aux-9", "hubert_bose"])
def test_a_mistyped_name_is_answered_with_the_names(name):
    refused(name, "unknown model .*choose one of")


def test_a_model_of_transformers_is_sent_to_transformers_whatever_part_of_it_is_given(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    weights = folder / "model.safetensors"
    save_file({"encoder.layer_norm.weight": torch.ones(4)}, weights, metadata={"format": "pt"})
    refused(str(weights), r"if it comes from transformers, with its config\.json in the folder")
    (folder / "config.json").write_text("{}")
    refused(str(folder), f"give transformers:{folder}$")
    refused(str(weights), f"give transformers:{folder}$")
    with pytest.raises(MultiresError, match=f"give transformers:{folder}$"):
        convert(weights, tmp_path / "ours.safetensors")
    refused(str(tmp_path), "is a folder: give the path of a checkpoint in it, transformers:<folder>")


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_model(build_model("hubert", "small"), tmp_path / "mine.safetensors")
    assert load_model("~/mine.safetensors").layers
    (tmp_path / "theirs").mkdir()
    refused("transformers:~/theirs", re.escape(f"{tmp_path}/theirs"))
    refused("features:~/theirs", re.escape(f"{tmp_path}/theirs"))
