"""Descriptions of models, and the command that prints them."""

from __future__ import annotations

import hashlib

import pytest
from typer.testing import CliRunner

from multires.errors import MultiresError
from multires.models import build_model, save_model
from multires.models.describe import describe_model
from multires.models.registry import shipped


def test_a_shipped_model():
    found = describe_model("librispeech/multi+aux-0")
    assert found.facts["cell"] == "multi+aux"
    assert "use_single_prediction false" in found.facts["evidence"]
    digest = hashlib.sha256(shipped()["librispeech/multi+aux-0"].read_bytes()).hexdigest()
    assert found.facts["digest"] == f"sha256:{digest} (of the file)"
    assert found.facts["licence"].startswith("MIT")
    layers = found.layers.set_index("layer")
    assert layers["frame_period_ms"]["middle.0"] == "40"
    assert layers["first_center_ms"].tolist()[0] == "12.5"


def test_a_file_of_one_s_own(tmp_path):
    path = save_model(build_model("hubert", "small"), tmp_path / "x.safetensors")
    found = describe_model(str(path))
    assert (found.facts["trained"], found.facts["cell"]) == ("no, random weights", "hubert (untrained)")
    assert found.facts["licence"] == "unknown"
    assert found.facts["receptive field"] == "25 ms (400 samples)"
    assert found.facts["parameters"].startswith(
        f"{sum(p.numel() for p in build_model('hubert', 'small').parameters()):,}"
    )


def test_features_have_no_weights():
    found = describe_model("mel")
    assert found.layers["layer"].tolist() == ["mel"]
    with pytest.raises(MultiresError, match="unknown model"):
        describe_model("nothing")


def test_the_command():
    from multires.cli import app

    printed = CliRunner().invoke(app, ["models", "untrained/multi-small"])
    assert printed.exit_code == 0
    assert "receptive field" in printed.stdout
    assert "middle.0" in printed.stdout
