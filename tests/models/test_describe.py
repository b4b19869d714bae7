"""Descriptions of models, and the command that prints them."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from multires.errors import MultiresError
from multires.models import build_model, load_model, save_model
from multires.models.describe import describe_model
from multires.models.registry import shipped
from multires.models.wrappers import bundle_license


def test_a_shipped_model():
    found = describe_model("librispeech/multi+aux-0")
    assert found.facts["cell"] == "multi+aux"
    assert "use_single_prediction false" in found.facts["evidence"]
    digest = hashlib.sha256(shipped()["librispeech/multi+aux-0"].read_bytes()).hexdigest()
    assert found.facts["digest"] == f"sha256:{digest} (of the file)"
    assert found.facts["license"].startswith("MIT")
    layers = found.layers.set_index("layer")
    assert layers["frame_period_ms"]["middle.0"] == "40"
    assert layers["first_center_ms"].tolist()[0] == "12.5"


def test_a_file_of_one_s_own(tmp_path):
    path = save_model(build_model("hubert", "small"), tmp_path / "x.safetensors")
    found = describe_model(str(path))
    assert (found.facts["trained"], found.facts["cell"]) == ("no, random weights", "hubert (untrained)")
    assert found.facts["license"] == "unknown"
    assert found.facts["receptive field"] == "25 ms (400 samples)"
    assert found.facts["parameters"].startswith(
        f"{sum(p.numel() for p in build_model('hubert', 'small').parameters()):,}"
    )


def test_a_path_below_the_home_folder(tmp_path, monkeypatch):
    path = save_model(build_model("hubert", "small"), tmp_path / "x.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert describe_model("~/x.safetensors").facts["digest"] == f"sha256:{digest} (of the file)"


def test_features_have_no_weights():
    found = describe_model("mel")
    assert found.layers["layer"].tolist() == ["mel"]
    assert found.facts["parameters"] == "none"
    assert found.facts["digest"] == "none, there are no weights"
    assert found.facts["receptive field"] == "25 ms (400 samples)"
    with pytest.raises(MultiresError, match="unknown model"):
        describe_model("nothing")


@pytest.mark.parametrize("name", ["mel", "mfcc"])
def test_the_receptive_field_of_acoustic_features_is_what_they_depend_on(name):
    model = load_model(name)
    waveform = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0), requires_grad=True)
    model(waveform).frames[name][0, 40].sum().backward()
    (seen,) = waveform.grad[0].nonzero(as_tuple=True)
    assert int(seen[-1] - seen[0]) + 1 in range(model.receptive_field - 2, model.receptive_field + 1)


def test_stored_frames(tmp_path):
    layers = {"conv": {"frame_period": 0.02}, "middle.0": {"frame_period": 0.04}}
    (tmp_path / "features.json").write_text(json.dumps({"layers": layers, "description": "of a model elsewhere"}))
    arrays = {"conv": np.ones((50, 3), np.float32), "middle.0": np.ones((25, 4), np.float32)}
    np.savez(tmp_path / "u.npz", **arrays)
    found = describe_model(f"features:{tmp_path}")
    assert found.facts["description"] == "of a model elsewhere"
    assert found.facts["parameters"] == "none"
    assert found.facts["digest"].endswith("(of the files' names and contents)")
    assert found.layers["frame_period_ms"].tolist() == ["20", "40"]
    assert found.layers["width"].tolist() == [3, 4]
    np.savez(tmp_path / "u.npz", **{**arrays, "conv": np.zeros((50, 3), np.float32)})
    assert describe_model(f"features:{tmp_path}").facts["digest"] != found.facts["digest"]


def test_a_folder_of_transformers(tmp_path):
    pytest.importorskip("transformers", reason="an extra of its own")
    from tests.models.test_huggingface import write

    model = write(tmp_path)
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    found = describe_model(f"transformers:{tmp_path}")
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert found.facts["digest"] == f"sha256:{digest} (of the file)"
    assert found.facts["license"] == "apache-2.0, as its README says"
    assert found.facts["parameters"] == f"{sum(p.numel() for p in model.parameters()):,}"
    assert found.facts["receptive field"] == "25 ms (400 samples)"
    assert found.layers["layer"].tolist() == ["conv", "encoder.0.0", "encoder.0.1"]


def test_a_bundle_of_torchaudio(monkeypatch):
    import torchaudio

    small = torchaudio.models.wav2vec2_model(
        "group_norm", [(8, 10, 5), *[(8, 3, 2)] * 4, *[(8, 2, 2)] * 2], False, 16, 0.0, 8, 2, 2, 2, 0.0, 16, 0.0, 0.0,
        False, 0.0, None,
    )  # fmt: skip
    monkeypatch.setattr(type(torchaudio.pipelines.HUBERT_BASE), "get_model", lambda self, dl_kwargs: small)
    facts = describe_model("torchaudio:HUBERT_BASE").facts
    assert facts["license"] == "MIT, as torchaudio's documentation says"
    assert facts["receptive field"] == "25 ms (400 samples)"
    assert facts["digest"].endswith("(of the weights)")
    assert bundle_license("VOXPOPULI_ASR_BASE_10K_EN") == "CC BY-NC 4.0, as torchaudio's documentation says"


def test_a_file_of_fairseq_and_what_s3prl_makes_of_it(narrow, tmp_path):
    from tests.models.test_fairseq import s3prl

    found = describe_model(str(narrow.path))
    converted = describe_model(str(s3prl(narrow.path, tmp_path / "converted.pt")))
    assert found.facts["cell"] == converted.facts["cell"] == "multi+aux"
    assert found.facts["parameters"] == converted.facts["parameters"]
    assert found.facts["digest"] != converted.facts["digest"]
    assert found.layers.equals(converted.layers)
    assert set(found.layers["frame_period_ms"]) == {"20", "40"}


def test_the_command():
    from multires.cli import app

    printed = CliRunner().invoke(app, ["models", "untrained/multi-small"])
    assert printed.exit_code == 0
    assert "receptive field" in printed.stdout
    assert "middle.0" in printed.stdout
