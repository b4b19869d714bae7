import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multires.corpus import load_corpus
from multires.corpus.utterance import Corpus, Utterance
from multires.errors import MultiresError
from multires.models.checkpoint import load_checkpoint, read_header
from multires.models.config import LOG_MEL_GEOMETRY, preset
from multires.models.encoder import Regularization
from multires.models.mr_hubert import MultiResHubert
from multires.training import pretrain as module
from multires.training.batches import Batches, cut, mask_bands, mask_spans
from multires.training.distributed import Processes
from multires.training.front_end import local_frames
from multires.training.loss import masked_prediction, targets_at
from multires.training.pretrain import pretrain
from multires.training.recipe import Recipe
from multires.training.records import LOG_COLUMNS, training_log
from multires.training.speech import load_speech
from multires.training.targets import Units, cepstral_units
from multires.training.warm_start import warm_start

TINY = {
    "width": 32, "heads": 2, "ffn": 64, "final_dim": 16, "conv_pos": 8, "conv_pos_groups": 4,
    "convolutions": tuple((16, k, s) for k, s in ((10, 5), *((3, 2),) * 4, *((2, 2),) * 2)),
}  # fmt: skip
RECIPE = Recipe(steps=6, batch_seconds=4, crop_seconds=1.0, classes=8, warm_steps=0, log_every=2, dropout=0.1)


def config(architecture="hubert", **changes):
    depths = {"hubert": (2,), "mono": (1, 1, 1), "multi": (1, 1, 1)}[architecture]
    return preset(architecture, "small", classes=8, depths=depths, **{**TINY, **changes})


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    utterances = []
    for i, samples in enumerate(rng.integers(9_000, 40_000, 30)):
        audio = (0.1 * rng.normal(size=samples)).astype(np.float32)
        utterances.append(Utterance(f"u{i}", "s", "train", samples / 16000, lambda audio=audio: audio))
    speech = load_speech(Corpus("noise", utterances), ["train"], progress=False)
    return speech, cepstral_units(speech, 8, seed=0, progress=False)(speech, progress=False)


def weights(path):
    return load_checkpoint(path).state_dict()


# -- masking -----------------------------------------------------------------------------------------------------------


def test_masks_cover_what_fairseqs_do():
    reference = pytest.importorskip("fairseq.data.data_utils").compute_mask_indices
    ours, theirs = [], []
    for i in range(40):
        ours.append(mask_spans(8, 200, span=10, probability=0.8, rng=np.random.default_rng(i)).mean())
        theirs.append(
            reference((8, 200), None, 0.8, 10, "static", 0.0, min_masks=2, no_overlap=False, min_space=1).mean()
        )
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.015)


def test_masked_share_is_what_overlap_leaves():
    masks = mask_spans(2000, 300, span=10, probability=0.8, rng=np.random.default_rng(0))
    # Before rows are evened out, a frame in the middle stays free when none of 24 of 291 starts covers it.
    free = np.prod([(291 - 10 - i) / (291 - i) for i in range(24)])
    assert masks.mean() < 1 - free
    single = mask_spans(1, 300, span=10, probability=0.8, rng=np.random.default_rng(1)).mean()
    assert single == pytest.approx(1 - free, abs=0.12)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(2, 60), st.floats(0, 1), st.integers(0, 99))
def test_masks_have_equal_rows(batch, span, more, probability, seed):
    frames = 2 * span + more
    mask = mask_spans(batch, frames, span=span, probability=probability, rng=np.random.default_rng(seed))
    assert mask.shape == (batch, frames)
    assert len(set(mask.sum(1).tolist())) == 1
    assert span <= mask[0].sum() <= frames


def test_spans_of_a_single_row_are_whole():
    mask = mask_spans(1, 100, span=10, probability=0.3, rng=np.random.default_rng(0))[0].astype(int)
    edges = np.flatnonzero(np.diff(np.r_[0, mask, 0]))
    assert (edges[1::2] - edges[::2] >= 10).all()


def test_too_short_for_two_spans_is_said():
    with pytest.raises(MultiresError, match="no room"):
        mask_spans(1, 19, span=10, probability=0.8, rng=np.random.default_rng(0))


# -- batches and targets -----------------------------------------------------------------------------------------------


