"""Probes: how well a light head on frozen vectors tells labels of held-out speakers apart."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torchaudio
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from multires.errors import MultiresError

DECAYS = (1e-2, 1e-3, 1e-4)
"""Weight decays tried, strongest first; scikit-learn's ``C`` is ``1 / (decay * n)``."""

_TOLERANCE, _ROUGH = 1e-6, 1e-4
"""Relative decrease of the objective at which a fit stops: the final one, and those that only compare settings."""

HELD_OUT = 0.2
"""Share of the training part (of its groups, where they are given) on which settings are chosen."""

LEVEL = 0.95
"""Coverage of the intervals."""

_DRAWN = 1_000_000
"""Numbers drawn at once by the bootstrap."""


@dataclass(frozen=True)
class ProbeResult:
    """What a classification probe scored on the test part.

    Attributes
    ----------
    accuracy, low, high
        Share of test items classified rightly, and its 95 % bootstrap interval over clusters (NaN with one cluster).
    balanced_accuracy
        Mean over the test labels of the share of their items classified rightly.
    majority
        Accuracy of always answering the most frequent training label.
    shuffled
        Accuracy of the same probe trained on shuffled labels.
    n_train, n_test, n_labels
        Training items, test items, and labels in the training part.
    n_unseen
        Test items whose label never occurs in training; they count as errors.
    decay
        The weight decay that was best on the held-out part of training.
    weights
        Softmax weight of each layer, for a weighted-sum probe.
    """

    accuracy: float
    low: float
    high: float
    balanced_accuracy: float
    majority: float
    shuffled: float
    n_train: int
    n_test: int
    n_labels: int
    n_unseen: int
    decay: float
    weights: tuple[float, ...] | None = None

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """One tidy row each for accuracy (with ``low`` and ``high``), balanced accuracy and the two baselines."""
        common = {**columns, "n": self.n_test, "n_train": self.n_train, "n_unseen": self.n_unseen}
        return [
            {**common, "measure": "accuracy", "value": self.accuracy, "low": self.low, "high": self.high},
            {**common, "measure": "balanced accuracy", "value": self.balanced_accuracy},
            {**common, "measure": "majority accuracy", "value": self.majority},
            {**common, "measure": "shuffled accuracy", "value": self.shuffled},
        ]


@dataclass(frozen=True)
class RecognitionResult:
    """What a CTC probe scored on the test part.

    Attributes
    ----------
    error_rate, low, high
        Edits per reference label over all test utterances, and its 95 % bootstrap interval over clusters.
    n_train, n_test
        Training and test utterances.
    n_labels
        Reference labels in the test part.
    n_too_short
        Training utterances left out because they have fewer frames than CTC needs for their labels.
    weights
        Softmax weight of each layer, where several were given.
    """

    error_rate: float
    low: float
    high: float
    n_train: int
    n_test: int
    n_labels: int
    n_too_short: int
    weights: tuple[float, ...] | None = None

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """One tidy row, measure ``error rate``."""
        common = {**columns, "n": self.n_labels, "n_train": self.n_train, "n_too_short": self.n_too_short}
        return [{**common, "measure": "error rate", "value": self.error_rate, "low": self.low, "high": self.high}]


def linear_probe(
    train_x: Float[np.ndarray, "train dim"],
    train_y: Sequence[Hashable] | np.ndarray,
    test_x: Float[np.ndarray, "test dim"],
    test_y: Sequence[Hashable] | np.ndarray,
    *,
    seed: int,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    decays: Sequence[float] = DECAYS,
) -> ProbeResult:
    """Multinomial logistic regression on standardised vectors.

    Parameters
    ----------
    train_x, test_x
        One vector an item; both parts are standardised by the training part's mean and deviation.
    train_y, test_y
        Labels.
    seed
        Of the split that chooses the weight decay, the shuffled labels and the bootstrap.
    clusters
        Speaker of each test item, resampled whole by the bootstrap; items are resampled singly where None.
    groups
        Speaker of each training item, so that the weight decay is chosen on speakers the head was not fitted to.
    decays
        Weight decays to choose from, each the factor of half the squared weights beside the mean cross-entropy.

    Raises
    ------
    MultiresError
        For arrays that do not match, are empty or not finite, or a training part with one label.
    """
    train, test = _matrix(train_x, "train_x"), _matrix(test_x, "test_x")
    if train.shape[1] != test.shape[1]:
        raise MultiresError(f"train_x has {train.shape[1]} dimensions and test_x {test.shape[1]}: give the same layer")
    train, test = _standardise(train[None], test[None])
    return _classify(train, train_y, test, test_y, seed, clusters, groups, decays)


