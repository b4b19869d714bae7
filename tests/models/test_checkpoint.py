"""Checkpoints are data: what they may hold, what is refused, and that nothing is left behind."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multires.errors import MultiresError
from multires.models import build_model, convert, load_checkpoint, load_model, save_model
from multires.models.checkpoint import read_header
from multires.models.fairseq import fairseq_config, read_fairseq
from multires.models.fairseq_options import _literal


class Runs:
    """A pickle that would run a command when read freely."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


class Opens(Runs):
    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.fixture
def state(narrow):
    """A fairseq checkpoint's content, to be spoiled."""
    return torch.load(narrow.path, weights_only=False)


def refused(content, path, *said):
    torch.save(content, path)
    before = sorted(path.parent.iterdir())
    with pytest.raises(MultiresError) as found:
        load_checkpoint(path)
    message = str(found.value)
    assert str(path) in message
    assert "\n" not in message
    for words in said:
        assert words in message
    assert sorted(path.parent.iterdir()) == before


@pytest.mark.parametrize(("kind", "name"), [(Runs, "posix.system"), (Opens, "io.open")])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_a_command_is_refused_by_name(kind, name, legacy, tmp_path):
    mark = tmp_path / "mark"
    path = tmp_path / "bad.pt"
    torch.save({"model": {}, "cfg": kind(mark)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(MultiresError, match=name):
        load_checkpoint(path)
    assert not mark.exists()
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_bare_pickle_is_refused(tmp_path):
    path, mark = tmp_path / "bad.pt", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Runs(mark)))
    with pytest.raises(MultiresError, match=r"refused|no checkpoint"):
        load_checkpoint(path)
    assert not mark.exists()


def test_an_unlisted_class_is_refused_by_name(tmp_path):
    from fractions import Fraction

    refused({"model": {}, "cfg": Fraction(1, 2)}, tmp_path / "x.pt", "fractions.Fraction")


def test_an_empty_file(tmp_path):
    for name in ("x.pt", "x.safetensors"):
        (tmp_path / name).touch()
        with pytest.raises(MultiresError, match="is empty"):
            load_checkpoint(tmp_path / name)


def test_a_missing_file(tmp_path):
    with pytest.raises(MultiresError, match="No such file"):
        load_checkpoint(tmp_path / "none.pt")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_truncated_file(share, narrow, tmp_path):
    whole = narrow.path.read_bytes()
    path = tmp_path / "cut.pt"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(MultiresError, match="truncated or damaged"):
        load_checkpoint(path)


def test_a_truncated_file_of_ours(tmp_path):
    path = save_model(build_model("hubert", "small"), tmp_path / "x.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MultiresError, match="write or fetch it again"):
        load_checkpoint(path)


def test_a_zip_bomb(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 50_000_000)
    with pytest.raises(MultiresError, match="unpacks to 50000000 bytes"):
        load_checkpoint(path)


def test_text_is_no_checkpoint(tmp_path):
    path = tmp_path / "x.pt"
    path.write_text("<html>please log in</html>")
    with pytest.raises(MultiresError, match="no checkpoint"):
        load_checkpoint(path)


def test_a_checkpoint_without_configuration(state, tmp_path):
    del state["cfg"]
    refused(state, tmp_path / "x.pt", "`cfg`")


def test_another_kind_of_model(state, tmp_path):
    state["cfg"]["model"]["_name"] = "wav2vec2"
    refused(state, tmp_path / "x.pt", "wav2vec 2.0")
    state["cfg"]["model"]["_name"] = "multires_hubert_ctc"
    refused(state, tmp_path / "x.pt", "fine-tuned")
    state["cfg"]["model"]["_name"] = "transformer_lm"
    refused(state, tmp_path / "x.pt", "transformer_lm")


def test_a_wav2vec_checkpoint_is_named_as_such(state, tmp_path):
    """fairseq's own wav2vec 2.0, with its configuration new and old."""
    from argparse import Namespace
    from dataclasses import asdict

    from fairseq.models.wav2vec import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(
        encoder_layers=1, encoder_embed_dim=32, encoder_ffn_embed_dim=32, encoder_attention_heads=2, final_dim=16,
        conv_feature_layers="[(16, 10, 5), (16, 3, 2)]", conv_pos=8, conv_pos_groups=2,
    )  # fmt: skip
    options = {name: str(value) if name == "extractor_mode" else value for name, value in asdict(config).items()}
    state["model"] = Wav2Vec2Model.build_model(config).state_dict()
    state["cfg"]["model"] = {**options, "_name": "wav2vec2"}
    refused(state, tmp_path / "x.pt", "is a wav2vec 2.0 checkpoint")
    refused({**state, "cfg": None, "args": Namespace(**options, arch="wav2vec2")}, tmp_path / "x.pt", "wav2vec 2.0")


def test_numbers_of_the_training_history_are_read(state, narrow, tmp_path):
    import numpy as np

    state["extra_state"]["metrics"] = {"loss": np.float64(1.5), "best": np.float32(2), "done": np.bool_(True)}
    torch.save(state, tmp_path / "x.pt")
    assert load_checkpoint(tmp_path / "x.pt").config == load_checkpoint(narrow.path).config


def test_lists_without_end_are_cut_off(state, tmp_path):
    nested = [1] * 64
    for _ in range(8):
        nested = [nested] * 64
    endless: list[object] = [1, 2]
    endless.append(endless)
    for ratios in (nested, endless):
        state["cfg"]["model"]["label_rate_ratios"] = ratios
        refused(state, tmp_path / "x.pt")


def test_missing_extra_and_misshapen_tensors(state, tmp_path):
    name = "middle_encoder.layers.2.fc1.weight"
    whole = state["model"]
    path = tmp_path / "x.pt"
    refused({**state, "model": OrderedDict((n, t) for n, t in whole.items() if n != name)}, path, "lacks", name)
    refused({**state, "model": OrderedDict({**whole, "more.weight": torch.zeros(1)})}, path, "more.weight")
    refused(
        {**state, "model": OrderedDict({**whole, name: torch.zeros(3, 4)})}, path, "middle.layers.2.up.weight", "(3, 4)"
    )
    refused({**state, "model": OrderedDict({**whole, name: "text"})}, path, name)
    refused({**state, "model": []}, path, "`model`")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("label_rate_ratios", [1], "pairs"),
        ("override_encoder_layers", "[2,4]", "depths"),
        ("override_encoder_layers", "__import__('os').system('true')", "spells no list"),
        ("conv_feature_layers", "[(512,10,5)] * 10**9", "spells no list"),
        ("encoder_layers", 10**6, "layers"),
        ("encoder_layers", "many", "encoder_layers"),
        ("encoder_attention_heads", 5, "heads"),
        ("activation_fn", "relu", "activation_fn=relu"),
        ("layer_type", "conformer", "layer_type=conformer"),
        ("extractor_mode", "other", "extractor_mode"),
        ("conv_bias", "maybe", "conv_bias"),
    ],
)
def test_configurations_that_cannot_be(option, value, said, state, tmp_path):
    state["cfg"]["model"][option] = value
    refused(state, tmp_path / "x.pt", said)


