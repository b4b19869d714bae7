"""Recognition probe: one linear layer trained by CTC and decoded greedily."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torchaudio
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from multires.errors import MultiresError
from multires.measures.bootstrap import ratio_bootstrap


@dataclass(frozen=True)
class RecognitionResult:
    """Score of a CTC probe on the test utterances.

    Attributes
    ----------
    error_rate, low, high
        Edits per reference label over all test utterances, and its 95 % bootstrap interval over clusters (NaN with
        fewer than `multires.measures.MIN_CLUSTERS` clusters).
    n_train, n_test
        Number of training and test utterances.
    n_labels
        Number of reference labels in the test utterances.
    n_too_short
        Number of training utterances left out because they have fewer frames than CTC needs for their labels.
    shuffled
        Error rate of the same head trained on shuffled labels (`shuffled_transcripts`); None if not requested.
    weights
        Softmax weight of each layer, if there are several.
    """

    error_rate: float
    low: float
    high: float
    n_train: int
    n_test: int
    n_labels: int
    n_too_short: int
    shuffled: float | None = None
    weights: tuple[float, ...] | None = None

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of the error rate (with ``low`` and ``high``) and of that with shuffled labels."""
        common = {**columns, "n": self.n_labels, "n_train": self.n_train, "n_too_short": self.n_too_short}
        found = [{**common, "measure": "error rate", "value": self.error_rate, "low": self.low, "high": self.high}]
        if self.shuffled is not None:
            found.append({**common, "measure": "error rate (shuffled)", "value": self.shuffled})
        return found


def ctc_probe(
    train_frames: Sequence[np.ndarray],
    train_labels: Sequence[Sequence[str]],
    test_frames: Sequence[np.ndarray],
    test_labels: Sequence[Sequence[str]],
    *,
    seed: int,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    steps: int = 600,
    batch: int = 32,
    learning_rate: float = 1e-2,
    device: str | torch.device = "cpu",
    baseline: bool = True,
) -> RecognitionResult:
    """Phone recognition with one linear layer trained by CTC and decoded greedily.

    Parameters
    ----------
    train_frames, test_frames
        One array per utterance: ``(frames, dim)``, or ``(layers, frames, dim)`` for a learned weighted sum of layers.
    train_labels, test_labels
        Labels of each utterance in order. A test label that does not occur in training is always an error.
    seed
        Seed of the head's weights, the order of utterances and the bootstrap.
    clusters
        Speaker of each test utterance, resampled as a whole by the bootstrap; utterances individually if None.
    steps, batch, learning_rate
        Adam with a cosine schedule; `batch` is the number of utterances, of similar length, in a step.
    device
        Device on which the head is trained.
    baseline
        Train a second head on shuffled labels.

    Raises
    ------
    MultiresError
        If lists do not match or are empty, or no training utterance has enough frames for its labels.
    """
    for frames, labels, name in ((train_frames, train_labels, "train"), (test_frames, test_labels, "test")):
        if not len(frames) or len(frames) != len(labels):
            raise MultiresError(f"{name}_frames and {name}_labels hold {len(frames)} and {len(labels)} utterances")
    train, test = [_stacked(x) for x in train_frames], [_stacked(x) for x in test_frames]
    inventory = {label: i for i, label in enumerate(sorted({x for labels in train_labels for x in labels}), 1)}
    names = {i: label for label, i in inventory.items()}
    targets = [torch.tensor([inventory[x] for x in labels]) for labels in train_labels]
    usable = _usable(train, targets)
    if not usable:
        raise MultiresError("no training utterance has as many frames as labels: use a layer of shorter frame period")
    mean, deviation = _frame_moments([train[i] for i in usable])
    train = [(x - mean) / deviation for x in train]
    test = [(x - mean) / deviation for x in test]

    def edits_of(targets: list[Tensor], usable: list[int]) -> tuple[np.ndarray, _CtcHead]:
        head = _train_ctc([train[i] for i in usable], [targets[i] for i in usable], len(inventory), seed, steps, batch,
                          learning_rate, torch.device(device))  # fmt: skip
        with torch.no_grad():
            found = [_greedy(head(x[:, None].to(device))[0]) for x in test]
        edits = [torchaudio.functional.edit_distance(list(reference), [names[i] for i in guess])
                 for reference, guess in zip(test_labels, found, strict=True)]  # fmt: skip
        return np.array(edits, dtype=float), head

    counts = np.array([len(reference) for reference in test_labels], dtype=float)
    if not counts.sum():
        raise MultiresError("test_labels holds no label: give transcribed utterances")
    numerators, head = edits_of(targets, usable)
    shuffled = None
    if baseline:
        unrelated = [
            torch.tensor([inventory[x] for x in labels]) for labels in shuffled_transcripts(train_labels, seed)
        ]
        if enough := _usable(train, unrelated):
            shuffled = float(edits_of(unrelated, enough)[0].sum() / counts.sum())
    low, high = ratio_bootstrap(numerators, counts, clusters, seed=seed).interval
    layered = train[0].shape[0] > 1
    return RecognitionResult(
        error_rate=float(numerators.sum() / counts.sum()),
        low=low,
        high=high,
        n_train=len(usable),
        n_test=len(test),
        n_labels=int(counts.sum()),
        n_too_short=len(train) - len(usable),
        shuffled=shuffled,
        weights=tuple(head.layer_weights().tolist()) if layered else None,
    )


