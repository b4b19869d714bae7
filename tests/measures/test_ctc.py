from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from multires.measures import ctc
from multires.measures.ctc import ctc_probe


def spelled(n, seed, rate=6):
    """Utterances in which each label holds for some frames as a noisy one-hot vector."""
    rng = np.random.default_rng(seed)
    frames, labels = [], []
    for _ in range(n):
        word = rng.integers(0, 5, rng.integers(4, 9))
        word = word[np.r_[True, word[1:] != word[:-1]]]
        held = np.repeat(word, rng.integers(2, rate, len(word)))
        frames.append(np.eye(5)[held] + 0.1 * rng.normal(size=(len(held), 5)))
        labels.append(["abcde"[i] for i in word])
    return frames, labels


def test_ctc_probe_reads_clean_frames():
    frames, labels = spelled(120, 0)
    result = ctc_probe(frames[:80], labels[:80], frames[80:], labels[80:], seed=0, steps=250, learning_rate=5e-2)
    assert result.error_rate < 0.05
    assert result.n_labels == sum(map(len, labels[80:]))
    assert (result.n_train, result.n_test, result.n_too_short, result.weights) == (80, 40, 0, None)
    assert result.shuffled > 0.6
    assert [row["measure"] for row in result.rows()] == ["error rate", "error rate (shuffled)"]
    assert result.rows()[1]["value"] == result.shuffled


def test_the_baseline_changes_no_other_number():
    frames, labels = spelled(60, 4)
    with_it, without = (
        ctc_probe(frames[:40], labels[:40], frames[40:], labels[40:], seed=0, steps=60, baseline=baseline)
        for baseline in (True, False)
    )
    assert without.shuffled is None
    assert replace(with_it, shuffled=None) == without
    assert [row["measure"] for row in without.rows()] == ["error rate"]


def test_ctc_probe_on_noise_is_wrong_most_of_the_time():
    frames, labels = spelled(120, 0)
    rng = np.random.default_rng(1)
    noise = [rng.normal(size=x.shape) for x in frames]
    result = ctc_probe(noise[:80], labels[:80], noise[80:], labels[80:], seed=0, steps=100, clusters=np.arange(40) % 10)
    assert result.error_rate > 0.6
    assert result.low <= result.error_rate <= result.high


def test_ctc_probe_weighs_layers_and_counts_what_is_too_short():
    frames, labels = spelled(100, 2)
    rng = np.random.default_rng(1)
    layered = [np.stack([rng.normal(size=x.shape), x]) for x in frames]
    layered[0] = layered[0][:, :2]
    labels[0] = ["a", "b", "c", "d"]
    result = ctc_probe(layered[:80], labels[:80], layered[80:], labels[80:], seed=0, steps=250, learning_rate=5e-2)
    assert result.n_too_short == 1
    assert result.n_train == 79
    assert result.weights is not None
    assert result.weights[1] > 0.8


@given(st.lists(st.integers(1, 3), max_size=12))
def test_greedy_decoding_inverts_spelling_with_blanks(labels):
    path = [0]
    for label in labels:
        path += [label, label, 0]
    scores = torch.eye(4)[torch.tensor(path)]
    assert ctc._greedy(scores) == labels


@given(st.lists(st.integers(1, 3), min_size=1, max_size=10))
def test_ctc_needs_a_blank_between_equal_neighbors(labels):
    target = torch.tensor(labels)
    needed = ctc._ctc_length(target)

    def loss(frames):
        flat = torch.full((frames, 1, 4), -1.386)
        return float(functional.ctc_loss(flat, target[None], torch.tensor([frames]), torch.tensor([len(target)])))

    assert np.isfinite(loss(needed))
    assert needed == len(target) or np.isinf(loss(needed - 1))
