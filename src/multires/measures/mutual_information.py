"""Mutual information between clusters of vectors and labels, with bias correction, intervals and baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from sklearn.metrics import adjusted_mutual_info_score

from multires.errors import MultiresError
from multires.measures.bootstrap import MIN_CLUSTERS, Bootstrap, code_clusters, draw_weights, summarize
from multires.measures.contingency import Contingency, code_labels, entropies
from multires.measures.kmeans import fit_kmeans
from multires.measures.rows import Pieces
from multires.measures.statistics import prefixed


@dataclass(frozen=True)
class MIRun:
    """One clustering against one set of labels.

    Attributes
    ----------
    seed
        Seed of the clustering.
    bits
        Plug-in mutual information of cluster and label.
    corrected
        The same minus its first-order bias: Miller (1955), ``(K_cl - K_c - K_l + 1) / (2 n ln 2)`` bits, with the
        numbers of clusters, labels and pairs that occur. May be slightly negative.
    normalized
        `bits` over the label entropy: the published measure. It grows with the number of labels per row even for
        unrelated labels; compare `adjusted` if labels are many.
    adjusted
        Adjusted mutual information: 0 on average for unrelated labels, 1 for a perfect match (Vinh et al. 2010).
    purity
        Share of rows whose label is the most frequent label of their cluster.
    inertia
        Mean squared distance of training rows to their centers.
    """

    seed: int
    bits: float
    corrected: float
    normalized: float
    adjusted: float
    purity: float
    inertia: float


@dataclass(frozen=True)
class MIResult:
    """Mutual information with its interval and baseline; values are means over `runs`.

    Attributes
    ----------
    runs
        One run for each seed of the clustering.
    label_entropy
        Bits, over the evaluation rows.
    baseline
        Normalized mutual information with shuffled labels, which is due to bias alone.
    bootstrap
        Interval of the normalized value over speakers or utterances, with fixed k-means centers; None if none or fewer
        than `MIN_CLUSTERS` were given.
    n, n_train
        Number of evaluation and training rows.
    n_clusters, requested
        Number of k-means clusters used, and requested.
    labels
        Number of different labels.
    """

    runs: tuple[MIRun, ...]
    label_entropy: float
    baseline: float
    bootstrap: Bootstrap | None = field(repr=False)
    n: int
    n_train: int
    n_clusters: int
    requested: int
    labels: int

    @property
    def score(self) -> float:
        """Normalized mutual information."""
        return self._mean("normalized")

    @property
    def normalized(self) -> float:
        """Mutual information over label entropy."""
        return self._mean("normalized")

    @property
    def bits(self) -> float:
        """Plug-in mutual information."""
        return self._mean("bits")

    @property
    def corrected(self) -> float:
        """Miller-Madow corrected mutual information in bits."""
        return self._mean("corrected")

    @property
    def adjusted(self) -> float:
        """Adjusted mutual information."""
        return self._mean("adjusted")

    @property
    def purity(self) -> float:
        """Cluster purity."""
        return self._mean("purity")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Limits of the bootstrap interval of the normalized value."""
        return self.bootstrap.interval if self.bootstrap else None

    def _mean(self, what: str) -> float:
        return float(np.mean([getattr(run, what) for run in self.runs]))


def mutual_information(train: np.ndarray, evaluation: np.ndarray, labels: npt.ArrayLike, **settings: Any) -> MIResult:
    """Mutual information between the clusters of vectors and one set of labels; see `mutual_informations`."""
    return mutual_informations(train, evaluation, {"labels": labels}, **settings)["labels"]


