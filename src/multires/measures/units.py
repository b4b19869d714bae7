"""Discrete units against labels: PNMI, phone purity, cluster purity and adjusted mutual information."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from multires.measures.bootstrap import LEVEL, Bootstrap, code_clusters, draw_weights, summarize
from multires.measures.contingency import Contingency, code_labels, entropies
from multires.measures.statistics import prefixed

MEASURES = ("pnmi", "phone purity", "cluster purity", "adjusted mi")
"""Measures of `UnitResult`."""

_DRAWN = 4_000_000
"""Number of resampled counts held at once."""


@dataclass(frozen=True)
class UnitResult:
    """Agreement of units and labels.

    Attributes
    ----------
    values
        By measure. ``pnmi``: mutual information over label entropy, the share of the uncertainty about the label that
        the unit removes. ``phone purity``: accuracy of predicting the most frequent label of each unit. ``cluster
        purity``: accuracy of predicting the most frequent unit of each label. ``adjusted mi``: adjusted mutual
        information (Vinh et al. 2010), 0 on average for unrelated units. The first three grow with the number of
        units even if these are unrelated to the labels; compare the last one, or the differences from `baseline`,
        between numbers of units.
    baseline
        The same for shuffled labels.
    bootstrap
        Intervals by measure, over clusters. That of ``adjusted mi`` holds the expected information of unrelated units
        fixed.
    n, n_units, n_labels
        Number of rows, distinct units and distinct labels.
    """

    values: dict[str, float]
    baseline: dict[str, float]
    bootstrap: dict[str, Bootstrap] = field(repr=False)
    n: int
    n_units: int
    n_labels: int

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of each measure (with ``low`` and ``high``) and its baseline."""
        rows = []
        for measure, value in self.values.items():
            low, high = self.bootstrap[measure].interval if measure in self.bootstrap else (np.nan, np.nan)
            common = {**columns, "n": self.n, "n_units": self.n_units, "n_labels": self.n_labels}
            rows.append({**common, "measure": measure, "value": value, "low": low, "high": high})
            rows.append({**common, "measure": f"{measure} (shuffled)", "value": self.baseline[measure]})
        return rows


def unit_scores(
    units: npt.ArrayLike,
    labels: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    replicates: int = 500,
    level: float = LEVEL,
    name: str = "",
) -> UnitResult:
    """Agreement of discrete units with labels: HuBERT (Hsu et al. 2021, arXiv 2106.07447, section 4.4).

    Give one row per frame: units from k-means of a layer or from the training targets, labels from a forced alignment.
    Time and memory are linear in rows.

    Parameters
    ----------
    units, labels
        Shape (rows,), of any hashable type.
    clusters
        Speaker of each row, for the intervals; no intervals if None.
    seed
        Seed of the shuffled labels and the bootstrap.
    replicates, level
        Number of resamples and nominal coverage.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If lengths differ, or there are fewer than two distinct units or labels.

    Examples
    --------
    >>> found = unit_scores([0, 0, 0, 1, 1, 2, 2, 2], list("aabbbccc"))
    >>> {measure: round(value, 3) for measure, value in found.values.items() if measure != "adjusted mi"}
    {'pnmi': 0.779, 'phone purity': 0.875, 'cluster purity': 0.875}
    """
    labels = np.asarray(labels)
    label = code_labels(labels, len(labels), "labels", name)
    unit = code_labels(units, len(label), "units", name)
    contingency = Contingency.of(unit, label)
    expected = _expected(label, unit)
    values = {m: float(v[0]) for m, v in _scores(contingency, contingency.counts[:, None], expected).items()}
    values["adjusted mi"] = float(adjusted_mutual_info_score(label, unit))
    shuffled = np.random.default_rng([seed, len(label)]).permutation(label)
    chance = Contingency.of(unit, shuffled)
    baseline = {m: float(v[0]) for m, v in _scores(chance, chance.counts[:, None], expected).items()}
    names, cluster_of_row = code_clusters(clusters, len(label), f"{prefixed(name)}units")
    bootstrap = {}
    if names:
        draws = draw_weights(len(names), replicates, seed)
        counts = contingency.counts_by_cluster(cluster_of_row, len(names))
        at_once = max(1, _DRAWN // len(contingency.unit))
        parts = [
            _scores(contingency, counts @ draws[first : first + at_once].T, expected)
            for first in range(0, replicates, at_once)
        ]
        for measure in MEASURES:
            drawn = np.concatenate([part[measure] for part in parts])
            bootstrap[measure] = summarize(values[measure], drawn, names, seed, level)
    return UnitResult(values, baseline, bootstrap, len(label), int(unit.max()) + 1, int(label.max()) + 1)


def _scores(
    contingency: Contingency, counts: Float[np.ndarray, "pairs tables"], expected: float
) -> dict[str, Float[np.ndarray, " tables"]]:
    """Measures of several tables with the same pairs."""
    by_unit, by_label = contingency.sums()
    total = counts.sum(axis=0)
    unit, label = entropies(by_unit @ counts), entropies(by_label @ counts)
    bits = unit + label - entropies(counts)
    by_label_order = np.argsort(contingency.label, kind="stable")
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "pnmi": bits / label,
            "phone purity": _largest(counts, contingency.unit).sum(axis=0) / total,
            "cluster purity": _largest(counts[by_label_order], contingency.label[by_label_order]).sum(axis=0) / total,
            "adjusted mi": (bits - expected) / ((unit + label) / 2 - expected),
        }


def _largest(counts: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Largest count of each run of equal keys."""
    return np.maximum.reduceat(counts, np.append(0, np.flatnonzero(np.diff(key)) + 1), axis=0)


def _expected(label: np.ndarray, unit: np.ndarray) -> float:
    """Expected mutual information of unrelated units with these counts, in bits."""
    table = contingency_matrix(label, unit, sparse=True).astype(np.int64)
    return float(expected_mutual_information(table, len(label))) / np.log(2)
