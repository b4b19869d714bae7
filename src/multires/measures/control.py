"""Control tasks, selectivity, and description length of probes."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from multires.errors import MultiresError
from multires.measures.bootstrap import LEVEL, Bootstrap, compare_replicates, ratio_bootstrap
from multires.measures.probe import DECAYS, ProbeResult, linear_probe, probe_probabilities
from multires.measures.statistics import prefixed

PORTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Shares of the items after which the probe is fitted again, as in Voita and Titov (2020), section 4.1."""

SMOOTHING = 0.01
"""Share of the uniform distribution that is mixed into every prediction."""

_FEWEST = 10
"""Items, at least, of the first portion, per label."""


@dataclass(frozen=True)
class SelectivityResult:
    """Accuracy of a probe and of the same probe on a control task.

    Attributes
    ----------
    selectivity
        Accuracy less control accuracy.
    low, high
        Limits of its paired interval; NaN with fewer than `multires.measures.MIN_CLUSTERS` clusters.
    probe, control
        Results of the two probes.
    """

    selectivity: float
    low: float
    high: float
    probe: ProbeResult
    control: ProbeResult

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of the probe, the control accuracy and the selectivity."""
        control = {**columns, "n": self.control.n_test, "measure": "control accuracy"}
        return [
            *self.probe.rows(**columns),
            {**control, "value": self.control.accuracy, "low": self.control.low, "high": self.control.high},
            {**control, "measure": "selectivity", "value": self.selectivity, "low": self.low, "high": self.high},
        ]


@dataclass(frozen=True)
class DescriptionLength:
    """Bits that encode the labels given the vectors.

    Attributes
    ----------
    bits
        Online code length.
    uniform_bits
        Code length without vectors or a model: ``n log2(labels)``.
    compression
        ``uniform_bits / bits``: higher is better; about 1 or less for unrelated labels.
    shuffled
        Compression of the labels in random order.
    bootstrap
        Interval of the compression over clusters, with the fitted probes held fixed.
    n, n_labels
        Number of items and of distinct labels.
    """

    bits: float
    uniform_bits: float
    compression: float
    shuffled: float
    bootstrap: Bootstrap = field(repr=False)
    n: int
    n_labels: int

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of bits per item, compression (with ``low`` and ``high``) and that of shuffled labels."""
        low, high = self.bootstrap.interval
        common = {**columns, "n": self.n, "n_labels": self.n_labels}
        return [
            {**common, "measure": "bits per item", "value": self.bits / self.n},
            {**common, "measure": "compression", "value": self.compression, "low": low, "high": high},
            {**common, "measure": "compression (shuffled)", "value": self.shuffled},
        ]


def control_labels(
    types: Sequence[Hashable] | npt.ArrayLike, labels: Sequence[Hashable] | npt.ArrayLike, *, seed: int
) -> np.ndarray:
    """Labels of a control task: one random label for each word type (Hewitt and Liang 2019, arXiv 1909.03368).

    Labels of types are drawn from the distribution of `labels` over items, so that the control task has the same
    labels and about the same frequencies. Items of one type share their label: only a probe that recognizes the type,
    and memorizes its label, solves the task.

    Parameters
    ----------
    types
        Word type of each item.
    labels
        Labels of the task that is to be controlled.
    seed
        Seed of the draws. Equal types get equal labels in two calls only if the calls have the same set of types: give
        training and test items together.

    Raises
    ------
    MultiresError
        If lengths differ.

    Examples
    --------
    >>> control = control_labels(["a", "b", "a", "c"], ["N", "V", "N", "N"], seed=0)
    >>> control[0] == control[2], set(control.tolist()) <= {"N", "V"}
    (True, True)
    """
    types, labels = np.asarray(types), np.asarray(labels)
    if types.shape != labels.shape or types.ndim != 1:
        raise MultiresError(f"types have shape {types.shape} and labels {labels.shape}: give one of each per item")
    names, codes = np.unique(types, return_inverse=True)
    return np.random.default_rng([seed, len(names)]).choice(labels, len(names))[codes]


