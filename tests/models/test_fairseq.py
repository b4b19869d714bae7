"""fairseq's checkpoints as s3prl converts them, and malformed options."""

from __future__ import annotations

import pytest
import torch

from multires.errors import MultiresError
from multires.models import load_checkpoint

fairseq = pytest.importorskip("fairseq", reason="fairseq has no build for this Python")


def s3prl(path, target, change=lambda state: state):
    """The conversion of s3prl, `s3prl.upstream.hubert.convert`."""
    state = torch.load(path, weights_only=False)
    converted = {
        "task_cfg": state["cfg"]["task"],
        "model_cfg": state["cfg"]["model"],
        "model_weight": state["model"],
        "dictionaries_symbols": [dictionary.symbols for dictionary in state["task_state"]["dictionaries"]],
    }
    torch.save(change(converted), target)
    return target


@pytest.mark.parametrize("family", ["hubert", "4-4-4"])
def test_s3prl_s_files_equal_the_file_they_came_from(family, tmp_path, speech):
    from benchmarks.reference import FAMILIES, build_reference

    path = build_reference(FAMILIES[family].narrow(), tmp_path / "made").path
    theirs = s3prl(path, tmp_path / "converted.pt")
    one, other = load_checkpoint(path), load_checkpoint(theirs)
    assert one.config == other.config
    assert one.condition == other.condition
    with torch.inference_mode():
        mine, found = one(speech[None, :8_000]).frames, other(speech[None, :8_000]).frames
    assert all(torch.equal(mine[name], found[name]) for name in mine)

    def nameless(state):
        del state["model_cfg"]["_name"]
        return state

    assert load_checkpoint(s3prl(path, tmp_path / "nameless.pt", nameless)).config == one.config


def test_s3prl_s_files_of_other_models_are_refused(narrow, tmp_path):
    def other(state):
        state["model_cfg"]["_name"] = "wav2vec2"
        return state

    with pytest.raises(MultiresError, match=r"wav2vec 2\.0"):
        load_checkpoint(s3prl(narrow.path, tmp_path / "x.pt", other))
    with pytest.raises(MultiresError, match="`model`"):
        load_checkpoint(s3prl(narrow.path, tmp_path / "x.pt", lambda state: {**state, "model_weight": 5}))
    with pytest.raises(MultiresError, match="without `model`"):
        load_checkpoint(
            s3prl(narrow.path, tmp_path / "x.pt", lambda state: {**state, "model_cfg": 5, "model_weight": {}})
        )


def laughs():
    nested = {"x": 1}
    for _ in range(40):
        nested = {"a": nested, "b": nested}
    return nested


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("_name", ["hubert"]), ("_name", {"a": 1}), ("_name", "h" * 10**6), ("_name", torch.zeros(3)),
        ("encoder_embed_dim", float("inf")), ("encoder_embed_dim", float("nan")), ("encoder_embed_dim", 7.5),
        ("encoder_embed_dim", torch.zeros(2)), ("encoder_embed_dim", 10**30), ("encoder_layers", laughs()),
        ("layer_type", laughs()), ("target_glu", torch.zeros(2)), ("logit_temp", "hot"), ("logit_temp", [1]),
        ("logit_temp", float("nan")), ("logit_temp", 0), ("logit_temp", torch.zeros(3)), ("encoder_layers", "${oc.env:HOME}"),
        ("conv_feature_layers", "[" + "(4,1,1)," * 300_000 + "]"), ("conv_feature_layers", "[" * 100_000),
        ("conv_feature_layers", "[(999999999999,999999999999,1)]"), ("conv_feature_layers", [[4, "a", None]]),
        ("conv_feature_layers", 5), ("conv_feature_layers", "[(4," + "9" * 5000 + ",1)]"), ("conv_feature_layers", []),
        ("label_rate_ratios", [1, 10**18]), ("label_rate_ratios", "[" + "1,2," * 100_000 + "]"),
        ("override_encoder_layers", [10**6, 5 - 10**6, 1]), ("override_encoder_layers", "[300000,1,1]"),
        ("conv_pos", 10**6), ("conv_bias", laughs()), ("encoder_attention_heads", 0), ("final_dim", -1),
    ],
)  # fmt: skip
def test_malformed_options_end_in_one_sentence(option, value, narrow, tmp_path):
    state = torch.load(narrow.path, weights_only=False)
    state["cfg"]["model"][option] = value
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(MultiresError) as refused:
        load_checkpoint(tmp_path / "x.pt")
    message = str(refused.value)
    assert message.startswith(str(tmp_path / "x.pt"))
    assert message.isprintable()
    assert len(message) < 500


def test_tensors_as_a_parallel_wrapper_names_them_are_those_of_the_model(narrow, tmp_path):
    state = torch.load(narrow.path, weights_only=False)
    state["model"] = {f"module.{name}": tensor for name, tensor in state["model"].items()}
    torch.save(state, tmp_path / "wrapped.pt")
    expected, found = load_checkpoint(narrow.path).state_dict(), load_checkpoint(tmp_path / "wrapped.pt").state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
