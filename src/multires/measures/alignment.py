"""Dynamic time warping (DTW) distances between many pairs of frame sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from multires.errors import MultiresError

Distance = Literal["angular", "cosine", "euclidean"]
"""Distance between frames: ``arccos(cos) / pi``, ``1 - cos``, or Euclidean."""

_ROWS = 160
"""Frames of a block of matrix products: few, since a block also computes products of pairs that are not wanted."""

_COSTS = 1_500_000
"""Frame distances that are aligned at a time."""


def dtw_distances(
    frames: Float[np.ndarray, "frames dim"],
    spans: Int[np.ndarray, "items 2"],
    pairs: Int[np.ndarray, "pairs 2"],
    distance: Distance = "angular",
) -> Float[np.ndarray, " pairs"]:
    """DTW distance of pairs of items: the mean frame distance along the best path.

    The path minimizes the sum of frame distances with steps (1, 0), (0, 1) and (1, 1). The sum is divided by the
    number of frame pairs on the path, as in the ZeroSpeech tasks. Among equally good paths the diagonal step is
    preferred, then the shorter path, so that the distance is symmetric.

    Only the frames of one block of items are widened and normalized at a time: `frames` may be a memory map, of any
    floating type.

    Parameters
    ----------
    frames
        Frames of all items.
    spans
        First frame and one past the last frame of each item; items may overlap.
    pairs
        Indices of items. Pairs with nearby first items are computed together: sort them.
    distance
        Distance between frames.

    Raises
    ------
    MultiresError
        If an item has no frame or a frame is not finite, or is zero for ``angular`` and ``cosine``.
    """
    sizes = spans[:, 1] - spans[:, 0]
    found = np.empty(len(pairs), dtype=np.float32)
    places: list[np.ndarray] = []
    costs: list[np.ndarray] = []
    held = 0
    for part in _blocks(pairs, sizes):
        block = _block_costs(frames, spans, sizes, pairs[part], distance)
        places.append(part)
        costs.append(block)
        held += len(block)
        if held > _COSTS:
            _align_into(found, np.concatenate(places), np.concatenate(costs), sizes, pairs)
            places, costs, held = [], [], 0
    if places:
        _align_into(found, np.concatenate(places), np.concatenate(costs), sizes, pairs)
    return found


def _blocks(pairs: np.ndarray, sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of pairs in blocks whose first items have at most `_ROWS` frames (or are one item)."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    items, starts, counts = np.unique(pairs[order, 0], return_index=True, return_counts=True)
    first = frames = costs = 0
    reach = sizes[pairs[order, 1]]
    work = np.add.reduceat(reach, starts) * sizes[items] if len(items) else reach
    for index, item in enumerate(items):
        if index > first and (frames + sizes[item] > _ROWS or costs + work[index] > _COSTS):
            yield order[starts[first] : starts[index]]
            first, frames, costs = index, 0, 0
        frames += sizes[item]
        costs += work[index]
    if len(items):
        yield order[starts[first] : starts[-1] + counts[-1]]


def _block_costs(
    frames: np.ndarray, spans: np.ndarray, sizes: np.ndarray, pairs: np.ndarray, distance: Distance
) -> np.ndarray:
    """Frame distances of each pair, row by row, one pair after the other."""
    rows, row_of = np.unique(pairs[:, 0], return_inverse=True)
    columns, column_of = np.unique(pairs[:, 1], return_inverse=True)
    left, left_start = _gather(frames, spans, sizes, rows, distance)
    right, right_start = _gather(frames, spans, sizes, columns, distance)
    products = left @ right.T
    n, m = sizes[pairs[:, 0]], sizes[pairs[:, 1]]
    corner = left_start[row_of] * len(right) + right_start[column_of]
    # The flat index of each cell of each pair: rows of a pair are stretches of m columns.
    row_length = np.repeat(m, n)
    row_index = _within(n)
    row_corner = np.repeat(corner, n) + row_index * len(right)
    index = np.repeat(row_corner, row_length) + _within(row_length)
    chosen = products.ravel()[index]
    if distance == "angular":
        return np.arccos(chosen.clip(-1, 1)) / np.float32(np.pi)
    if distance == "cosine":
        return np.float32(1) - chosen
    squares_left, squares_right = (left * left).sum(axis=1), (right * right).sum(axis=1)
    squares = squares_left[index // len(right)] + squares_right[index % len(right)]
    return np.sqrt((squares - 2 * chosen).clip(0))


def _gather(
    frames: np.ndarray, spans: np.ndarray, sizes: np.ndarray, items: np.ndarray, distance: Distance
) -> tuple[Float[np.ndarray, "rows dim"], Int[np.ndarray, " items"]]:
    """Frames of some items, normalized if the distance needs it, and the position of each item's first frame."""
    size = sizes[items]
    values = frames[np.repeat(spans[items, 0], size) + _within(size)].astype(np.float32)
    if distance != "euclidean":
        norms = np.sqrt(np.einsum("fd,fd->f", values, values))
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise MultiresError("frames hold a zero vector or values that are not finite: check the layer")
        values /= norms[:, None]
    elif not np.isfinite(values).all():
        raise MultiresError("frames hold values that are not finite: check the layer")
    return values, np.cumsum(size) - size