def shuffled_transcripts(labels: Sequence[Sequence[str]], seed: int) -> list[list[str]]:
    """The labels of all utterances in random order; every utterance keeps the number of its labels.

    A head that is trained on them can only learn how frequent labels are and how many there are in a stretch of time.

    Examples
    --------
    >>> found = shuffled_transcripts([["a", "b"], ["c"], []], seed=0)
    >>> [len(each) for each in found], sorted(sum(found, []))
    ([2, 1, 0], ['a', 'b', 'c'])
    """
    drawn = np.random.default_rng(seed).permutation([label for each in labels for label in each]).tolist()
    ends = np.cumsum([len(each) for each in labels]).tolist()
    return [drawn[end - len(each) : end] for each, end in zip(labels, ends, strict=True)]


@dataclass(frozen=True)
class Transcripts:
    """Transcripts by a CTC head.

    Attributes
    ----------
    of
        Labels of each utterance, for each set of utterances.
    n_too_short
        Number of training utterances left out because they have fewer frames than CTC needs for their labels.
    """

    of: tuple[list[list[str]], ...]
    n_too_short: int


def transcribe(
    train_frames: Sequence[np.ndarray],
    train_labels: Sequence[Sequence[str]],
    *others: Sequence[np.ndarray],
    seed: int,
    steps: int = 600,
    batch: int = 32,
    learning_rate: float = 1e-2,
    device: str | torch.device = "cpu",
) -> Transcripts:
    """Train the head of `ctc_probe` and transcribe one or more other sets of utterances.

    Parameters
    ----------
    train_frames, train_labels, seed, steps, batch, learning_rate, device
        As for `ctc_probe`.
    *others
        Frames of the utterances of each set.

    Raises
    ------
    MultiresError
        If lists do not match or are empty, or no training utterance has enough frames for its labels.
    """
    if not len(train_frames) or len(train_frames) != len(train_labels):
        raise MultiresError(
            f"train_frames and train_labels hold {len(train_frames)} and {len(train_labels)} utterances"
        )
    train = [_stacked(x) for x in train_frames]
    inventory = {label: i for i, label in enumerate(sorted({x for labels in train_labels for x in labels}), 1)}
    targets = [torch.tensor([inventory[x] for x in labels]) for labels in train_labels]
    usable = _usable(train, targets)
    if not usable:
        raise MultiresError("no training utterance has as many frames as labels: use a layer of shorter frame period")
    mean, deviation = _frame_moments([train[i] for i in usable])
    head = _train_ctc([(train[i] - mean) / deviation for i in usable], [targets[i] for i in usable], len(inventory), seed,
                      steps, batch, learning_rate, torch.device(device))  # fmt: skip
    names = {i: label for label, i in inventory.items()}
    found = []
    with torch.no_grad():
        for frames in others:
            read = ((_stacked(x) - mean) / deviation for x in frames)
            found.append([[names[i] for i in _greedy(head(x[:, None].to(device))[0])] for x in read])
    return Transcripts(tuple(found), len(train) - len(usable))


def edit_counts(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int, int]:
    """Insertions, deletions and substitutions of a shortest edit; substitutions are preferred where there are several.

    Examples
    --------
    >>> edit_counts("a b c".split(), "a x c d".split())
    (1, 0, 1)
    """
    rows = [[(j, j, 0, 0) for j in range(len(hypothesis) + 1)]]
    for i, wanted in enumerate(reference, 1):
        row = [(i, 0, i, 0)]
        for j, given in enumerate(hypothesis, 1):
            cost, *kept = rows[-1][j - 1]
            change = int(wanted != given)
            best = (cost + change, kept[0], kept[1], kept[2] + change)
            cost, insertions, deletions, substitutions = rows[-1][j]
            if cost + 1 < best[0]:
                best = (cost + 1, insertions, deletions + 1, substitutions)
            cost, insertions, deletions, substitutions = row[j - 1]
            if cost + 1 < best[0]:
                best = (cost + 1, insertions + 1, deletions, substitutions)
            row.append(best)
        rows.append(row)
    _, insertions, deletions, substitutions = rows[-1][-1]
    return insertions, deletions, substitutions