def weighted_sum_probe(
    train_layers: Sequence[np.ndarray] | Float[np.ndarray, "layers train dim"],
    train_y: Sequence[Hashable] | np.ndarray,
    test_layers: Sequence[np.ndarray] | Float[np.ndarray, "layers test dim"],
    test_y: Sequence[Hashable] | np.ndarray,
    *,
    seed: int,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    decays: Sequence[float] = DECAYS,
) -> ProbeResult:
    """Logistic regression on a learned weighted sum of layers, as SUPERB evaluates (arXiv 2105.01051, section 3.1).

    The weights are a softmax, learned together with the head from an equal start. Each layer is standardised first,
    so that a weight says how much a layer is used and not how large its numbers are. Other parameters as for
    `linear_probe`.

    Raises
    ------
    MultiresError
        As `linear_probe`, and for layers of different widths.
    """
    train, test = _layers(train_layers, "train_layers"), _layers(test_layers, "test_layers")
    if (train.shape[0], train.shape[2]) != (test.shape[0], test.shape[2]):
        raise MultiresError("train_layers and test_layers differ in layers or width: give the same layers of one model")
    train, test = _standardise(train, test)
    return _classify(train, train_y, test, test_y, seed, clusters, groups, decays)


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
) -> RecognitionResult:
    """Phone recognition with one linear layer trained by CTC and decoded greedily.

    Parameters
    ----------
    train_frames, test_frames
        One array an utterance: ``(frames, dim)``, or ``(layers, frames, dim)`` for a learned weighted sum of layers.
    train_labels, test_labels
        Each utterance's labels in order. A test label that never occurs in training can only be an error.
    seed
        Of the head, the order of utterances and the bootstrap.
    clusters
        Speaker of each test utterance, resampled whole by the bootstrap; utterances singly where None.
    steps, batch, learning_rate
        Adam with a cosine schedule; a batch is that many utterances of similar length.
    device
        Where the head is trained.

    Raises
    ------
    MultiresError
        For lists that do not match or are empty, and where no training utterance is long enough for its labels.
    """
    for frames, labels, name in ((train_frames, train_labels, "train"), (test_frames, test_labels, "test")):
        if not len(frames) or len(frames) != len(labels):
            raise MultiresError(f"{name}_frames and {name}_labels hold {len(frames)} and {len(labels)} utterances")
    train, test = [_stacked(x) for x in train_frames], [_stacked(x) for x in test_frames]
    inventory = {label: i for i, label in enumerate(sorted({x for labels in train_labels for x in labels}), 1)}
    targets = [torch.tensor([inventory[x] for x in labels]) for labels in train_labels]
    usable = [i for i, y in enumerate(targets) if len(y) and train[i].shape[1] >= _ctc_length(y)]
    if not usable:
        raise MultiresError("no training utterance has as many frames as labels: use a layer of shorter frame period")
    mean, deviation = _frame_moments([train[i] for i in usable])
    train = [(x - mean) / deviation for x in train]
    test = [(x - mean) / deviation for x in test]
    head = _train_ctc([train[i] for i in usable], [targets[i] for i in usable], len(inventory), seed, steps, batch,
                      learning_rate, torch.device(device))  # fmt: skip
    with torch.no_grad():
        found = [_greedy(head(x[:, None].to(device))[0]) for x in test]
    names = {i: label for label, i in inventory.items()}
    edits = [torchaudio.functional.edit_distance(list(reference), [names[i] for i in guess])
             for reference, guess in zip(test_labels, found, strict=True)]  # fmt: skip
    counts = np.array([len(reference) for reference in test_labels], dtype=float)
    if not counts.sum():
        raise MultiresError("test_labels holds no label: give transcribed utterances")
    numerators = np.array(edits, dtype=float)
    low, high = ratio_interval(numerators, counts, clusters, seed=seed)
    layered = train[0].shape[0] > 1
    return RecognitionResult(
        error_rate=float(numerators.sum() / counts.sum()),
        low=low,
        high=high,
        n_train=len(usable),
        n_test=len(test),
        n_labels=int(counts.sum()),
        n_too_short=len(train) - len(usable),
        weights=tuple(head.layer_weights().tolist()) if layered else None,
    )


