"""Linear probes: multinomial logistic regression on frozen vectors, of one layer or of a weighted sum of layers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from multires.errors import MultiresError
from multires.measures.bootstrap import Bootstrap, ratio_bootstrap

DECAYS = (1e-2, 1e-3, 1e-4)
"""Weight decays to choose from, strongest first; scikit-learn's ``C`` is ``1 / (decay * n)``."""

_TOLERANCE, _ROUGH = 1e-6, 1e-4
"""Relative decrease of the objective at which a fit stops: the final fit, and fits that only compare weight decays."""

HELD_OUT = 0.2
"""Share of the training items (of the groups, if given) on which the weight decay is chosen."""


@dataclass(frozen=True)
class ProbeResult:
    """Score of a classification probe on the test items.

    Attributes
    ----------
    accuracy, low, high
        Share of test items classified correctly, and its 95 % bootstrap interval over clusters (NaN with fewer than
        `multires.measures.MIN_CLUSTERS` clusters).
    balanced_accuracy
        Mean recall over the test labels.
    majority
        Accuracy of always predicting the most frequent training label.
    shuffled
        Accuracy of the same probe trained on shuffled labels.
    n_train, n_test, n_labels
        Number of training items, test items, and distinct training labels.
    n_unseen
        Number of test items whose label does not occur in training; they count as errors.
    decay
        Weight decay with the highest accuracy on the held-out part of the training items.
    weights
        Softmax weight of each layer, for a weighted-sum probe.
    correct
        Mask of the test items classified correctly.
    bootstrap
        Resamples of the accuracy; those of two probes with the same clusters and seed are paired.
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
    correct: Bool[np.ndarray, " test"] | None = field(default=None, repr=False, compare=False)
    bootstrap: Bootstrap | None = field(default=None, repr=False, compare=False)

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of accuracy (with ``low`` and ``high``), balanced accuracy and the two baselines."""
        common = {**columns, "n": self.n_test, "n_train": self.n_train, "n_unseen": self.n_unseen}
        return [
            {**common, "measure": "accuracy", "value": self.accuracy, "low": self.low, "high": self.high},
            {**common, "measure": "balanced accuracy", "value": self.balanced_accuracy},
            {**common, "measure": "majority accuracy", "value": self.majority},
            {**common, "measure": "shuffled accuracy", "value": self.shuffled},
        ]


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
    """Multinomial logistic regression on standardized vectors.

    Parameters
    ----------
    train_x, test_x
        One vector per item; both are standardized by the mean and deviation of the training items.
    train_y, test_y
        Labels.
    seed
        Seed of the split that chooses the weight decay, the shuffled labels and the bootstrap.
    clusters
        Speaker of each test item, resampled as a whole by the bootstrap; items are resampled individually if None.
    groups
        Speaker of each training item, so that the weight decay is chosen on speakers that the head was not fitted to.
    decays
        Weight decays to choose from: factors of half the squared weights, added to the mean cross-entropy.

    Raises
    ------
    MultiresError
        If arrays do not match, are empty or not finite, or there is only one training label.
    """
    train, test = _matrix(train_x, "train_x"), _matrix(test_x, "test_x")
    if train.shape[1] != test.shape[1]:
        raise MultiresError(f"train_x has {train.shape[1]} dimensions and test_x {test.shape[1]}: give the same layer")
    train, test = _standardize(train[None], test[None])
    return _classify(train, train_y, test, test_y, seed, clusters, groups, decays)


