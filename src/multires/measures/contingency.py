"""Contingency tables of units and labels, as counts of the pairs that occur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int
from scipy import sparse
from scipy.special import xlogy

from multires.errors import MultiresError
from multires.measures.statistics import indicator, prefixed


@dataclass(frozen=True)
class Contingency:
    """Pairs of a unit and a label that occur.

    Attributes
    ----------
    pair_of_row
        Index of the pair of each row.
    unit, label
        Unit and label of each pair, sorted by unit.
    """

    pair_of_row: Int[np.ndarray, " rows"]
    unit: Int[np.ndarray, " pairs"]
    label: Int[np.ndarray, " pairs"]

    @classmethod
    def of(cls, units: Int[np.ndarray, " rows"], labels: Int[np.ndarray, " rows"]) -> Contingency:
        """Pairs of rows, from indices of units and labels."""
        width = int(labels.max()) + 1
        keys, pair_of_row = np.unique(units * width + labels, return_inverse=True)
        return cls(pair_of_row, keys // width, keys % width)

    @property
    def counts(self) -> Float[np.ndarray, " pairs"]:
        """Number of rows of each pair."""
        return np.bincount(self.pair_of_row).astype(np.float64)

    def counts_by_cluster(
        self, cluster_of_row: Int[np.ndarray, " rows"], clusters: int
    ) -> sparse.csr_matrix:  # (pairs, clusters)
        """Number of rows of each pair in each cluster."""
        ones = np.ones(len(self.pair_of_row))
        return sparse.csr_matrix((ones, (self.pair_of_row, cluster_of_row)), shape=(len(self.unit), clusters))

    def sums(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Matrices whose products with counts of pairs are the counts of units and of labels."""
        return indicator(self.unit, int(self.unit.max()) + 1), indicator(self.label, int(self.label.max()) + 1)


def code_labels(values: npt.ArrayLike, rows: int, what: str, name: str = "") -> Int[np.ndarray, " rows"]:
    """Index of the label of each row.

    Raises
    ------
    MultiresError
        If there is not one label per row, or there are fewer than two distinct labels.
    """
    values = np.asarray(values)
    if values.shape != (rows,):
        raise MultiresError(
            f"{prefixed(name)}{what} has shape {values.shape}: give one label for each of the {rows} rows"
        )
    known, codes = np.unique(values, return_inverse=True)
    if len(known) < 2:
        raise MultiresError(f"{prefixed(name)}{what} has {len(known)} label(s): mutual information needs at least two")
    return codes


def entropies(counts: Float[np.ndarray, "values *columns"]) -> Float[np.ndarray, "*columns"]:
    """Plug-in entropy of each column of counts, in bits."""
    total = counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log2(total) - xlogy(counts, counts).sum(axis=0) / (total * np.log(2))