def _within(sizes: np.ndarray) -> np.ndarray:
    """0 ... size - 1 for each size in turn."""
    return np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _align_into(found: np.ndarray, places: np.ndarray, costs: np.ndarray, sizes: np.ndarray, pairs: np.ndarray) -> None:
    n, m = sizes[pairs[places, 0]], sizes[pairs[places, 1]]
    base = np.cumsum(n * m) - n * m
    order = np.lexsort((m, n, np.maximum(n, m)))
    first = 0
    while first < len(order):
        # Pairs of similar size: a batch of at most about a million padded cells.
        last = first + 1
        widest = int(max(n[order[first]], m[order[first]]))
        while last < len(order):
            widest_next = int(max(n[order[last]], m[order[last]]))
            if widest_next > max(1.15 * widest, widest + 1) or (last - first) * widest_next**2 > _COSTS:
                break
            last += 1
        chosen = order[first:last]
        found[places[chosen]] = _align(costs, base[chosen], n[chosen], m[chosen])
        first = last


def _align(
    costs: Float[np.ndarray, " costs"], base: np.ndarray, n: np.ndarray, m: np.ndarray
) -> Float[np.ndarray, " pairs"]:
    """DTW of a batch of pairs, one antidiagonal after the other, all pairs side by side.

    Cells outside a pair's matrix are computed from arbitrary costs; no cell inside depends on them.
    """
    rows, columns, count = int(n.max()), int(m.max()), len(n)
    result = np.empty(count, dtype=np.float32)
    sums = [np.full((rows + 1, count), np.inf, dtype=np.float32) for _ in range(3)]
    lengths = [np.zeros((rows + 1, count), dtype=np.float32) for _ in range(3)]
    last = n + m - 2
    end = len(costs) - 1
    for d in range(rows + columns - 1):
        low, high = max(0, d - columns + 1), min(d, rows - 1)
        i = np.arange(low, high + 1)[:, None]
        cost = costs[np.minimum(base + i * m + (d - i), end)]
        (two, one, now), (length_two, length_one, length_now) = sums, lengths
        here, above = slice(low + 1, high + 2), slice(low, high + 1)
        if d == 0:
            now[here], length_now[here] = cost, 1
        else:
            up, left, diagonal = one[above], one[here], two[above]
            side = np.minimum(up, left)
            length = np.where(up < left, length_one[above], length_one[here])
            equal = up == left
            if equal.any():
                length = np.where(equal, np.minimum(length_one[above], length_one[here]), length)
            straight = diagonal <= side
            now[here] = cost + np.where(straight, diagonal, side)
            length_now[here] = np.where(straight, length_two[above], length) + 1
        ending = np.flatnonzero(last == d)
        if len(ending):
            result[ending] = now[n[ending], ending] / length_now[n[ending], ending]
        sums, lengths = [one, now, two], [length_one, length_now, length_two]
    return result
