"""Cross-validation folds, and trials over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Int

from multires.errors import MultiresError

Trials = int | Sequence[tuple[int, int]]
"""Number of (dev, test) pairs of folds to draw, or the pairs themselves."""


def assign_folds(
    rows: int,
    folds: int = 10,
    *,
    seed: int = 0,
    strata: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
) -> Int[np.ndarray, " rows"]:
    """Assign every row to a fold.

    Parameters
    ----------
    rows
        Number of rows.
    folds
        Number of folds.
    seed
        Seed of the shuffle.
    strata
        Label of every row: the rows of each label are spread evenly over the folds, as in the protocol of Pasad et al.
    groups
        Utterance or speaker of every row: all rows of a group are in one fold. The largest groups are placed first, each
        in the fold with the fewest rows so far; `strata` is then ignored.

    Raises
    ------
    MultiresError
        If there are fewer rows or groups than folds, or a list does not have `rows` entries.
    """
    if folds < 1:
        raise MultiresError(f"folds is {folds}: it must be at least 1")
    rng = np.random.default_rng(seed)
    if groups is not None:
        return _folds_of_groups(_codes(groups, rows, "groups"), folds, rng)
    if rows < folds:
        raise MultiresError(f"{rows} rows cannot be split into {folds} folds: use fewer folds or more data")
    codes = np.zeros(rows, dtype=np.int64) if strata is None else _codes(strata, rows, "strata")
    order = rng.permutation(rows)
    order = order[np.argsort(codes[order], kind="stable")]
    # Assigning the sorted rows to folds in turn balances every label and every fold to within one row.
    assigned = np.empty(rows, dtype=np.int64)
    assigned[order] = rng.permutation(folds)[np.arange(rows) % folds]
    return assigned


def _folds_of_groups(codes: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    sizes = np.bincount(codes)
    if len(sizes) < folds:
        raise MultiresError(f"{len(sizes)} groups cannot be split into {folds} folds: use at most {len(sizes)} folds")
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(folds, dtype=np.int64)
    fold_of = np.empty(len(sizes), dtype=np.int64)
    for group in order:
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    return fold_of[codes]


def _codes(labels: npt.ArrayLike, rows: int, what: str) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (rows,):
        raise MultiresError(f"{what} has shape {labels.shape}: give one label for each of the {rows} rows")
    return np.unique(labels, return_inverse=True)[1]


def choose_trials(trials: Trials, folds: int, seed: int = 0) -> tuple[tuple[int, int], ...]:
    """Choose (dev, test) pairs of folds.

    A number of trials draws disjoint pairs as long as possible, then the same pairs with dev and test exchanged.
    With one fold, training, dev and test are all the data, once.

    Raises
    ------
    MultiresError
        If there are fewer pairs than trials, or a pair names a fold that does not exist or the same fold twice.
    """
    if folds == 1:
        return ((0, 0),)
    if folds < 3:
        raise MultiresError(f"folds is {folds}: use 1 (no held-out data) or at least 3 (train, dev and test)")
    if isinstance(trials, int | np.integer):
        order = np.random.default_rng([seed, folds]).permutation(folds).tolist()
        pairs = list(zip(order[0::2], order[1::2], strict=False))
        pairs += [(test, dev) for dev, test in pairs]
        if not 1 <= trials <= len(pairs):
            raise MultiresError(f"trials is {trials}: with {folds} folds it must lie in 1 ... {len(pairs)}")
        return tuple(pairs[:trials])
    pairs = [(int(dev), int(test)) for dev, test in trials]
    for dev, test in pairs:
        if dev == test or not (0 <= dev < folds and 0 <= test < folds):
            raise MultiresError(f"trial ({dev}, {test}): give two different folds in 0 ... {folds - 1}")
    if not pairs:
        raise MultiresError("trials is empty: give a number or (dev, test) pairs of folds")
    return tuple(pairs)


def feasible_folds(folds: int, trials: int, units: int) -> tuple[int, int] | None:
    """Folds and trials for data with few rows or groups: as many as asked, or as there can be; None if fewer than 3.

    Examples
    --------
    >>> feasible_folds(10, 3, 40), feasible_folds(10, 3, 4), feasible_folds(10, 3, 3), feasible_folds(10, 3, 2)
    ((10, 3), (4, 3), (3, 2), None)
    """
    if folds == 1:
        return 1, trials
    possible = min(folds, units)
    return None if possible < 3 else (possible, min(trials, 2 * (possible // 2)))
