"""Y views of a CCA: matrices, or labels as one-hot columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from multires.errors import MultiresError
from multires.measures.statistics import as_matrix, prefixed


def code_views(
    views: Mapping[str, npt.ArrayLike], rows: int, name: str
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every view as a matrix or as label indices, and the labels of the latter.

    Raises
    ------
    MultiresError
        If there is no view, the number of rows differs, or a vector holds floats.
    """
    coded, labels = {}, {}
    if not views:
        raise MultiresError(f"{prefixed(name)}no y view was given")
    for view, values in views.items():
        coded[view] = np.asarray(values)
        if len(coded[view]) != rows:
            raise MultiresError(f"{prefixed(name)}x has {rows} rows but view {view!r} has {len(coded[view])}")
        if coded[view].ndim == 1:
            if coded[view].dtype.kind == "f":
                raise MultiresError(
                    f"{prefixed(name)}view {view!r} is a vector of floats: give labels, or a matrix of one column"
                )
            labels[view], coded[view] = np.unique(coded[view], return_inverse=True)
        else:
            coded[view] = as_matrix(coded[view], view, name)
    return coded, labels
