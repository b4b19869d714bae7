"""Sufficient statistics of paired views, gathered in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int
from scipy import sparse

from multires.errors import MultiresError
from multires.runtime.parallel import side_by_side
from multires.visible import visible

VIEW = "y"
"""Name of the second view if there is only one."""

_LARGEST = 1e150
"""Squares of larger numbers, summed, overflow float64."""

YViews = np.ndarray | Mapping[str, np.ndarray]
"""A matrix (rows, dim_y), a vector of label indices (rows,), or several of these by name."""


@dataclass(frozen=True)
class Moments:
    """Count, means and scatter matrices of two views over the same rows.

    Attributes
    ----------
    count
        Number of rows.
    mean_x, mean_y
        Shapes (dim_x,) and (dim_y,).
    xx, yy, xy
        Sums over rows of the outer products of deviations from the means; divide by ``count - 1`` for covariances.
        Shapes (dim_x, dim_x), (dim_y, dim_y), (dim_x, dim_y).
    """

    count: int
    mean_x: Float[np.ndarray, " dim_x"]
    mean_y: Float[np.ndarray, " dim_y"]
    xx: Float[np.ndarray, "dim_x dim_x"]
    yy: Float[np.ndarray, "dim_y dim_y"]
    xy: Float[np.ndarray, "dim_x dim_y"]


class CCAStatistics:
    """Counts, means and scatter matrices of one view `x` and one or more views `y`, per group, in float64.

    A group is a fold of the cross-validation, or a cell (fold, speaker) if a bootstrap is computed from the statistics
    alone. Deviations are taken from each group's running mean and merged by the
    pairwise formula of Chan, Golub and LeVeque (1983), so that a large mean costs no precision and the result does
    not depend on batch size or order beyond rounding. Memory is ``groups * (dim_x + sum(dim_y)) * dim_x`` numbers and
    the scatter of each y, whatever the number of rows.

    Parameters
    ----------
    dim_x
        Number of columns of `x`.
    dim_y
        Number of columns of `y`, or of each view by name. All y views share the statistics of `x`.
        A view of labels has one column per label (one-hot), and is updated with label indices.
    groups
        Number of groups.

    Raises
    ------
    MultiresError
        If a dimension or the number of groups is not positive.
    """

    def __init__(self, dim_x: int, dim_y: int | Mapping[str, int], groups: int = 1) -> None:
        dims = {VIEW: dim_y} if isinstance(dim_y, int | np.integer) else dict(dim_y)
        for what, value in {
            "dim_x": dim_x,
            "groups": groups,
            **{f"dim_y of {k!r}": v for k, v in dims.items()},
        }.items():
            if value < 1:
                raise MultiresError(f"{what} is {value}: it must be at least 1")
        self.count = np.zeros(groups, dtype=np.int64)
        self.mean_x = np.zeros((groups, dim_x))
        self.xx = np.zeros((groups, dim_x, dim_x))
        self.mean_y = {view: np.zeros((groups, dim)) for view, dim in dims.items()}
        self.yy = {view: np.zeros((groups, dim, dim)) for view, dim in dims.items()}
        self.xy = {view: np.zeros((groups, dim_x, dim)) for view, dim in dims.items()}

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.count)

    @property
    def dim_x(self) -> int:
        """Number of columns of x."""
        return self.mean_x.shape[1]

    @property
    def views(self) -> dict[str, int]:
        """Number of columns of each y view by name."""
        return {view: mean.shape[1] for view, mean in self.mean_y.items()}

    def update(self, x: np.ndarray, y: YViews, group: npt.ArrayLike = 0, *, name: str = "") -> CCAStatistics:
        """Add rows.

        Parameters
        ----------
        x
            Shape (rows, dim_x), any real type.
        y
            Shape (rows, dim_y), or label indices (rows,) in 0 ... dim_y - 1; by name if there are several views.
        group
            Group of every row, shape (rows,), or one group for all.
        name
            Prefix of messages, such as the layer and the file.

        Raises
        ------
        MultiresError
            If shapes disagree, an index is out of range or a value is not finite (the first such row is named).
        """
        x = as_matrix(x, "x", name)
        views = dict(y) if isinstance(y, Mapping) else {VIEW: y}
        if set(views) != set(self.mean_y):
            raise MultiresError(f"{prefixed(name)}y views {sorted(views)} were given: give {sorted(self.mean_y)}")
        if x.shape[1] != self.dim_x:
            raise MultiresError(f"{prefixed(name)}x has {x.shape[1]} columns: these statistics have {self.dim_x}")
        views = {view: self._checked_view(view, values, len(x), name) for view, values in views.items()}
        check_finite(x, "x", name)
        group = np.broadcast_to(np.asarray(group), len(x))
        if len(x) and not (np.issubdtype(group.dtype, np.integer) and group.min() >= 0 and group.max() < self.groups):
            raise MultiresError(f"{prefixed(name)}group indices must be integers in 0 ... {self.groups - 1}")
        order = np.argsort(group, kind="stable")
        present, starts = np.unique(group[order], return_index=True)
        parts = list(zip(present.tolist(), np.split(order, starts[1:]), strict=False))
        side_by_side(lambda part: self._add_rows(part[0], x, views, part[1]), parts)
        return self

    def _checked_view(self, view: str, values: np.ndarray, rows: int, name: str) -> np.ndarray:
        values = np.asarray(values)
        dim = self.views[view]
        if len(values) != rows:
            raise MultiresError(f"{prefixed(name)}x has {rows} rows but view {view!r} has {len(values)}")
        if values.ndim == 1:
            if rows and not (np.issubdtype(values.dtype, np.integer) and values.min() >= 0 and values.max() < dim):
                raise MultiresError(
                    f"{prefixed(name)}label indices of view {view!r} must be integers in 0 ... {dim - 1}"
                )
            return values
        values = as_matrix(values, view, name)
        if values.shape[1] != dim:
            raise MultiresError(
                f"{prefixed(name)}view {view!r} has {values.shape[1]} columns: these statistics have {dim}"
            )
        check_finite(values, view, name)
        return values

    def _add_rows(self, g: int, x: np.ndarray, views: dict[str, np.ndarray], rows: np.ndarray) -> None:
        own = x[rows]
        mean_x = own.mean(axis=0, dtype=np.float64)
        xx = np.zeros((self.dim_x, self.dim_x))
        second = {view: _SecondView(values[rows], self.views[view], self.dim_x) for view, values in views.items()}
        for start in range(0, len(rows), _BLOCK):
            centered = own[start : start + _BLOCK] - mean_x
            xx += centered.T @ centered
            for sums in second.values():
                sums.add(centered, start)
        self._combine(g, len(rows), mean_x, xx, {view: (s.mean, s.yy, s.xy) for view, s in second.items()})

    def _combine(
        self,
        g: int,
        count: int,
        mean_x: np.ndarray,
        xx: np.ndarray,
        second: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    ) -> None:
        """Merge the statistics of further rows into group g: Chan, Golub, LeVeque (1983), equation 2.1."""
        total = int(self.count[g]) + count
        if total == 0:
            return
        share, pull = count / total, self.count[g] * count / total
        delta_x = mean_x - self.mean_x[g]
        self.xx[g] += xx
        if pull:
            self.xx[g] += pull * np.outer(delta_x, delta_x)
        for view, (mean_y, yy, xy) in second.items():
            delta_y = mean_y - self.mean_y[view][g]
            self.yy[view][g] += yy
            self.xy[view][g] += xy
            if pull:
                self.yy[view][g] += pull * np.outer(delta_y, delta_y)
                self.xy[view][g] += pull * np.outer(delta_x, delta_y)
            self.mean_y[view][g] += share * delta_y
        self.mean_x[g] += share * delta_x
        self.count[g] = total

    def merge(self, other: CCAStatistics) -> CCAStatistics:
        """Add other statistics of the same shape, group by group.

        Raises
        ------
        MultiresError
            If the groups, dimensions or view names differ.
        """
        if (self.groups, self.dim_x, self.views) != (other.groups, other.dim_x, other.views):
            raise MultiresError(
                f"statistics of {other.groups} groups, dim_x {other.dim_x}, views {other.views} cannot be merged into "
                f"those of {self.groups} groups, dim_x {self.dim_x}, views {self.views}: gather them alike"
            )
        for g in range(self.groups):
            second = {v: (other.mean_y[v][g], other.yy[v][g], other.xy[v][g]) for v in self.views}
            self._combine(g, int(other.count[g]), other.mean_x[g], other.xx[g], second)
        return self

    def __add__(self, other: CCAStatistics) -> CCAStatistics:
        return CCAStatistics(self.dim_x, self.views, self.groups).merge(self).merge(other)

    def pool_x(self, groups: Sequence[int] | np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """Count, mean and scatter of x over some groups combined."""
        groups = np.asarray(groups, dtype=np.int64)
        count, mean, centered = self._pooled_mean(self.mean_x, groups)
        return count, mean, self.xx[groups].sum(axis=0) + centered.T @ centered

    def pool(
        self, groups: Sequence[int] | np.ndarray, view: str = VIEW, *, scatter_x: np.ndarray | None = None
    ) -> Moments:
        """Moments of x and one y view over some groups combined.

        Parameters
        ----------
        groups
            Indices of groups.
        view
            Name of the y view.
        scatter_x
            Scatter of x over these groups, if `pool_x` has computed it already.
        """
        groups = np.asarray(groups, dtype=np.int64)
        count, mean_x, centered_x = self._pooled_mean(self.mean_x, groups)
        _, mean_y, centered_y = self._pooled_mean(self.mean_y[view], groups)
        xx = self.xx[groups].sum(axis=0) + centered_x.T @ centered_x if scatter_x is None else scatter_x
        yy = self.yy[view][groups].sum(axis=0) + centered_y.T @ centered_y
        xy = self.xy[view][groups].sum(axis=0) + centered_x.T @ centered_y
        return Moments(count, mean_x, mean_y, xx, yy, xy)

    def _pooled_mean(self, means: np.ndarray, groups: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """Count, mean, and the deviation of each group from it times the root of its count."""
        counts = self.count[groups]
        count = int(counts.sum())
        mean = counts @ means[groups] / max(count, 1)
        return count, mean, np.sqrt(counts)[:, None] * (means[groups] - mean)

    def pool_weighted(self, weights: Float[np.ndarray, " groups"], view: str = VIEW) -> Moments:
        """Moments of x and one y view with a multiplicity for each group; the count is rounded."""
        counts = weights * self.count
        total = max(counts.sum(), 1.0)
        mean_x, mean_y = counts @ self.mean_x / total, counts @ self.mean_y[view] / total
        roots = np.sqrt(counts)[:, None]
        centered_x, centered_y = roots * (self.mean_x - mean_x), roots * (self.mean_y[view] - mean_y)
        xx = np.tensordot(weights, self.xx, axes=1) + centered_x.T @ centered_x
        yy = np.tensordot(weights, self.yy[view], axes=1) + centered_y.T @ centered_y
        xy = np.tensordot(weights, self.xy[view], axes=1) + centered_x.T @ centered_y
        return Moments(round(counts.sum()), mean_x, mean_y, xx, yy, xy)

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz`` file."""
        path = Path(path)
        arrays = {"count": self.count, "mean_x": self.mean_x, "xx": self.xx, "views": np.array(list(self.views))}
        for index, view in enumerate(self.views):
            arrays |= {f"mean_y_{index}": self.mean_y[view], f"yy_{index}": self.yy[view], f"xy_{index}": self.xy[view]}
        try:
            with path.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        except OSError as error:
            raise MultiresError(f"cannot write {path}: {error.strerror or error}; choose another path") from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> CCAStatistics:
        """Read a file written by `save`.

        Raises
        ------
        MultiresError
            If the file is missing or has another format.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names = [str(view) for view in arrays["views"]]
                dims = {view: arrays[f"mean_y_{index}"].shape[1] for index, view in enumerate(names)}
                new = cls(arrays["mean_x"].shape[1], dims, len(arrays["count"]))
                new.count, new.mean_x, new.xx = arrays["count"], arrays["mean_x"], arrays["xx"]
                for index, view in enumerate(names):
                    new.mean_y[view], new.yy[view] = arrays[f"mean_y_{index}"], arrays[f"yy_{index}"]
                    new.xy[view] = arrays[f"xy_{index}"]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise MultiresError(f"cannot read statistics from {path}: {error}; gather them again") from error
        return new


_BLOCK = 4096
"""Rows that are converted to float64 at a time: about 25 MB at 768 columns."""


class _SecondView:
    """Mean and scatter of some rows of a y view, and their cross-scatter with centered x, block by block."""

    def __init__(self, values: np.ndarray, dim: int, dim_x: int) -> None:
        self._values, self._dim = values, dim
        self.xy = np.zeros((dim_x, dim))
        if values.ndim == 2:
            self.mean, self.yy = values.mean(axis=0, dtype=np.float64), np.zeros((dim, dim))
        else:
            counts = np.bincount(values, minlength=dim).astype(np.float64)
            self.mean, self.yy = counts / len(values), np.diag(counts) - np.outer(counts, counts) / len(values)

    def add(self, centered_x: Float[np.ndarray, "rows dim_x"], start: int) -> None:
        """Add the rows from `start` on, aligned with those of x."""
        values = self._values[start : start + len(centered_x)]
        if values.ndim == 2:
            centered = values - self.mean
            self.yy += centered.T @ centered
            self.xy += centered_x.T @ centered
        else:
            self.xy += indicator(values, self._dim).dot(centered_x).T


def indicator(labels: Int[np.ndarray, " rows"], dim: int) -> sparse.csr_matrix:
    """Sparse matrix (dim, rows) whose product with a matrix (rows, columns) sums its rows by label."""
    rows = np.arange(len(labels))
    return sparse.csr_matrix((np.ones(len(labels)), (labels, rows)), shape=(dim, len(labels)))


def as_matrix(values: npt.ArrayLike, what: str, name: str = "") -> np.ndarray:
    """The values as a real matrix, without a copy if they already are one.

    Raises
    ------
    MultiresError
        If they are not two-dimensional and real.
    """
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] == 0:
        raise MultiresError(f"{prefixed(name)}{what} has shape {values.shape}: give a matrix (rows, columns)")
    if values.dtype.kind not in "fiub":
        raise MultiresError(f"{prefixed(name)}{what} has type {values.dtype}: give real numbers")
    return values


def check_finite(values: np.ndarray, what: str, name: str = "") -> None:
    """Refuse NaN, infinity and numbers too large to be squared, naming the first row that has one.

    Raises
    ------
    MultiresError
        If there is such a value.
    """
    if (
        values.dtype.kind != "f"
        or values.size == 0
        or (float(values.min()) > -_LARGEST and float(values.max()) < _LARGEST)
    ):
        return
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if not len(bad):
        raise MultiresError(f"{prefixed(name)}{what} has values too large to be squared in float64: scale it down")
    raise MultiresError(
        f"{prefixed(name)}{what} has NaN or infinity in row {bad[0]} ({len(bad)} rows of {len(values)}): leave them out"
    )


def prefixed(name: str) -> str:
    """Prefix of a message about something with a name; empty without one."""
    return f"{visible(name)}: " if name else ""
