"""Ours against fairseq, at every layer, sampler and resolution, through fairseq's own checkpoint writer."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("fairseq", reason="fairseq has no build for this Python")

from benchmarks.parity import ABSOLUTE, RELATIVE, compare
from benchmarks.reference import (
    BASE_FAMILIES,
    FAMILIES,
    build_reference,
    old_style,
    omegaconf_style,
    trace_reference,
)  # fmt: skip
from multires.models import load_checkpoint

SHORT = (400, 719, 720, 1040, 16_000, 20_801)


def check(family, folder, speech, lengths):
    reference = build_reference(family, folder)
    model = load_checkpoint(reference.path)
    for samples in lengths:
        for name, absolute, relative in compare(reference, model, speech[:samples]):
            assert absolute <= ABSOLUTE, (name, samples, absolute)
            assert relative <= RELATIVE, (name, samples, relative)
    reference.path.unlink()


@pytest.mark.parametrize("name", FAMILIES)
def test_narrow_models_agree_everywhere(name, tmp_path, speech):
    check(FAMILIES[name].narrow(), tmp_path, speech, SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASE_FAMILIES)
def test_base_models_agree_everywhere(name, tmp_path, speech):
    check(FAMILIES[name], tmp_path, speech, (639, 16_000, 50_003))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hubert", "4-4-4"])
def test_long_speech_agrees_everywhere(name, tmp_path, speech):
    check(FAMILIES[name], tmp_path, speech, (240_000,))


def test_thirty_seconds_agree_everywhere(tmp_path, speech):
    check(FAMILIES["3-2-2-2-3"].narrow(), tmp_path, speech, (480_000,))


@pytest.mark.slow
def test_a_true_large_model_agrees_everywhere(tmp_path, speech):
    check(FAMILIES["large"], tmp_path, speech, (16_001,))


def test_the_comparison_sees_a_small_error(narrow, speech):
    model = load_checkpoint(narrow.path)
    with torch.no_grad():
        model.decoders[0].layers[2].up.bias[0] += 0.01
    found = {name: absolute for name, absolute, _ in compare(narrow, model, speech[:16_000])}
    assert found["decoder.0.2"] > ABSOLUTE
    assert found["decoder.0.1"] <= ABSOLUTE


def test_every_layer_is_compared(narrow, speech):
    model = load_checkpoint(narrow.path)
    names = {name for name, _, _ in compare(narrow, model, speech[:16_000])}
    assert names == set(trace_reference(narrow, speech[:16_000]))
    assert names >= {layer.name for layer in model.layers} | {"down.0", "up.0", "resolution.0", "resolution.1"}


@pytest.mark.parametrize("restyle", [old_style, omegaconf_style])
def test_older_spellings_of_the_configuration_give_the_same_model(restyle, narrow, tmp_path):
    new = load_checkpoint(narrow.path)
    old = load_checkpoint(restyle(narrow.path, tmp_path / "old.pt"))
    assert old.config == new.config
    assert all(torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True))


def test_logits_are_those_of_fairseq(narrow, speech):
    model = load_checkpoint(narrow.path)
    with torch.no_grad():
        frames = model.predict(speech[None, :16_000]).resolutions[0].frames[0]
        theirs = narrow.model
        units = theirs.label_embs_concat[0]
        positive = units[:1].expand(len(frames), -1)
        negatives = units[:, None].expand(-1, len(frames), -1)
        nce = theirs.compute_nce(theirs.final_projs[0](frames), positive, negatives)
        ours = model.logits(0, frames)
    # fairseq puts the right unit first, and again in its place as minus infinity.
    torch.testing.assert_close(ours, torch.cat([nce[:, :1], nce[:, 2:]], dim=1), atol=1e-4, rtol=0)


def test_hubert_agrees_with_torchaudio(tmp_path, speech):
    from torchaudio.models.wav2vec2.utils import import_fairseq_model

    from multires.models.wrappers import wrap_torchaudio

    for name in ("hubert", "hubert large"):
        reference = build_reference(FAMILIES[name].narrow(), tmp_path)
        ours = load_checkpoint(reference.path)
        theirs = wrap_torchaudio(
            import_fairseq_model(reference.model), normalize=reference.normalize, key="torchaudio", description=""
        )
        waveforms, lengths = speech[:32_000].view(2, -1), torch.tensor([16_000, 9_001])
        with torch.inference_mode():
            mine, other = ours(waveforms, lengths), theirs(waveforms, lengths)
        assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
        for layer in mine.frames:
            assert torch.equal(mine.lengths[layer], other.lengths[layer])
            torch.testing.assert_close(mine.frames[layer], other.frames[layer], atol=1e-4, rtol=0)
