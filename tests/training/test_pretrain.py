"""Training from start to end: interruption, resumption, refusals, and what a model's file says."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from multires.corpus import load_corpus
from multires.errors import MultiresError
from multires.models.checkpoint import load_checkpoint, read_header
from multires.models.config import preset
from multires.models.encoder import Regularization
from multires.models.mr_hubert import MultiResHubert
from multires.training import pretrain as module
from multires.training.batches import Batches, cut, mask_spans
from multires.training.front_end import local_frames
from multires.training.loss import masked_prediction
from multires.training.pretrain import pretrain
from multires.training.recipe import Recipe
from multires.training.records import LOG_COLUMNS, training_log
from multires.training.speech import load_speech
from multires.training.targets import Units, cepstral_units
from multires.training.warm_start import warm_start
from tests.training.tiny import LOG_MEL, RECIPE, TINY, config, weights


def test_a_log_mel_model_trains_with_masked_bands_and_reads_its_file_again(data, tmp_path):
    speech, units = data
    recipe = replace(RECIPE, band_masks=2, unmasked_weight=1.0)
    shape = config("multi", **LOG_MEL)
    path = pretrain(shape, speech, units, recipe, seed=0, out=tmp_path / "m.safetensors", key="m",
                    held_out=(speech, units), progress=False)  # fmt: skip
    model = load_checkpoint(path)
    assert model.config == shape
    log = training_log(path)
    assert log["unmasked_loss"].notna().all()
    assert not any(name.startswith("waveform_encoder") for name in model.state_dict())
    samples = speech.utterance(0)[None]
    assert next(iter(model.layers)).name == "input"
    assert model(samples).frames["input"].shape[1] == speech.frames[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"learning_rate": 1e-3}, "learning_rate 0.002 instead of 0.001"), ({"steps": 7}, "steps 6 instead of 7"),
     ({"unmasked_weight": 1.0}, "unmasked_weight")],
)  # fmt: skip
def test_a_model_of_another_recipe_is_not_taken_for_the_one_asked_for(data, tmp_path, change, words):
    speech, units = data
    out = tmp_path / "m.safetensors"
    arguments = {"seed": 0, "out": out, "key": "m", "progress": False}
    pretrain(config(), speech, units, RECIPE, **arguments)
    with pytest.raises(MultiresError, match=words):
        pretrain(config(), speech, units, replace(RECIPE, **change), **arguments)
    with pytest.raises(MultiresError, match="seed '0' instead of '1'"):
        pretrain(config(), speech, units, RECIPE, **{**arguments, "seed": 1})
    with pytest.raises(MultiresError, match="another architecture"):
        pretrain(config("multi"), speech, units, RECIPE, **arguments)
    assert pretrain(config(), speech, units, RECIPE, **arguments) == out


@pytest.mark.parametrize("architecture", ["hubert", "multi"])
def test_an_interrupted_run_ends_with_the_same_weights_bit_for_bit(data, tmp_path, architecture):
    arguments = {"seed": 1, "key": "k", "progress": False}
    whole = pretrain(config(architecture), *data, RECIPE, out=tmp_path / "a.safetensors", **arguments)
    for stop in (1, 3, 5):
        left = pretrain(
            config(architecture), *data, RECIPE, out=tmp_path / "b.safetensors", stop_after=stop, **arguments
        )
        assert left.name == "b.safetensors.checkpoint"
    state = torch.load(left, weights_only=True)
    torch.save({**state, "optimiser": state.pop("optimizer")}, left)  # as earlier versions did  # codespell:ignore
    resumed = pretrain(config(architecture), *data, RECIPE, out=tmp_path / "b.safetensors", **arguments)
    assert not left.exists()
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    columns = ["step", "resolution", "loss", "accuracy"]
    assert training_log(whole)[columns].equals(training_log(resumed)[columns])
    other = pretrain(config(architecture), *data, RECIPE, out=tmp_path / "c.safetensors", **{**arguments, "seed": 2})
    assert any(not torch.equal(first[name], value) for name, value in weights(other).items())


def test_ctrl_c_leaves_a_checkpoint_that_continues(data, tmp_path, monkeypatch):
    arguments = {"seed": 1, "key": "k", "progress": False}
    advance = module._Training.advance

    def interrupted(training):
        if training.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return advance(training)

    monkeypatch.setattr(module._Training, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 3"):
        pretrain(config(), *data, RECIPE, out=tmp_path / "b.safetensors", **arguments)
    monkeypatch.undo()
    resumed = weights(pretrain(config(), *data, RECIPE, out=tmp_path / "b.safetensors", **arguments))
    whole = weights(pretrain(config(), *data, RECIPE, out=tmp_path / "a.safetensors", **arguments))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_file_says_how_the_model_came_about(data, tmp_path):
    held_out = data
    path = pretrain(config("multi"), *data, RECIPE, seed=7, out=tmp_path / "m.safetensors", key="multi/7",
                    held_out=held_out, progress=False)  # fmt: skip
    header = read_header(path)
    assert header["seed"] == "7"
    assert header["corpus"] == "noise"
    assert header["units"] == "MFCC"
    assert json.loads(header["recipe"])["steps"] == 6
    model = load_checkpoint(path)
    assert model.trained
    assert model.key == "multi/7"
    log = training_log(path)
    assert tuple(log.columns) == LOG_COLUMNS
    assert set(zip(log["part"], log["resolution"], strict=True)) == {
        (part, resolution) for part in ("train", "held out") for resolution in (0, 1)
    }
    assert sorted(set(log["step"])) == [2, 4, 6]
    assert (log["rate"] > 0).all()


def test_training_leaves_the_callers_random_state_alone(data, tmp_path):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    pretrain(config(), *data, replace(RECIPE, steps=1), seed=0, out=tmp_path / "x.safetensors", key="k", progress=False)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_checkpoint_of_another_training_is_refused(data, tmp_path):
    out = tmp_path / "x.safetensors"
    pretrain(config(), *data, RECIPE, seed=0, out=out, key="k", progress=False, stop_after=1)
    with pytest.raises(MultiresError, match="belongs to another"):
        pretrain(config(), *data, RECIPE, seed=1, out=out, key="k", progress=False)
    (tmp_path / "x.safetensors.checkpoint").write_bytes(b"no checkpoint")
    with pytest.raises(MultiresError, match="cannot read the checkpoint"):
        pretrain(config(), *data, RECIPE, seed=0, out=out, key="k", progress=False)


def test_units_that_do_not_fit_the_model_are_refused(data, tmp_path):
    speech, units = data
    other = Units(units.labels, 9, "x", "y")
    with pytest.raises(MultiresError, match="the targets are 9"):
        pretrain(config(), speech, other, RECIPE, seed=0, out=tmp_path / "x.safetensors", key="k", progress=False)


def test_gradient_into_the_waveform_encoder_is_scaled(data):
    speech, units = data
    batch = Batches(speech, RECIPE, seed=0)[0]
    waveforms, labels = cut(speech, units, batch)
    mask = torch.from_numpy(mask_spans(*labels.shape, span=10, probability=0.8, rng=np.random.default_rng(0)))

    def gradient(scale):
        model = MultiResHubert(config(), regularization=Regularization(feature_gradient=scale), seed=0)
        masked_prediction(model, model.predict(waveforms, mask=mask), labels)[0][0].loss.backward()
        return model.waveform_encoder.convolutions[0].weight.grad, model.projection.weight.grad

    (full, later), (tenth, same) = gradient(1.0), gradient(0.1)
    assert torch.allclose(tenth, 0.1 * full, rtol=1e-3, atol=1e-7)
    assert torch.allclose(later, same, rtol=1e-3, atol=1e-6)


def test_a_waveform_encoder_that_is_not_trained_gives_its_frames_once(data, tmp_path):
    speech, units = data
    recipe = replace(RECIPE, feature_gradient=0.0, steps=3, weight_decay=0.1)
    model = MultiResHubert(config("multi"), seed=0)
    frames = local_frames(model, speech)
    whole = speech.utterance(1)[None]
    start, end = speech.frame_starts[1:3]
    mask = torch.zeros(1, int(end - start), dtype=torch.bool)
    mask[:, 5:20] = True
    wanted, found = model.predict(whole, mask=mask), model.predict_from(frames[None, start:end], mask)
    for one, other in zip(wanted.resolutions, found.resolutions, strict=True):
        torch.testing.assert_close(one.frames, other.frames, rtol=0, atol=1e-5)
        assert torch.equal(one.mask, other.mask)

    trained = pretrain(config("multi"), speech, units, recipe, seed=0, out=tmp_path / "m.safetensors", key="m",
                       held_out=(speech, units), progress=False)  # fmt: skip
    after = load_checkpoint(trained).state_dict()
    for name, value in model.state_dict().items():
        if name.startswith("waveform_encoder."):
            assert torch.equal(after[name], value.half().float()), name
    assert not torch.equal(after["projection.weight"], model.projection.weight.half().float())


@pytest.mark.slow
def test_a_small_model_learns(tmp_path):
    """Masked units of unseen speakers are recognized well above what the most frequent unit alone would give."""
    corpus = load_corpus("synthetic", hours=0.2, cache=tmp_path / "cache", progress=False)
    speech, other = (load_speech(corpus, [split], progress=False) for split in ("train", "evaluation"))
    labeler = cepstral_units(speech, 20, seed=0, progress=False)
    units, theirs = labeler(speech, progress=False), labeler(other, progress=False)
    most_frequent = float(theirs.labels.bincount().max() / len(theirs.labels))
    recipe = Recipe(
        steps=600,
        batch_seconds=12,
        crop_seconds=2.0,
        classes=20,
        learning_rate=5e-3,
        warm_steps=60,
        log_every=100,
    )
    shape = preset("multi", "small", classes=20, depths=(1, 1, 1), **TINY)
    warm = warm_start(shape, speech, recipe, seed=0, progress=False)
    path = pretrain(shape, speech, units, recipe, seed=0, out=tmp_path / "m.safetensors", key="m", warm=warm,
                    held_out=(other, theirs), progress=False)  # fmt: skip
    log = training_log(path)
    last = log[(log["step"] == 600) & (log["part"] == "held out")].set_index("resolution")
    assert (last["accuracy"] > 1.5 * most_frequent).all(), (last["accuracy"].tolist(), most_frequent)
    losses = log[(log["part"] == "train") & (log["resolution"] == 0)]["loss"].to_numpy()
    assert losses[-1] < losses[0] - 0.1