def mutual_informations(
    train: np.ndarray | Pieces,
    evaluation: np.ndarray | Pieces,
    labels: Mapping[str, npt.ArrayLike],
    *,
    n_clusters: int = 500,
    seeds: Sequence[int] = (0,),
    resample_by: npt.ArrayLike | None = None,
    method: str = "lloyd",
    iterations: int = 30,
    rows_per_cluster: int = 10,
    batch_size: int = 1500,
    replicates: int = 500,
    level: float = 0.95,
    device: str | torch.device = "cpu",
    name: str = "",
) -> dict[str, MIResult]:
    """Mutual information between the clusters of vectors and each of several sets of labels.

    K-means is fitted to the training rows and applied to the evaluation rows (Pasad et al., arXiv 2107.04734); one
    clustering for each seed serves all sets of labels.

    Parameters
    ----------
    train, evaluation
        Vectors, shapes (rows, dim), any real type; `multires.measures.Pieces` if they do not fit in memory. Both
        may be the same.
    labels
        Label of every evaluation row, by name.
    n_clusters
        Number of k-means clusters; the protocol has 500 for phones and 5,000 for words.
    seeds
        One clustering for each seed.
    resample_by
        Speaker or utterance of every evaluation row, for the bootstrap.
    method, iterations, rows_per_cluster, batch_size, device
        As in `fit_kmeans`.
    replicates, level
        Number of bootstrap resamples and nominal coverage.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If vectors are not finite, labels are missing or all equal, or there is no seed.
    """
    if not len(seeds):
        raise MultiresError("seeds is empty: give at least one")
    rows = len(evaluation)
    coded = {view: code_labels(values, rows, view, name) for view, values in labels.items()}
    names, cluster_of_row = code_clusters(resample_by, rows, name)
    clusterings = []
    for seed in seeds:
        model = fit_kmeans(
            train,
            n_clusters,
            seed=int(seed),
            method=method,
            iterations=iterations,
            rows_per_cluster=rows_per_cluster,
            batch_size=batch_size,
            device=device,
            name=f"{prefixed(name)}train",
        )
        clusterings.append(
            (int(seed), model, model.predict(evaluation, device=device, name=f"{prefixed(name)}evaluation"))
        )
    results = {}
    for view, codes in coded.items():
        runs = tuple(_run(seed, clusters, codes, model.inertia) for seed, model, clusters in clusterings)
        partitions = [clusters for _, _, clusters in clusterings]
        results[view] = MIResult(
            runs=runs,
            label_entropy=float(entropies(np.bincount(codes).astype(np.float64))),
            baseline=_shuffled(partitions, codes, int(seeds[0])),
            bootstrap=_bootstrap(runs, partitions, codes, names, cluster_of_row, replicates, level),
            n=rows,
            n_train=len(train),
            n_clusters=clusterings[0][1].n_clusters,
            requested=n_clusters,
            labels=int(codes.max()) + 1,
        )
    return results


def _information(contingency: Contingency, counts: np.ndarray) -> tuple[float, float]:
    """Mutual information in bits, and the label entropy."""
    by_unit, by_label = contingency.sums()
    labels = float(entropies(by_label @ counts))
    return float(entropies(by_unit @ counts)) + labels - float(entropies(counts)), labels


def _run(seed: int, units: np.ndarray, codes: np.ndarray, inertia: float) -> MIRun:
    contingency = Contingency.of(units, codes)
    counts = contingency.counts
    bits, entropy = _information(contingency, counts)
    bias = (len(counts) - len(np.unique(units)) - len(np.unique(codes)) + 1) / (2 * len(codes) * np.log(2))
    largest = np.zeros(units.max() + 1)
    np.maximum.at(largest, contingency.unit, counts)
    return MIRun(
        seed=seed,
        bits=bits,
        corrected=float(bits - bias),
        normalized=bits / entropy,
        adjusted=float(adjusted_mutual_info_score(codes, units)),
        purity=float(largest.sum() / len(codes)),
        inertia=inertia,
    )


def _shuffled(partitions: list[np.ndarray], codes: np.ndarray, seed: int) -> float:
    """Mean normalized mutual information with shuffled labels, over the clusterings."""
    rng = np.random.default_rng([seed, len(codes)])
    values = []
    for units in partitions:
        contingency = Contingency.of(units, rng.permutation(codes))
        bits, entropy = _information(contingency, contingency.counts)
        values.append(bits / entropy)
    return float(np.mean(values))


def _bootstrap(
    runs: Sequence[MIRun],
    partitions: list[np.ndarray],
    codes: np.ndarray,
    names: list[str],
    cluster_of_row: np.ndarray,
    replicates: int,
    level: float,
) -> Bootstrap | None:
    """Resample speakers or utterances; the contingency table of a resample is a weighted sum of theirs."""
    if len(names) < MIN_CLUSTERS:
        return None
    seed = runs[0].seed
    draws = draw_weights(len(names), replicates, seed)
    values = np.stack([_replicates(units, codes, cluster_of_row, draws) for units in partitions])
    value = float(np.mean([run.normalized for run in runs]))
    return summarize(value, values.mean(axis=0), names, seed, level)


_DRAWN = 4_000_000
"""Number of resampled counts held at once."""

_NOTHING = 1e-9
"""Entropy, in bits, below which it is rounding error."""


def _replicates(
    units: np.ndarray, codes: np.ndarray, cluster_of_row: np.ndarray, draws: Float[np.ndarray, "replicates clusters"]
) -> Float[np.ndarray, " replicates"]:
    """Normalized mutual information in each resample; NaN if all its labels are equal."""
    contingency = Contingency.of(units, codes)
    counts = contingency.counts_by_cluster(cluster_of_row, draws.shape[1])
    by_unit, by_label = contingency.sums()
    values = np.empty(len(draws))
    at_once = max(1, _DRAWN // len(contingency.unit))
    for first in range(0, len(draws), at_once):
        pairs = counts @ draws[first : first + at_once].T
        labels = entropies(by_label @ pairs)
        bits = entropies(by_unit @ pairs) + labels - entropies(pairs)
        with np.errstate(invalid="ignore"):
            values[first : first + at_once] = np.where(labels > _NOTHING, bits / labels, np.nan)
    return values