def test_an_epoch_takes_every_utterance_once_within_the_budget(data):
    speech, _ = data
    batches = Batches(speech, RECIPE, seed=0)
    seen, step = [], 0
    while len(seen) < len(speech.lengths):
        batch = batches[step]
        seen += batch.utterances.tolist()
        assert batch.seconds <= 1.5 * RECIPE.batch_seconds
        assert (batch.first_frames % 4 == 0).all()
        assert (batch.first_frames + batch.frames <= speech.frames[batch.utterances]).all()
        step += 1
    assert sorted(seen) == list(range(len(speech.lengths)))


def test_batches_do_not_depend_on_what_was_asked_before(data):
    speech, _ = data
    straight, jumping = Batches(speech, RECIPE, seed=3), Batches(speech, RECIPE, seed=3)
    steps = list(range(40))
    first = [straight[i] for i in steps]
    for i in (30, 2, 39, 0):
        again = jumping[i]
        assert np.array_equal(again.utterances, first[i].utterances)
        assert np.array_equal(again.first_frames, first[i].first_frames)
    assert not np.array_equal(Batches(speech, RECIPE, seed=4)[0].utterances, first[0].utterances)


def test_a_crop_holds_its_own_samples_and_units(data):
    speech, units = data
    batch = Batches(speech, RECIPE, seed=0)[1]
    waveforms, labels = cut(speech, units, batch)
    row = 1 if len(batch.utterances) > 1 else 0
    index, first = int(batch.utterances[row]), int(batch.first_frames[row])
    own = speech.utterance(index)[first * 320 : first * 320 + (batch.frames - 1) * 320 + 400]
    assert torch.equal(waveforms[row], own)
    start = int(speech.frame_starts[index])
    assert torch.equal(labels[row], units.labels[start + first : start + first + batch.frames].long())


def test_targets_are_read_at_each_resolutions_rate():
    units = torch.arange(11)[None]
    assert targets_at(units, 11, 0.02)[0].tolist() == list(range(11))
    assert targets_at(units, 6, 0.04)[0].tolist() == [0, 2, 4, 6, 8, 10]
    assert targets_at(units, 3, 0.08)[0].tolist() == [0, 4, 8]


def test_predictions_at_both_resolutions_are_scored_against_their_targets(data):
    speech, units = data
    model = MultiResHubert(config("multi"), seed=0)
    batch = Batches(speech, RECIPE, seed=0)[0]
    waveforms, labels = cut(speech, units, batch)
    mask = torch.from_numpy(mask_spans(*labels.shape, span=10, probability=0.8, rng=np.random.default_rng(0)))
    predicted = model.predict(waveforms, mask=mask)
    scores, others, _ = masked_prediction(model, predicted, labels, unmasked=True)
    outputs = predicted.resolutions
    for head, stride in enumerate((1, 2)):
        logits = model.logits(head, outputs[head].frames)
        target = labels[:, ::stride]
        for score, at in ((scores[head], mask[:, ::stride]), (others[head], ~mask[:, ::stride])):
            picked = torch.nn.functional.cross_entropy(logits[at], target[at], reduction="sum")
            assert score.loss.item() == pytest.approx(picked.item(), rel=1e-4)
            assert int(score.count) == int(at.sum())
            assert int(score.hits) == int((logits[at].argmax(1) == target[at]).sum())
            assert score.frame_period == pytest.approx(0.02 * stride)
    assert len(scores) == len(others) == 2
    assert masked_prediction(model, predicted, labels)[1] == []


def test_the_loss_is_summed_over_resolutions_and_divided_by_fine_frames(data):
    """As fairseq's criterion: sums of all heads over the sample size of the finest, each kind with its weight."""
    speech, units = data
    recipe = replace(RECIPE, dropout=0.0, masked_weight=1.0, unmasked_weight=0.5, auxiliary_weight=2.0)
    training = module._Training(config("multi"), speech, units, recipe, 0, None, None, Processes(torch.device("cpu")))
    regularization = Regularization(feature_gradient=recipe.feature_gradient)
    model = MultiResHubert(config("multi"), regularization=regularization, seed=0).train()
    batch = training.batches[0]
    waveforms, labels = cut(speech, units, batch)
    mask = torch.from_numpy(
        mask_spans(*labels.shape, span=10, probability=recipe.mask_probability, rng=np.random.default_rng([0, 3, 0]))
    )
    masked, others, penalty = masked_prediction(model, model.predict(waveforms, mask=mask), labels, unmasked=True)
    total = sum(
        weight * scale * score.loss
        for scores, weight in ((masked, 1.0), (others, 0.5))
        for score, scale in zip(scores, (1.0, 2.0), strict=True)
    )
    (total / labels.numel() + recipe.feature_penalty * penalty).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    training.model.train()
    training.advance()
    for (name, wanted), found in zip(model.named_parameters(), training.model.parameters(), strict=True):
        if wanted.grad is not None and found.grad is not None:
            torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-3, atol=1e-6, msg=name)
    assert float(norm) > 0