def ratio_interval(
    numerators: Float[np.ndarray, " items"],
    denominators: Float[np.ndarray, " items"],
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    *,
    seed: int,
    resamples: int = 1000,
) -> tuple[float, float]:
    """Percentile bootstrap interval of ``sum(numerators) / sum(denominators)``, whole clusters resampled.

    NaN at both ends where there is one cluster only, since nothing can then be said about others.
    """
    if clusters is None:
        member = np.arange(len(numerators))
    else:
        if len(clusters) != len(numerators):
            raise MultiresError(f"clusters holds {len(clusters)} entries for {len(numerators)} test items")
        member = np.unique(np.asarray(clusters).astype(str), return_inverse=True)[1]
    top, bottom = np.bincount(member, numerators), np.bincount(member, denominators)
    if len(top) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    shares = np.full(len(top), 1 / len(top))
    at_once = max(1, _DRAWN // len(top))
    ratios = np.empty(resamples)
    for first in range(0, resamples, at_once):
        part = ratios[first : first + at_once]
        times = rng.multinomial(len(top), shares, size=len(part)).astype(float)
        part[:] = (times @ top) / np.maximum(times @ bottom, 1e-12)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


def _matrix(values: np.ndarray, name: str) -> Tensor:
    array = np.asarray(values)
    if array.ndim != 2 or not array.size:
        raise MultiresError(f"{name} has shape {array.shape}: give a matrix with one vector an item")
    if not np.isfinite(array).all():
        raise MultiresError(f"{name} holds values that are not finite: check the layer it was taken from")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _layers(values: Sequence[np.ndarray] | np.ndarray, name: str) -> Tensor:
    layers = [_matrix(layer, f"{name}[{i}]") for i, layer in enumerate(values)]
    if len({layer.shape for layer in layers}) != 1:
        raise MultiresError(f"the layers in {name} differ in shape: a weighted sum needs one width and the same items")
    return torch.stack(layers)


def _standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both parts by the training part's mean and deviation, layer by layer; constant dimensions stay at zero."""
    deviation, mean = torch.std_mean(train, dim=1, keepdim=True, correction=0)
    deviation = torch.where(deviation > 1e-6 * (1 + mean.abs()), deviation, torch.ones_like(deviation))
    return (train - mean) / deviation, (test - mean) / deviation


def _classify(
    train: Float[Tensor, "layers train dim"],
    train_y: Sequence[Hashable] | np.ndarray,
    test: Float[Tensor, "layers test dim"],
    test_y: Sequence[Hashable] | np.ndarray,
    seed: int,
    clusters: Sequence[Hashable] | np.ndarray | None,
    groups: Sequence[Hashable] | np.ndarray | None,
    decays: Sequence[float],
) -> ProbeResult:
    for x, y, name in ((train, train_y, "train"), (test, test_y, "test")):
        if x.shape[1] != len(y):
            raise MultiresError(f"{name} has {x.shape[1]} vectors and {len(y)} labels: give one label a vector")
    labels, y = np.unique(np.asarray(train_y), return_inverse=True)
    if len(labels) < 2:
        raise MultiresError("train_y holds one label only: a probe needs at least two")
    code = {label: i for i, label in enumerate(labels.tolist())}
    truth = np.array([code.get(label, -1) for label in np.asarray(test_y).tolist()])
    rng = np.random.default_rng(seed)
    decay, start = _choose_decay(train, y, len(labels), _held_out(len(y), groups, rng), decays)
    fitted = _fit(train, y, len(labels), decay, start)
    right = fitted.predict(test) == truth
    shuffled = _fit(train, rng.permutation(y), len(labels), decay, tolerance=_ROUGH).predict(test) == truth
    names = np.unique(np.asarray(test_y).astype(str), return_inverse=True)[1]
    low, high = ratio_interval(right.astype(float), np.ones(len(right)), clusters, seed=seed)
    return ProbeResult(
        accuracy=float(right.mean()),
        low=low,
        high=high,
        balanced_accuracy=float((np.bincount(names, right) / np.bincount(names)).mean()),
        majority=float((truth == np.bincount(y).argmax()).mean()),
        shuffled=float(shuffled.mean()),
        n_train=len(y),
        n_test=len(truth),
        n_labels=len(labels),
        n_unseen=int((truth < 0).sum()),
        decay=decay,
        weights=tuple(fitted.layer_weights().tolist()) if len(train) > 1 else None,
    )


def _held_out(n: int, groups: Sequence[Hashable] | np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """A mask of the items on which settings are chosen: whole groups where there are several."""
    if groups is not None:
        if len(groups) != n:
            raise MultiresError(f"groups holds {len(groups)} entries for {n} training items")
        names, member = np.unique(np.asarray(groups).astype(str), return_inverse=True)
        if len(names) > 1:
            chosen = rng.permutation(len(names))[: max(1, round(HELD_OUT * len(names)))]
            return np.isin(member, chosen)
    mask = np.zeros(n, dtype=bool)
    mask[rng.permutation(n)[: max(1, round(HELD_OUT * n))]] = True
    return mask


def _choose_decay(
    x: Float[Tensor, "layers items dim"], y: np.ndarray, classes: int, held_out: np.ndarray, decays: Sequence[float]
) -> tuple[float, _Linear | None]:
    """The weight decay of highest accuracy on the held-out items, from strong to weak until it stops rising.

    Also gives the head fitted with it, from which the final fit starts.
    """
    if len(decays) == 1:
        return decays[0], None
    part = torch.from_numpy(~held_out)
    decay, head, accuracy = decays[0], None, -1.0
    for next_decay in sorted(decays, reverse=True):
        next_head = _fit(x[:, part], y[~held_out], classes, next_decay, head, tolerance=_ROUGH)
        next_accuracy = float((next_head.predict(x[:, ~part]) == y[held_out]).mean())
        if next_accuracy <= accuracy:
            break
        decay, head, accuracy = next_decay, next_head, next_accuracy
    return decay, head


@dataclass(frozen=True)
class _Linear:
    """A fitted head: weights and offsets of each class, and the logits of the layers' softmax weights."""

    weight: Float[Tensor, "dim classes"]
    offset: Float[Tensor, " classes"]
    mixture: Float[Tensor, " layers"]

    def layer_weights(self) -> Float[Tensor, " layers"]:
        return self.mixture.softmax(0)

    def predict(self, x: Float[Tensor, "layers items dim"]) -> np.ndarray:
        mixed = torch.tensordot(self.layer_weights(), x, dims=1)
        return (mixed @ self.weight + self.offset).argmax(1).numpy()


def _fit(
    x: Float[Tensor, "layers items dim"],
    y: np.ndarray,
    classes: int,
    decay: float,
    start: _Linear | None = None,
    tolerance: float = _TOLERANCE,
) -> _Linear:
    """Minimise mean cross-entropy + decay/2 * squared weights by L-BFGS.

    The search runs in the principal axes of the (equally mixed) vectors, each coordinate scaled by the root of the
    curvature expected along it: the variance times a class's p (1 - p), for a p between the class's share and an even
    one (their geometric mean), since the head starts from even odds and ends at the shares. The minimum is the same
    and is reached in several times fewer steps.
    """
    layers, n, dim = x.shape
    target, item = torch.from_numpy(y), torch.arange(n)
    variances, axes = torch.linalg.eigh(torch.cov(x.mean(0).T, correction=0).reshape(dim, dim).double())
    shares = torch.from_numpy((np.bincount(y, minlength=classes) + 1) / (n + classes))  # no class counts as impossible
    spread = (shares * (1 - shares) / classes).sqrt()
    scale = torch.outer(variances.clamp_min(0), spread).add_(decay).rsqrt_().float()
    offset_scale = spread.rsqrt().float()
    penalty = decay * scale.square()
    rotated = x @ axes.float()
    by_layer = rotated.view(layers, -1)
    sizes = (dim * classes, classes, layers)

    def unpack(vector: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        weight, offset, mixture = torch.from_numpy(vector).float().split(sizes)
        return weight.view(dim, classes), offset, mixture

    def objective(vector: np.ndarray) -> tuple[float, np.ndarray]:
        weight, offset, mixture = unpack(vector)
        loss = 0.5 * float((penalty * weight.square()).sum())
        slope = penalty * weight
        weight = weight * scale
        mixed_by = mixture.softmax(0)
        mixed = rotated[0] if layers == 1 else (mixed_by @ by_layer).view(n, dim)
        log_probability = torch.addmm(offset * offset_scale, mixed, weight).log_softmax(1)
        loss += functional.nll_loss(log_probability, target).item()
        error = log_probability.exp_()
        error[item, target] -= 1
        error /= n
        gradient = [(mixed.T @ error).mul_(scale).add_(slope), error.sum(0) * offset_scale, torch.zeros(layers)]
        if layers > 1:
            by_share = by_layer @ (error @ weight.T).flatten()
            gradient[2] = mixed_by * (by_share - mixed_by @ by_share)
        return loss, torch.cat([part.flatten() for part in gradient]).double().numpy()

    first = np.zeros(sum(sizes))
    if start is not None:
        weight = (axes.float().T @ start.weight) / scale
        first = torch.cat([weight.flatten(), start.offset / offset_scale, start.mixture]).double().numpy()
    options = {"maxiter": 300, "maxcor": 10, "ftol": tolerance, "gtol": 1e-6}
    found = minimize(objective, first, jac=True, method="L-BFGS-B", options=options)
    weight, offset, mixture = unpack(found.x)
    return _Linear(axes.float() @ (weight * scale), offset * offset_scale, mixture)


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
        mixed = (self.mixture.softmax(0) @ x.flatten(1)).view(x.shape[1:])  # one product: four times as fast as einsum
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
    optimiser = torch.optim.Adam(head.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order = sorted(range(len(frames)), key=lambda i: (frames[i].shape[1], i))
    batches = [order[i : i + batch] for i in range(0, len(order), batch)]
    # The system would take as long to find room for a batch anew in each step as the step itself takes.
    largest = max(len(chosen) * max(frames[i].shape[1] for i in chosen) for chosen in batches)
    room = torch.empty(largest * frames[0].shape[0] * frames[0].shape[2])
    for step in range(steps):
        if step % len(batches) == 0:
            turn = torch.randperm(len(batches), generator=generator).tolist()
        chosen = batches[turn[step % len(batches)]]
        lengths = torch.tensor([frames[i].shape[1] for i in chosen])
        shape = (frames[0].shape[0], len(chosen), int(lengths.max()), frames[0].shape[2])
        x = room[: math.prod(shape)].view(shape)
        for place, i in enumerate(chosen):
            x[:, place, : frames[i].shape[1]] = frames[i]
            x[:, place, frames[i].shape[1] :] = 0.0
        loss = functional.ctc_loss(
            head(x.to(device)).transpose(0, 1),
            torch.cat([targets[i] for i in chosen]).to(device),
            lengths,
            torch.tensor([len(targets[i]) for i in chosen]),
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
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


def _ctc_length(target: Tensor) -> int:
    """The fewest frames that can spell `target`: one a label, and a blank between equal neighbours."""
    return len(target) + int((target[1:] == target[:-1]).sum())


def _greedy(log_probability: Float[Tensor, "frames classes"]) -> list[int]:
    """The best class of every frame, repeats merged and blanks dropped."""
    best = torch.unique_consecutive(log_probability.argmax(1)).tolist()
    return [label for label in best if label]