def predict_labels(
    train_x: Float[np.ndarray, "train dim"],
    train_y: Sequence[Hashable] | np.ndarray,
    test_x: Float[np.ndarray, "test dim"],
    *,
    seed: int,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    decays: Sequence[float] = DECAYS,
) -> np.ndarray:
    """Labels that `linear_probe` predicts for each test item, for scores by speaker.

    Parameters
    ----------
    train_x, train_y, test_x, seed, groups, decays
        As for `linear_probe`.

    Raises
    ------
    MultiresError
        As `linear_probe`.
    """
    train, test = _matrix(train_x, "train_x"), _matrix(test_x, "test_x")
    if train.shape[1] != test.shape[1]:
        raise MultiresError(f"train_x has {train.shape[1]} dimensions and test_x {test.shape[1]}: give the same layer")
    if train.shape[0] != len(train_y):
        raise MultiresError(f"train has {train.shape[0]} vectors and {len(train_y)} labels: give one label per vector")
    labels, y = np.unique(np.asarray(train_y), return_inverse=True)
    if len(labels) < 2:
        raise MultiresError("train_y holds one label only: a probe needs at least two")
    train, test = _standardize(train[None], test[None])
    held_out = _held_out(len(y), groups, np.random.default_rng(seed))
    decay, start = _choose_decay(train, y, len(labels), held_out, decays)
    predicted: np.ndarray = labels[_fit(train, y, len(labels), decay, start).predict(test)]
    return predicted


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

    The weights are a softmax, learned together with the head from equal weights. Each layer is standardized first, so
    that a weight reflects the use of a layer and not its scale. Other parameters are those of `linear_probe`.

    Raises
    ------
    MultiresError
        As `linear_probe`, and if layers differ in width.
    """
    train, test = _layers(train_layers, "train_layers"), _layers(test_layers, "test_layers")
    if (train.shape[0], train.shape[2]) != (test.shape[0], test.shape[2]):
        raise MultiresError("train_layers and test_layers differ in layers or width: give the same layers of one model")
    train, test = _standardize(train, test)
    return _classify(train, train_y, test, test_y, seed, clusters, groups, decays)


def probe_probabilities(
    train_x: Float[np.ndarray, "train dim"],
    train_y: Int[np.ndarray, " train"],
    test_x: Float[np.ndarray, "test dim"],
    classes: int,
    decay: float,
) -> Float[np.ndarray, "test classes"]:
    """Class probabilities of a linear probe with a given weight decay.

    Parameters
    ----------
    train_x, test_x
        One vector per item; both are standardized by the training items.
    train_y
        Index of the class of each training item; a class without items gets a small probability.
    classes
        Number of classes.
    decay
        Weight decay.
    """
    train, test = _standardize(_matrix(train_x, "train_x")[None], _matrix(test_x, "test_x")[None])
    return _fit(train, train_y, classes, decay, tolerance=_ROUGH).probabilities(test)


def _matrix(values: np.ndarray, name: str) -> Tensor:
    array = np.asarray(values)
    if array.ndim != 2 or not array.size:
        raise MultiresError(f"{name} has shape {array.shape}: give a matrix with one vector per item")
    if not np.isfinite(array).all():
        raise MultiresError(f"{name} holds values that are not finite: check the layer it was taken from")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _layers(values: Sequence[np.ndarray] | np.ndarray, name: str) -> Tensor:
    layers = [_matrix(layer, f"{name}[{i}]") for i, layer in enumerate(values)]
    if len({layer.shape for layer in layers}) != 1:
        raise MultiresError(f"the layers in {name} differ in shape: a weighted sum needs one width and the same items")
    return torch.stack(layers)


def _standardize(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Standardize both parts by the training mean and deviation of each layer; constant dimensions become zero."""
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
            raise MultiresError(f"{name} has {x.shape[1]} vectors and {len(y)} labels: give one label per vector")
    labels, y = np.unique(np.asarray(train_y), return_inverse=True)
    if len(labels) < 2:
        raise MultiresError("train_y holds one label only: a probe needs at least two")
    code = {label: i for i, label in enumerate(labels.tolist())}
    truth = np.array([code.get(label, -1) for label in np.asarray(test_y).tolist()])
    rng = np.random.default_rng(seed)
    decay, start = _choose_decay(train, y, len(labels), _held_out(len(y), groups, rng), decays)
    fitted = _fit(train, y, len(labels), decay, start)
    correct = fitted.predict(test) == truth
    shuffled = _fit(train, rng.permutation(y), len(labels), decay, tolerance=_ROUGH).predict(test) == truth
    names = np.unique(np.asarray(test_y).astype(str), return_inverse=True)[1]
    bootstrap = ratio_bootstrap(correct.astype(float), np.ones(len(correct)), clusters, seed=seed)
    return ProbeResult(
        accuracy=float(correct.mean()),
        low=bootstrap.low,
        high=bootstrap.high,
        balanced_accuracy=float((np.bincount(names, correct) / np.bincount(names)).mean()),
        majority=float((truth == np.bincount(y).argmax()).mean()),
        shuffled=float(shuffled.mean()),
        n_train=len(y),
        n_test=len(truth),
        n_labels=len(labels),
        n_unseen=int((truth < 0).sum()),
        decay=decay,
        weights=tuple(fitted.layer_weights().tolist()) if len(train) > 1 else None,
        correct=correct,
        bootstrap=bootstrap,
    )


def _held_out(n: int, groups: Sequence[Hashable] | np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Mask of the items on which the weight decay is chosen: whole groups if there are several."""
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
    """Weight decay with the highest accuracy on the held-out items, searched from strong to weak until accuracy drops.

    Also returns the head fitted with it, from which the final fit starts.
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
    """Fitted head: weights and offsets of each class, and the logits of the layers' softmax weights."""

    weight: Float[Tensor, "dim classes"]
    offset: Float[Tensor, " classes"]
    mixture: Float[Tensor, " layers"]

    def layer_weights(self) -> Float[Tensor, " layers"]:
        return self.mixture.softmax(0)

    def predict(self, x: Float[Tensor, "layers items dim"]) -> np.ndarray:
        return self._logits(x).argmax(1).numpy()

    def probabilities(self, x: Float[Tensor, "layers items dim"]) -> np.ndarray:
        return self._logits(x).softmax(1).numpy()

    def _logits(self, x: Float[Tensor, "layers items dim"]) -> Float[Tensor, "items classes"]:
        return torch.tensordot(self.layer_weights(), x, dims=1) @ self.weight + self.offset


def _fit(
    x: Float[Tensor, "layers items dim"],
    y: np.ndarray,
    classes: int,
    decay: float,
    start: _Linear | None = None,
    tolerance: float = _TOLERANCE,
) -> _Linear:
    """Minimize mean cross-entropy + decay/2 * squared weights by L-BFGS.

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