def selectivity(
    train_x: Float[np.ndarray, "train dim"],
    train_y: Sequence[Hashable] | np.ndarray,
    test_x: Float[np.ndarray, "test dim"],
    test_y: Sequence[Hashable] | np.ndarray,
    train_types: Sequence[Hashable] | np.ndarray,
    test_types: Sequence[Hashable] | np.ndarray,
    *,
    seed: int,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    decays: Sequence[float] = DECAYS,
) -> SelectivityResult:
    """Selectivity of a linear probe: its accuracy less that on a control task (Hewitt and Liang 2019, section 2.2).

    A probe with high accuracy and low selectivity may have memorized word types instead of reading a property off the
    vectors. Parameters are those of `multires.measures.probe.linear_probe`, and the word type of every item.

    Raises
    ------
    MultiresError
        As `linear_probe`, and if types are not given for every item.
    """
    both = np.concatenate([np.asarray(train_types), np.asarray(test_types)])
    labels = np.concatenate([np.asarray(train_y), np.asarray(test_y)])
    control = control_labels(both, labels, seed=seed)
    cut = len(np.asarray(train_y))
    real, random = (
        linear_probe(train_x, y[:cut], test_x, y[cut:], seed=seed, clusters=clusters, groups=groups, decays=decays)
        for y in (labels, control)
    )
    difference = real.accuracy - random.accuracy
    low = high = float("nan")
    if real.bootstrap is not None and random.bootstrap is not None and np.isfinite(real.low):
        low, high = compare_replicates(difference, real.bootstrap.replicates, random.bootstrap.replicates)
    return SelectivityResult(difference, low, high, real, random)


def description_length(
    x: Float[np.ndarray, "items dim"],
    labels: Sequence[Hashable] | np.ndarray,
    *,
    seed: int,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    decay: float = 1e-2,
    portions: Sequence[float] = PORTIONS,
    replicates: int = 1000,
    level: float = LEVEL,
    name: str = "",
) -> DescriptionLength:
    r"""Online code length of labels given vectors: Voita and Titov (2020, arXiv 2003.12298), equation 3.

    Items are sent in random order, in portions. The first one is encoded with the uniform distribution, each further
    one with a linear probe fitted to all items before it:
    :math:`t_1 \log_2 K - \sum_i \sum_{j = t_i + 1}^{t_{i+1}} \log_2 p_i(y_j | x_j)`. Good vectors give good predictions
    from few items, so that the length measures the effort of extraction as well as the accuracy; it needs no test
    part, which suits tasks with few items. The uniform distribution is mixed in with a weight of `SMOOTHING`, since a
    label may occur for the first time.

    Parameters
    ----------
    x
        One vector per item.
    labels
        Label of each item.
    seed
        Seed of the order and the bootstrap.
    clusters
        Speaker of each item, for the interval; items individually if None.
    decay
        Weight decay of the probes, as of `multires.measures.probe.linear_probe`.
    portions
        Shares of the items after which the probe is fitted again; those with fewer than ten items per label are left
        out.
    replicates, level
        Number of resamples and nominal coverage.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If arrays do not match, are not finite, or there are fewer than two labels or too few items.
    """
    x = np.asarray(x)
    known, codes = np.unique(np.asarray(labels), return_inverse=True)
    n, count = len(codes), len(known)
    if x.ndim != 2 or len(x) != n or count < 2:
        raise MultiresError(
            f"{prefixed(name)}x has shape {x.shape} with {n} labels, {count} distinct: give two or more"
        )
    if not np.isfinite(x).all():
        raise MultiresError(f"{prefixed(name)}x holds values that are not finite: check the layer")
    if n < 2 * min(_FEWEST * count, n // 2 + 1) or n < 4:
        raise MultiresError(f"{prefixed(name)}{n} items are too few for a code: give at least {2 * _FEWEST * count}")
    rng = np.random.default_rng([seed, n])
    order = rng.permutation(n)
    first = min(_FEWEST * count, n // 2)
    ends = sorted({first, *(round(share * n) for share in portions if share * n > first), n})
    bits = _code(x[order], codes[order], count, ends, decay)
    shuffled = _code(x[order], rng.permutation(codes), count, ends, decay)
    uniform = n * np.log2(count)
    by_item = np.empty(n)
    by_item[order] = bits
    found = ratio_bootstrap(
        np.full(n, np.log2(count)), by_item, clusters, seed=seed, replicates=replicates, level=level
    )
    return DescriptionLength(
        bits=float(bits.sum()),
        uniform_bits=float(uniform),
        compression=float(uniform / bits.sum()),
        shuffled=float(uniform / shuffled.sum()),
        bootstrap=found,
        n=n,
        n_labels=count,
    )


def _code(x: np.ndarray, codes: np.ndarray, count: int, ends: list[int], decay: float) -> Float[np.ndarray, " items"]:
    """Bits of each item, in order."""
    bits = np.full(len(codes), np.log2(count))
    for start, end in itertools.pairwise(ends):
        probability = probe_probabilities(x[:start], codes[:start], x[start:end], count, decay)
        chosen = probability[np.arange(end - start), codes[start:end]]
        bits[start:end] = -np.log2((1 - SMOOTHING) * chosen + SMOOTHING / count)
    return bits