LOG_MEL = {"front_end": "log_mel", "convolutions": LOG_MEL_GEOMETRY}


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


def test_bands_are_masked_in_both_stacked_frames():
    frames = torch.ones(50, 4, 160)
    masked = mask_bands(frames, masks=1, width=20, rng=np.random.default_rng(0))
    assert torch.equal(masked[..., :80], masked[..., 80:])
    assert torch.equal(masked[:, :1].expand_as(masked), masked)
    widths = (masked[:, 0, :80] == 0).sum(1)
    assert widths.min() == 0
    assert widths.max() == 20
    assert float(widths.float().mean()) == pytest.approx(10, abs=2.5)


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


# -- conditions --------------------------------------------------------------------------------------------------------


def test_conditions_share_the_values_of_what_they_have_in_common():
    models = {
        name: MultiResHubert(config(architecture, single_prediction=single), seed=5).state_dict()
        for name, architecture, single in (
            ("mono", "mono", True), ("mono+aux", "mono", False), ("multi", "multi", True), ("multi+aux", "multi", False),
        )
    }  # fmt: skip
    for name, state in models.items():
        for parameter, value in models["mono"].items():
            assert torch.equal(state[parameter], value), (name, parameter)
    plain = MultiResHubert(config(), seed=5).state_dict()
    shared = [name for name in plain if name in models["mono"] and ".layers.1." not in name]
    assert len(shared) > 20
    assert all(torch.equal(plain[name], models["mono"][name]) for name in shared)


def test_the_warm_start_is_the_same_for_every_condition_and_learns(data):
    speech, _ = data
    recipe = replace(RECIPE, warm_steps=3)
    first = warm_start(config("hubert"), speech, recipe, seed=1, progress=False)
    second = warm_start(config("multi"), speech, recipe, seed=1, progress=False)
    assert set(first) == set(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    start = MultiResHubert(config("hubert"), seed=1).state_dict()
    assert set(first) <= set(start)
    assert any(not torch.equal(first[name], start[name]) for name in first)
    assert warm_start(config(), speech, RECIPE, seed=1, progress=False) == {}


# -- the loop ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["hubert", "multi"])
def test_an_interrupted_run_ends_with_the_same_weights_bit_for_bit(data, tmp_path, architecture):
    arguments = {"seed": 1, "key": "k", "progress": False}
    whole = pretrain(config(architecture), *data, RECIPE, out=tmp_path / "a.safetensors", **arguments)
    for stop in (1, 3, 5):
        left = pretrain(
            config(architecture), *data, RECIPE, out=tmp_path / "b.safetensors", stop_after=stop, **arguments
        )
        assert left.name == "b.safetensors.checkpoint"
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


@pytest.mark.parametrize(
    ("change", "words"),
    [({"steps": 0}, "steps must be above 0"), ({"schedule": "flat"}, "unknown schedule"),
     ({"dropout": 1.5}, "dropout must be between"), ({"crop_seconds": 0.1}, "two masked spans")],
)  # fmt: skip
def test_a_recipe_that_cannot_work_is_refused(change, words):
    with pytest.raises(MultiresError, match=words):
        replace(RECIPE, **change)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_learning_rate_rises_then_falls_to_nothing(schedule):
    recipe = Recipe(steps=1000, warmup=0.1, learning_rate=1.0, schedule=schedule)
    rates = np.array([recipe.rate_at(i) for i in range(1000)])
    assert rates.argmax() in (99, 100)
    assert rates.max() == pytest.approx(1.0)
    assert (np.diff(rates[:100]) > 0).all()
    assert (np.diff(rates[101:]) < 0).all()
    assert rates[550] == pytest.approx(0.5, abs=0.01)
    assert rates[-1] < 0.01


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
    """Masked units of unseen speakers are recognised well above what the most frequent unit alone would give."""
    corpus = load_corpus("synthetic", hours=0.2, cache=tmp_path / "cache", progress=False)
    speech, other = (load_speech(corpus, [split], progress=False) for split in ("train", "evaluation"))
    labeller = cepstral_units(speech, 20, seed=0, progress=False)
    units, theirs = labeller(speech, progress=False), labeller(other, progress=False)
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
