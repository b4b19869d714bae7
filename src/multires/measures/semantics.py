"""Geometry against geometry: word similarity judgments and representational similarity analysis (RSA)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from scipy.stats import rankdata, spearmanr

from multires.errors import MultiresError
from multires.measures.bootstrap import LEVEL, Bootstrap, code_clusters, draw_weights, summarize
from multires.measures.statistics import as_matrix, check_finite, prefixed

Geometry = Literal["cosine", "euclidean"]
"""Distance between items."""

MAX_ITEMS = 1000
"""Items, at most, whose distances are compared by `rsa`."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman correlation with its interval and baseline.

    Attributes
    ----------
    value
        Spearman correlation.
    bootstrap
        Interval over items, pairs or clusters.
    shuffled
        Correlation after one side was shuffled.
    n
        Number of pairs.
    left_out
        Number of pairs or items that were not used: words without a vector, or items above the maximum.
    """

    value: float
    bootstrap: Bootstrap = field(repr=False)
    shuffled: float
    n: int
    left_out: int

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of the correlation (with ``low`` and ``high``) and its baseline."""
        low, high = self.bootstrap.interval
        common = {**columns, "n": self.n, "left_out": self.left_out}
        return [
            {**common, "measure": "spearman", "value": self.value, "low": low, "high": high},
            {**common, "measure": "spearman (shuffled)", "value": self.shuffled},
        ]


def word_similarity(
    vectors: Mapping[str, Float[np.ndarray, " dim"]],
    pairs: Sequence[tuple[str, str]],
    judgments: npt.ArrayLike,
    *,
    seed: int = 0,
    replicates: int = 500,
    level: float = LEVEL,
    name: str = "",
) -> RankCorrelation:
    """Spearman correlation of the cosines of word vectors with human judgments of similarity.

    For word-pair lists such as WordSim-353 or SimLex-999 (Pasad et al. 2023, arXiv 2211.03929, section 4.3, for speech
    models). Pairs are resampled for the interval.

    Parameters
    ----------
    vectors
        Vector of each word, such as the mean over its instances.
    pairs
        Pairs of words; those with a word that has no vector are left out and counted.
    judgments
        Similarity of each pair.
    seed
        Seed of the shuffled judgments and the bootstrap.
    replicates, level
        Number of resamples and nominal coverage.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If lengths differ, fewer than three pairs are left, or a vector is zero or not finite.

    Examples
    --------
    >>> vectors = {"cat": np.array([1.0, 0.1]), "dog": np.array([1.0, 0.2]), "car": np.array([0.1, 1.0])}
    >>> found = word_similarity(vectors, [("cat", "dog"), ("cat", "car"), ("dog", "car"), ("dog", "bus")], [9, 1, 2, 3])
    >>> round(found.value, 6), found.n, found.left_out
    (1.0, 3, 1)
    """
    judged = np.asarray(judgments, dtype=np.float64)
    if judged.shape != (len(pairs),):
        raise MultiresError(
            f"{prefixed(name)}{len(pairs)} pairs have judgments of shape {judged.shape}: give one for each"
        )
    known = np.array([a in vectors and b in vectors for a, b in pairs], dtype=bool)
    if known.sum() < 3:
        raise MultiresError(
            f"{prefixed(name)}{known.sum()} of {len(pairs)} pairs have vectors for both words: give more words"
        )
    cosines = np.empty(int(known.sum()))
    for place, index in enumerate(np.flatnonzero(known).tolist()):
        a, b = (np.asarray(vectors[word], dtype=np.float64) for word in pairs[index])
        length = np.linalg.norm(a) * np.linalg.norm(b)
        if not (np.isfinite(length) and length > 0):
            raise MultiresError(f"{prefixed(name)}a vector of the pair {pairs[index]} is zero or not finite")
        cosines[place] = a @ b / length
    judged = judged[known]
    value = float(spearmanr(cosines, judged).statistic)
    n = len(judged)
    drawn = np.empty(replicates)
    for replicate, draw in enumerate(draw_weights(n, replicates, seed).astype(np.int64)):
        chosen = np.repeat(np.arange(n), draw)
        with np.errstate(invalid="ignore", divide="ignore"):  # a resample of equal pairs has no correlation
            drawn[replicate] = np.corrcoef(rankdata(cosines[chosen]), rankdata(judged[chosen]))[0, 1]
    shuffled = np.random.default_rng([seed, n]).permutation(judged)
    return RankCorrelation(
        value=value,
        bootstrap=summarize(value, drawn, np.arange(n), seed, level),
        shuffled=float(spearmanr(cosines, shuffled).statistic),
        n=n,
        left_out=int((~known).sum()),
    )


