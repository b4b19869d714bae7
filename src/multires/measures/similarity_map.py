"""Similarity of every layer with every other: maps of debiased CKA and of mean CCA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from multires.errors import MultiresError
from multires.measures.bootstrap import LEVEL, MIN_CLUSTERS, code_clusters, draw_weights
from multires.measures.cca import cca_scores
from multires.measures.cka import join_clusters
from multires.measures.statistics import as_matrix, check_finite, prefixed
from multires.runtime.parallel import side_by_side

BLOCK = 256
"""Rows of a random block, within which all pairs of rows are compared."""

MAX_ROWS = 20_000
"""Rows that a map of CCA uses."""


@dataclass(frozen=True)
class SimilarityMap:
    """Similarity of layers of two models (or of one with itself).

    Attributes
    ----------
    value, low, high
        Shape (layers_x, layers_y); limits are NaN with fewer than `multires.measures.MIN_CLUSTERS` clusters.
    baseline
        The same for shuffled rows.
    n
        Number of rows.
    replicates
        Shape (replicates, layers_x, layers_y); empty without an interval. Maps with the same clusters and seed are
        paired.
    """

    value: Float[np.ndarray, "x y"]
    low: Float[np.ndarray, "x y"]
    high: Float[np.ndarray, "x y"]
    baseline: Float[np.ndarray, "x y"]
    n: int
    replicates: Float[np.ndarray, "replicates x y"] = field(repr=False)


def cka_map(
    layers_x: Sequence[np.ndarray],
    layers_y: Sequence[np.ndarray] | None = None,
    *,
    clusters: npt.ArrayLike | None = None,
    seed: int = 0,
    replicates: int = 500,
    level: float = LEVEL,
    name: str = "",
) -> SimilarityMap:
    """Debiased linear CKA of every pair of layers, in time linear in rows.

    HSIC is the mean of ``(x_i . x_j)(y_i . y_j)`` over pairs of different rows, with x and y about their means (its bias
    is of the order of rank / rows^2; the exact estimator is `multires.measures.debiased_cka`). The mean is over the pairs
    within random blocks of 256 rows (Nguyen et al. 2021, arXiv 2010.15327, section 3.1), an incomplete U-statistic: its
    variance exceeds that over all pairs only in the term of order 1 / rows^2. Each layer is read once for its mean and
    once in blocks, and may be a memory map.

    Parameters
    ----------
    layers_x, layers_y
        Layers of one or two models, each (rows, dim), over the same rows at one frame rate. Widths may differ.
    clusters
        Speaker of each row, for the interval; at most 50 are kept apart.
    seed
        Seed of blocks, shuffled rows and bootstrap.
    replicates, level
        Number of resamples and nominal coverage.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If rows differ or are fewer than four, a value is not finite, or a layer does not vary.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(1000, 20))
    >>> found = cka_map([x, x[:, :10], rng.normal(size=(1000, 20))])
    >>> np.abs(found.value).round(1).tolist()
    [[1.0, 0.7, 0.0], [0.7, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    layers = [as_matrix(layer, f"layer {i}", name) for i, layer in enumerate([*layers_x, *(layers_y or [])])]
    split = len(layers_x)
    rows = len(layers[0]) if layers else 0
    if rows < 4 or any(len(layer) != rows for layer in layers):
        raise MultiresError(
            f"{prefixed(name)}layers have {sorted({len(x) for x in layers})} rows: give the same four or more"
        )
    names, cluster_of_row = code_clusters(clusters, rows, name)
    names, cluster_of_row = join_clusters(names, cluster_of_row, seed)
    means = []
    for index, layer in enumerate(layers):
        check_finite(layer, f"layer {index}", name)
        means.append(layer.mean(axis=0, dtype=np.float64).astype(np.float32))
    order = np.random.default_rng([seed, rows]).permutation(rows)
    blocks = np.array_split(order, max(1, rows // BLOCK))
    sums = _Sums(layers, means, cluster_of_row, max(len(names), 1), split if layers_y is not None else None)
    parts = side_by_side(sums.of_block, blocks)
    total, shuffled, pairs = (np.sum([part[i] for part in parts], axis=0) for i in range(3))
    value, baseline = (
        sums.ratio(total.sum(axis=(2, 3))[None])[0],
        sums.ratio(shuffled[None], total.sum(axis=(2, 3))[None])[0],
    )
    if not np.isfinite(value).all():
        raise MultiresError(f"{prefixed(name)}a layer does not vary: nothing can be similar to it")
    low = high = np.full_like(value, np.nan)
    drawn = np.empty((0, *value.shape))
    if len(names) >= MIN_CLUSTERS:
        draws = draw_weights(len(names), replicates, seed)
        weighted = np.einsum("rs,lmst,rt->rlm", draws, total, draws, optimize=True)
        drawn = sums.ratio(weighted / np.einsum("rs,st,rt->r", draws, pairs, draws, optimize=True)[:, None, None])
        tail = (1 - level) / 2
        low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0) + value - np.nanmean(drawn, axis=0)
    return SimilarityMap(value, low, high, baseline, rows, drawn)


class _Sums:
    """Sums of products of Gram matrices over pairs of different rows, by pair of layers and pair of clusters."""

    def __init__(
        self, layers: list[np.ndarray], means: list[np.ndarray], cluster_of_row: np.ndarray, clusters: int,
        split: int | None,
    ) -> None:  # fmt: skip
        self.layers, self.means = layers, means
        self.cluster_of_row, self.clusters = cluster_of_row, clusters
        count = len(layers)
        self.x = list(range(count if split is None else split))
        self.y = self.x if split is None else list(range(split, count))
        self.wanted = [(i, j) for i in self.x for j in self.y if split is not None or i <= j]
        self.wanted += [(i, i) for i in range(count) if split is not None]

    def of_block(self, rows: Int[np.ndarray, " rows"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums of a block, those for shuffled rows without clusters, and numbers of pairs of rows."""
        rows = rows[np.argsort(self.cluster_of_row[rows], kind="stable")]
        present, starts = np.unique(self.cluster_of_row[rows], return_index=True)
        cells = np.ix_(present, present)
        order = np.random.default_rng([int(rows[0]), len(rows)]).permutation(len(rows))
        grams = np.empty((len(self.layers), len(rows), len(rows)), dtype=np.float32)
        for index, (layer, mean) in enumerate(zip(self.layers, self.means, strict=True)):
            values = layer[rows].astype(np.float32) - mean
            grams[index] = values @ values.T
            np.fill_diagonal(grams[index], 0)
        count = len(self.layers)
        sums = np.zeros((count, count, self.clusters, self.clusters))
        for i, j in self.wanted:
            product = np.add.reduceat(grams[i] * grams[j], starts, axis=1)
            sums[i, j][cells] = np.add.reduceat(product, starts, axis=0, dtype=np.float64)
        flat, moved = grams.reshape(count, -1), grams[:, order][:, :, order].reshape(count, -1)
        pairs = np.zeros((self.clusters, self.clusters))
        sizes = np.diff(np.append(starts, len(rows)))
        pairs[cells] = np.outer(sizes, sizes) - np.diag(sizes)
        return sums, (flat @ moved.T).astype(np.float64), pairs

    def ratio(
        self,
        hsic: Float[np.ndarray, "replicates layers layers"],
        own: Float[np.ndarray, "replicates layers layers"] | None = None,
    ) -> Float[np.ndarray, "replicates x y"]:
        """CKA from HSIC of pairs of layers, all up to one factor."""
        variance = np.einsum("rii->ri", hsic if own is None else own)
        upper = np.triu(np.ones(hsic.shape[1:], dtype=bool))
        whole = hsic if own is not None else np.where(upper, hsic, hsic.transpose(0, 2, 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = whole / np.sqrt(variance[:, :, None] * variance[:, None, :])
        return found[:, self.x][:, :, self.y]


def cca_map(
    layers_x: Sequence[np.ndarray],
    layers_y: Sequence[np.ndarray] | None = None,
    *,
    clusters: npt.ArrayLike | None = None,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    replicates: int = 500,
    level: float = LEVEL,
    name: str = "",
) -> SimilarityMap:
    """Cross-validated mean CCA of every pair of layers, on at most `max_rows` random rows.

    The matrices of a pair of layers must be decomposed for each trial, which takes seconds per pair at 768 dimensions;
    a sample of the rows is enough to train the projections. Within one model the map is symmetric and its diagonal is
    1. Parameters are those of `cka_map`; rows of one cluster stay in one fold.

    Raises
    ------
    MultiresError
        As `multires.measures.CCA`.
    """
    second = layers_x if layers_y is None else layers_y
    rows = len(layers_x[0])
    chosen = np.sort(np.random.default_rng([seed, rows]).permutation(rows)[:max_rows])
    groups = None if clusters is None else np.asarray(clusters)[chosen]
    shape = (len(layers_x), len(second))
    value, low, high, baseline = (np.full(shape, np.nan) for _ in range(4))
    drawn = np.full((replicates, *shape), np.nan)
    for i, layer in enumerate(layers_x):
        views = {str(j): np.asarray(other)[chosen] for j, other in enumerate(second) if layers_y is not None or j > i}
        if layers_y is None:
            value[i, i], drawn[:, i, i] = 1.0, 1.0
        if not views:
            continue
        found = cca_scores(
            np.asarray(layer)[chosen], views, variant="mean", groups=groups, seed=seed, replicates=replicates,
            level=level, name=f"{prefixed(name)}layer {i}",
        )  # fmt: skip
        for key, result in found.items():
            places = [(i, int(key))] + ([(int(key), i)] if layers_y is None else [])
            for place in places:
                value[place], baseline[place] = result.score, result.baseline
                if result.bootstrap is not None:
                    low[place], high[place] = result.bootstrap.interval
                    drawn[(slice(None), *place)] = result.bootstrap.replicates
    if np.isnan(low).all():
        drawn = drawn[:0]
    return SimilarityMap(value, low, high, baseline, len(chosen), drawn)
