"""Masks, batches and crops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multires.corpus.utterance import SAMPLE_RATE
from multires.errors import MultiresError
from multires.training.batches import Batches, cut, mask_bands, mask_spans
from multires.training.speech import Speech
from tests.training.tiny import RECIPE


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


@pytest.mark.parametrize("utterances", [3, 5, 9, 13])
def test_a_small_last_batch_joins_the_one_before_it(utterances):
    """Batches of four, and one utterance more: no utterance is lost or repeated."""
    lengths = np.full(utterances, SAMPLE_RATE)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    speech = Speech("toy", torch.zeros(int(lengths.sum()), dtype=torch.int16), starts, lengths, "toy")
    batches = Batches(speech, RECIPE, seed=0)
    plan = batches._plan(0)
    assert sorted(np.concatenate([batch.utterances for batch in plan]).tolist()) == list(range(utterances))
    assert sorted(len(batch.utterances) for batch in plan)[-1] == (utterances if utterances < 6 else 5)


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


def test_bands_are_masked_in_both_stacked_frames():
    frames = torch.ones(50, 4, 160)
    masked = mask_bands(frames, masks=1, width=20, rng=np.random.default_rng(0))
    assert torch.equal(masked[..., :80], masked[..., 80:])
    assert torch.equal(masked[:, :1].expand_as(masked), masked)
    widths = (masked[:, 0, :80] == 0).sum(1)
    assert widths.min() == 0
    assert widths.max() == 20
    assert float(widths.float().mean()) == pytest.approx(10, abs=2.5)