def rsa(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    clusters: npt.ArrayLike | Sequence[Hashable] | None = None,
    *,
    geometry: Geometry = "cosine",
    max_items: int = MAX_ITEMS,
    seed: int = 0,
    replicates: int = 500,
    level: float = LEVEL,
    name: str = "",
) -> RankCorrelation:
    """Spearman correlation of the distances between items in two views (Kriegeskorte et al. 2008).

    At most `max_items` random items are compared, so that time does not grow with the square of items. The bootstrap
    resamples clusters of items with the ranks of distances held fixed; distances of an item to itself are left out.

    Parameters
    ----------
    x, y
        Shapes (items, dim_x) and (items, dim_y).
    clusters
        Speaker of each item; items individually if None.
    geometry
        ``cosine`` or ``euclidean`` distance.
    max_items
        Maximum number of items.
    seed
        Seed of the items, the shuffled items and the bootstrap.
    replicates, level
        Number of resamples and nominal coverage.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If items differ or are fewer than three, a value is not finite, or all distances are equal.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(60, 5))
    >>> round(rsa(x, 3 * x).value, 3), abs(rsa(x, rng.normal(size=(60, 5))).value) < 0.1
    (1.0, True)
    """
    if geometry not in get_args(Geometry):
        raise MultiresError(f"unknown geometry {geometry!r}: choose one of {', '.join(get_args(Geometry))}")
    views = [as_matrix(values, what, name) for what, values in (("x", x), ("y", y))]
    items = len(views[0])
    if len(views[1]) != items or items < 3:
        raise MultiresError(
            f"{prefixed(name)}x and y have {items} and {len(views[1])} items: give the same three or more"
        )
    names, member = code_clusters(np.arange(items) if clusters is None else clusters, items, name)
    chosen = np.sort(np.random.default_rng([seed, items]).permutation(items)[:max_items])
    present, member = np.unique(member[chosen], return_inverse=True)
    i, j = np.triu_indices(len(chosen), 1)
    ranks = []
    for what, view in zip(("x", "y"), views, strict=True):
        check_finite(view[chosen], what, name)
        distance = _distances(view[chosen].astype(np.float64), geometry, f"{prefixed(name)}{what}")[i, j]
        if np.ptp(distance) == 0:
            raise MultiresError(f"{prefixed(name)}all distances in {what} are equal: they have no order")
        rank = rankdata(distance)
        matrix = np.zeros((len(chosen), len(chosen)))
        matrix[i, j] = matrix[j, i] = (rank - rank.mean()) / rank.std()
        ranks.append(matrix)
    first, second = ranks
    off = 1.0 - np.eye(len(chosen))
    weights = draw_weights(len(present), replicates, seed)[:, member]
    count, mean_x, mean_y, xx, yy, xy = (
        np.einsum("ri,ri->r", weights @ matrix, weights)
        for matrix in (off, first, second, first**2, second**2, first * second)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (xy - mean_x * mean_y / count) / np.sqrt((xx - mean_x**2 / count) * (yy - mean_y**2 / count))
    value = float((first * second).sum() / off.sum())
    order = np.random.default_rng([seed, items, 1]).permutation(len(chosen))
    return RankCorrelation(
        value=value,
        bootstrap=summarize(value, drawn, [names[index] for index in present], seed, level),
        shuffled=float((first * second[np.ix_(order, order)]).sum() / off.sum()),
        n=len(i),
        left_out=items - len(chosen),
    )


def _distances(x: np.ndarray, geometry: Geometry, what: str) -> Float[np.ndarray, "items items"]:
    if geometry == "cosine":
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        if not (norms > 0).all():
            raise MultiresError(f"{what} has a row of zeros: it has no direction; leave it out")
        x = x / norms
        return 1 - x @ x.T
    squares = (x * x).sum(axis=1)
    return np.sqrt((squares[:, None] + squares - 2 * x @ x.T).clip(0))
