"""Weights that are no weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from multires.errors import MultiresError
from multires.models import build_model, load_checkpoint, save_model
from multires.models.checkpoint import read_header

NAME = "middle_encoder.layers.0.fc1.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.to_sparse(), "sparse float32"),
        (lambda t: t.to(torch.int64), "int64"),
        (lambda t: t.to(torch.complex64), "complex64"),
        (lambda t: t.to(torch.float8_e4m3fn), "float8"),
        (lambda t: torch.empty_like(t, device="meta"), "on meta"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "qint8"),
        (lambda t: torch.full_like(t, float("nan")), "from nan"),
        (lambda t: torch.full_like(t, float("inf")), "from inf"),
        (lambda t: torch.from_numpy(t.numpy().byteswap()), "byte order"),
        (lambda t: torch.zeros(1).expand(1 << 16, 1 << 16), "more than the file has"),
        (lambda t: "text", "no floating-point tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_weights_of_other_kinds_are_refused(change, said, narrow, tmp_path):
    state = torch.load(narrow.path, weights_only=False)
    state["model"][NAME] = change(state["model"][NAME])
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(MultiresError, match=said):
        load_checkpoint(tmp_path / "x.pt")


def test_our_own_files_have_a_digest(tmp_path):
    model = build_model("hubert", "small")
    path = save_model(model, tmp_path / "x.safetensors", seed="1", digest="of another file")
    header = read_header(path)
    assert len(header["digest"]) == 64
    assert load_checkpoint(path).config == model.config
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    with pytest.raises(MultiresError, match="digest in its header"):
        load_checkpoint(path)
    # Files from before there were digests are read as they are.
    save_file(load_file(path), path, metadata={name: text for name, text in header.items() if name != "digest"})
    assert load_checkpoint(path).config == model.config


def test_our_own_files_with_values_that_are_none(tmp_path):
    model = build_model("hubert", "small")
    with torch.no_grad():
        model.encoders[0].norm.weight.fill_(float("nan"))
    with pytest.raises(MultiresError, match=r"encoders\.0\.norm\.weight from nan"):
        load_checkpoint(save_model(model, tmp_path / "x.safetensors"))