class _CtcHead(torch.nn.Module):
    """Learned weighted sum of layers, then one linear layer; class 0 is CTC's blank."""

    def __init__(self, layers: int, dim: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.mixture = torch.nn.Parameter(torch.zeros(layers))
        self.weight = torch.nn.Parameter(torch.randn(dim, classes + 1, generator=generator) * dim**-0.5 * 0.1)
        self.offset = torch.nn.Parameter(torch.zeros(classes + 1))

    def layer_weights(self) -> Tensor:
        return self.mixture.detach().softmax(0).cpu()

    def forward(self, x: Float[Tensor, "layers batch frames dim"]) -> Float[Tensor, "batch frames classes"]:
        mixed = (self.mixture.softmax(0) @ x.flatten(1)).view(x.shape[1:])  # one product: four times faster than einsum
        return (mixed @ self.weight + self.offset).log_softmax(2)


def _train_ctc(
    frames: list[Tensor],
    targets: list[Tensor],
    classes: int,
    seed: int,
    steps: int,
    batch: int,
    learning_rate: float,
    device: torch.device,
) -> _CtcHead:
    generator = torch.Generator().manual_seed(seed)
    head = _CtcHead(frames[0].shape[0], frames[0].shape[2], classes, generator).to(device)
    optimizer = torch.optim.Adam(head.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = sorted(range(len(frames)), key=lambda i: (frames[i].shape[1], i))
    batches = [order[i : i + batch] for i in range(0, len(order), batch)]
    # Allocating a batch takes as long as a step, so one buffer serves all steps.
    largest = max(len(chosen) * max(frames[i].shape[1] for i in chosen) for chosen in batches)
    buffer = torch.empty(largest * frames[0].shape[0] * frames[0].shape[2])
    for step in range(steps):
        if step % len(batches) == 0:
            turn = torch.randperm(len(batches), generator=generator).tolist()
        chosen = batches[turn[step % len(batches)]]
        lengths = torch.tensor([frames[i].shape[1] for i in chosen])
        shape = (frames[0].shape[0], len(chosen), int(lengths.max()), frames[0].shape[2])
        x = buffer[: math.prod(shape)].view(shape)
        for place, i in enumerate(chosen):
            x[:, place, : frames[i].shape[1]] = frames[i]
            x[:, place, frames[i].shape[1] :] = 0.0
        loss = functional.ctc_loss(
            head(x.to(device)).transpose(0, 1),
            torch.cat([targets[i] for i in chosen]).to(device),
            lengths,
            torch.tensor([len(targets[i]) for i in chosen]),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head


def _stacked(frames: np.ndarray) -> Float[Tensor, "layers frames dim"]:
    array = np.asarray(frames, dtype=np.float32)
    if array.ndim not in (2, 3) or not array.size or not np.isfinite(array).all():
        raise MultiresError(f"frames of shape {array.shape}: give finite (frames, dim) or (layers, frames, dim) arrays")
    return torch.from_numpy(array if array.ndim == 3 else array[None])


def _frame_moments(utterances: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each layer's dimensions over all frames."""
    count = sum(x.shape[1] for x in utterances)
    mean = sum((x.double().sum(1, keepdim=True) for x in utterances), torch.zeros(())) / count
    variance = sum(((x - mean).square().sum(1, keepdim=True) for x in utterances), torch.zeros(())) / count
    deviation = variance.sqrt()
    return mean.float(), torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)).float()


def _usable(frames: Sequence[Tensor], targets: Sequence[Tensor]) -> list[int]:
    """Indices of the utterances that have labels, and enough frames for them."""
    return [i for i, y in enumerate(targets) if len(y) and frames[i].shape[1] >= _ctc_length(y)]


def _ctc_length(target: Tensor) -> int:
    """Minimum number of frames for `target`: one per label, and a blank between equal neighbors."""
    return len(target) + int((target[1:] == target[:-1]).sum())


def _greedy(log_probability: Float[Tensor, "frames classes"]) -> list[int]:
    """Best class of every frame, repeats merged and blanks dropped."""
    best = torch.unique_consecutive(log_probability.argmax(1)).tolist()
    return [label for label in best if label]