def test_what_the_configuration_says_is_what_is_built(state):
    model = state["cfg"]["model"]
    path = Path("x.pt")
    model["override_encoder_layers"] = "[3,2,2,2,3]"
    model["label_rate_ratios"] = "[1, 2, 1, 2]"
    model["use_single_prediction"] = True
    config = fairseq_config(state, path)
    assert config.ratios == ((1, 2), (1, 2))
    assert config.depths == (3, 2, 2, 3, 2)
    assert config.classes == (54,)
    model.update(label_rate_ratios=[[1, 1]], override_encoder_layers="", encoder_layers="3", conv_adapator_kernal=7)
    config = fairseq_config(state, path)
    assert (config.ratios, config.depths, config.sampler_kernel) == (((1, 1),), (3, 3, 3), 7)
    del model["conv_adapator_kernal"]
    assert fairseq_config(state, path).sampler_kernel == 7


def test_half_precision_is_read_as_float32(state, tmp_path):
    state["model"] = OrderedDict((name, tensor.half()) for name, tensor in state["model"].items())
    torch.save(state, tmp_path / "x.pt")
    model = load_checkpoint(tmp_path / "x.pt")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_new_spelling_of_weight_norm(state, narrow, tmp_path):
    renamed = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    for old, new in renamed.items():
        state["model"][f"encoders.0.pos_conv.0.{new}"] = state["model"].pop(f"encoders.0.pos_conv.0.{old}")
    torch.save(state, tmp_path / "x.pt")
    new = load_checkpoint(tmp_path / "x.pt").encoders[0].position.weight_g
    assert torch.equal(new, load_checkpoint(narrow.path).encoders[0].position.weight_g)


def test_classes_are_inert(narrow):
    dictionary = read_fairseq(narrow.path)["task_state"]["dictionaries"][0]
    assert type(dictionary).__module__ == "multires.models.unpickling"


def test_converting_gives_the_same_model(narrow, speech, tmp_path):
    target = convert(narrow.path, tmp_path / "x.safetensors")
    one, other = load_model(str(narrow.path)), load_model(str(target))
    assert one.config == other.config
    assert other.trained
    with torch.inference_mode():
        mine, theirs = one(speech[None, :16_000]), other(speech[None, :16_000])
    assert all(torch.equal(mine.frames[name], theirs.frames[name]) for name in mine.frames)
    assert read_header(target)["source"] == narrow.path.name


def test_own_files_keep_what_they_are(tmp_path):
    path = save_model(build_model("multi", "small"), tmp_path / "x.safetensors", corpus="synthetic")
    model = load_checkpoint(path)
    assert (model.key, model.trained) == ("untrained/multi-small", False)
    assert read_header(path)["corpus"] == "synthetic"


def test_other_safetensors_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(MultiresError, match="multires convert"):
        load_checkpoint(tmp_path / "x.safetensors")
    with pytest.raises(MultiresError, match=r"\*\.safetensors"):
        convert(tmp_path / "x.pt", tmp_path / "y.pt")


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    """Past a limit on file size the kernel refuses to write, as it does on a full disk."""
    model = build_model("hubert", "small")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(MultiresError, match=r"cannot write .*x\.safetensors"):
            save_model(model, tmp_path / "x.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=40) | st.recursive(st.integers(0, 99), lambda inner: st.lists(inner, max_size=3)).map(repr))
@settings(max_examples=200, deadline=None)
def test_spelled_lists_are_read_or_refused(text):
    try:
        found = _literal(text, "option", Path("x.pt"))
    except MultiresError:
        return
    assert isinstance(found, int | list)
