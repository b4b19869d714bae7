"""Cells of an ABX task: triples that share labels, context and speakers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from multires.measures.alignment import Distance, dtw_distances


@dataclass(frozen=True)
class Items:
    """Labeled stretches of frames, as indices into names.

    Attributes
    ----------
    spans
        First frame and one past the last frame, shape (items, 2).
    labels, speakers, contexts
        Names.
    label, speaker, context
        Index of the name of each item.
    """

    spans: Int[np.ndarray, "items 2"]
    labels: tuple[str, ...]
    label: Int[np.ndarray, " items"]
    speakers: tuple[str, ...]
    speaker: Int[np.ndarray, " items"]
    contexts: tuple[str, ...]
    context: Int[np.ndarray, " items"]

    def __len__(self) -> int:
        return len(self.spans)

    def take(self, index: np.ndarray) -> Items:
        """Some of the items."""
        return replace(
            self,
            spans=self.spans[index],
            label=self.label[index],
            speaker=self.speaker[index],
            context=self.context[index],
        )

    def draw(self, most: int | None, rng: np.random.Generator) -> Items:
        """At most `most` random items of each label, context and speaker, sorted by context, speaker and label."""
        order = np.lexsort((rng.random(len(self)), self.label, self.speaker, self.context))
        if most is not None and len(order):
            keys = np.stack([self.context, self.speaker, self.label])[:, order]
            starts = _starts(keys)
            rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
            order = order[rank < most]
        return self.take(order)

    def shuffled(self, most: int, rng: np.random.Generator) -> Items:
        """Items of random contexts and speakers, about `most`, with labels shuffled within each context and speaker."""
        if len(self.contexts) > 1:
            position = rng.permutation(len(self.contexts))[self.context]
        else:
            position = rng.permutation(len(self.speakers))[self.speaker]
        order = np.argsort(position, kind="stable")
        cut = len(order)
        if cut > most:
            cut = int(np.searchsorted(position[order], position[order[most]], side="right"))
        chosen = self.take(order[:cut])
        order = np.lexsort((rng.random(len(chosen)), chosen.speaker, chosen.context))
        target = np.lexsort((chosen.speaker, chosen.context))
        label = np.empty_like(chosen.label)
        label[target] = chosen.label[order]
        return replace(chosen, label=label)


@dataclass(frozen=True)
class Cells:
    """Errors of the cells of an ABX task.

    Attributes
    ----------
    labels, speakers, contexts
        Names.
    label, other, speaker, speaker_x, context
        Index of the label of A and X, the label of B, the speaker of A and B, the speaker of X and the context.
    error
        Share of triples of the cell that are errors.
    size
        Number of triples.
    """

    labels: tuple[str, ...]
    speakers: tuple[str, ...]
    contexts: tuple[str, ...]
    label: Int[np.ndarray, " cells"]
    other: Int[np.ndarray, " cells"]
    speaker: Int[np.ndarray, " cells"]
    speaker_x: Int[np.ndarray, " cells"]
    context: Int[np.ndarray, " cells"]
    error: Float[np.ndarray, " cells"]
    size: Int[np.ndarray, " cells"]

    def __len__(self) -> int:
        return len(self.error)

    def table(self) -> pd.DataFrame:
        """One row per cell, with names in place of indices."""
        columns = {
            "label": (self.labels, self.label),
            "other": (self.labels, self.other),
            "context": (self.contexts, self.context),
            "speaker": (self.speakers, self.speaker),
            "speaker_x": (self.speakers, self.speaker_x),
        }
        named = {column: pd.Categorical.from_codes(codes, list(names)) for column, (names, codes) in columns.items()}
        return pd.DataFrame({**named, "error": self.error, "size": self.size})

    def collapse(
        self,
        speaker_weights: Float[np.ndarray, "replicates speakers"],
        context_weights: Float[np.ndarray, "replicates contexts"],
    ) -> Float[np.ndarray, " replicates"]:
        """Weighted mean error: over contexts and speakers of X, then speakers of A and B, then pairs of labels."""
        order = np.lexsort((self.speaker, self.other, self.label))
        speaker, context, speaker_x = self.speaker[order], self.context[order], self.speaker_x[order]
        inner = _starts(np.stack([self.label, self.other, self.speaker])[:, order])
        outer = _starts(np.stack([self.label, self.other])[:, order[inner]])
        weights = context_weights[:, context]
        if not np.array_equal(speaker, speaker_x):
            weights = weights * speaker_weights[:, speaker_x]
        below = np.add.reduceat(weights, inner, axis=1)
        above = np.add.reduceat(weights * self.error[order], inner, axis=1)
        means = above / np.where(below > 0, below, 1)
        weights = speaker_weights[:, speaker[inner]] * (below > 0)
        below = np.add.reduceat(weights, outer, axis=1)
        above = np.add.reduceat(weights * means, outer, axis=1)
        drawn = below > 0
        count = drawn.sum(axis=1)
        means = np.where(drawn, above / np.where(drawn, below, 1), 0).sum(axis=1)
        return np.where(count > 0, means / np.maximum(count, 1), np.nan)


def within_cells(
    frames: np.ndarray, items: Items, distance: Distance, max_others: int | None, rng: np.random.Generator
) -> tuple[Cells, int]:
    """Cells with X from the speaker of A and B, of sorted items, and the number of distances."""
    groups = _Groups(items)
    blocks = [block for block in groups.blocks() if len(block) > 1 and (groups.size[block] > 1).any()]
    pairs, bounds = [np.empty((0, 2), dtype=np.int64)], [0]
    for block in blocks:
        several = np.repeat(groups.size[block] > 1, groups.size[block])
        i, j = np.triu_indices(len(several), 1)
        needed = several[i] | several[j]
        pairs.append(np.stack([i[needed], j[needed]], axis=1) + groups.start[block[0]])
        bounds.append(bounds[-1] + int(needed.sum()))
    joined = np.concatenate(pairs)
    distances = dtw_distances(frames, items.spans, joined, distance)
    builder = _Builder(items, groups)
    for block, first, last in zip(blocks, bounds[:-1], bounds[1:], strict=True):
        origin = groups.start[block[0]]
        matrix = np.full((int(groups.size[block].sum()),) * 2, np.nan, dtype=np.float32)
        i, j = (joined[first:last] - origin).T
        matrix[i, j] = matrix[j, i] = distances[first:last]
        for a in block[groups.size[block] > 1]:
            rows = slice(groups.start[a] - origin, groups.start[a] - origin + groups.size[a])
            others = _draw(block[block != a], max_others, rng)
            builder.add(a, a, others, matrix[rows, rows], matrix[rows], origin)  # the diagonal is NaN: never an error
    return builder.cells(), len(joined)


def across_cells(
    frames: np.ndarray,
    items: Items,
    distance: Distance,
    max_x: int | None,
    max_others: int | None,
    rng: np.random.Generator,
) -> tuple[Cells, int]:
    """Cells with X from another speaker than A and B, of sorted items, and the number of distances."""
    groups = _Groups(items)
    same = np.lexsort((groups.speaker, groups.label, groups.context))  # groups of one context and label, by speaker
    starts = _starts(np.stack([groups.context, groups.label])[:, same]) if len(same) else np.empty(0, np.int64)
    place = np.empty(len(same), dtype=np.int64)
    place[same] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(same))))
    ends = np.append(starts[1:], len(same))
    triples = []
    for block in groups.blocks():
        if len(block) < 2:
            continue
        for a in block:
            alike = same[starts[place[a]] : ends[place[a]]]
            others = _draw(block[block != a], max_others, rng)
            for x in _draw(alike[alike != a], max_x, rng):
                triples.append((a, x, block[0], block[-1], others))
    left = np.array([x for _, x, _, _, _ in triples], dtype=np.int64)
    first = np.array([groups.start[low] for _, _, low, _, _ in triples], dtype=np.int64)
    past = np.array([groups.start[high] + groups.size[high] for _, _, _, high, _ in triples], dtype=np.int64)
    width = past - first
    counts = groups.size[left] * width
    bounds = np.append(0, np.cumsum(counts))
    within = np.arange(int(bounds[-1])) - np.repeat(bounds[:-1], counts)
    wide = np.repeat(width, counts)
    pairs = np.stack(
        [np.repeat(groups.start[left], counts) + within // np.maximum(wide, 1),
         np.repeat(first, counts) + within % np.maximum(wide, 1)], axis=1,
    )  # fmt: skip
    distances = dtw_distances(frames, items.spans, pairs, distance)
    builder = _Builder(items, groups)
    for index, (a, x, _, _, others) in enumerate(triples):
        matrix = distances[bounds[index] : bounds[index + 1]].reshape(groups.size[x], width[index])
        low = groups.start[a] - first[index]
        builder.add(a, x, others, matrix[:, low : low + groups.size[a]], matrix, first[index])
    return builder.cells(), len(pairs)


class _Groups:
    """Runs of sorted items with the same context, speaker and label."""

    def __init__(self, items: Items) -> None:
        keys = np.stack([items.context, items.speaker, items.label])
        self.start = _starts(keys) if len(items) else np.empty(0, dtype=np.int64)
        self.size = np.diff(np.append(self.start, len(items)))
        self.context, self.speaker, self.label = keys[:, self.start]

    def blocks(self) -> Iterator[Int[np.ndarray, " groups"]]:
        """Indices of the groups of each context and speaker."""
        if len(self.start):
            starts = _starts(np.stack([self.context, self.speaker]))
            yield from np.split(np.arange(len(self.start)), starts[1:])


class _Builder:
    """Errors of cells from distances."""

    def __init__(self, items: Items, groups: _Groups) -> None:
        self._items, self._groups = items, groups
        self._a: list[np.ndarray] = []
        self._x: list[np.ndarray] = []
        self._b: list[np.ndarray] = []
        self._error: list[np.ndarray] = []
        self._size: list[np.ndarray] = []

    def add(self, a: int, x: int, others: np.ndarray, to_a: np.ndarray, to_block: np.ndarray, origin: int) -> None:
        """The cells of one group of A and one of X: distances from X to A, and from X to all items from `origin` on.

        Distances that are NaN in `to_a` are left out.
        """
        if not len(others):
            return
        near, far = to_a[:, :, None], to_block[:, None, :]
        errors = np.count_nonzero(near > far, axis=(0, 1)) + 0.5 * np.count_nonzero(near == far, axis=(0, 1))
        sums = np.append(0, np.cumsum(errors))
        low = self._groups.start[others] - origin
        size = self._groups.size[others]
        count = size * np.count_nonzero(~np.isnan(to_a))
        self._a.append(np.full(len(others), a))
        self._x.append(np.full(len(others), x))
        self._b.append(others)
        self._error.append((sums[low + size] - sums[low]) / count)
        self._size.append(count)

    def cells(self) -> Cells:
        """All cells."""
        empty = [np.empty(0, dtype=np.int64)]
        a, x, b, size = (np.concatenate(part or empty) for part in (self._a, self._x, self._b, self._size))
        groups, items = self._groups, self._items
        return Cells(
            labels=items.labels,
            speakers=items.speakers,
            contexts=items.contexts,
            label=groups.label[a],
            other=groups.label[b],
            speaker=groups.speaker[a],
            speaker_x=groups.speaker[x],
            context=groups.context[a],
            error=np.concatenate(self._error or [np.empty(0)]),
            size=size,
        )


def _draw(values: np.ndarray, most: int | None, rng: np.random.Generator) -> np.ndarray:
    if most is None or len(values) <= most:
        return values
    return np.sort(rng.choice(values, most, replace=False))


def _starts(keys: Int[np.ndarray, "keys items"]) -> Int[np.ndarray, " runs"]:
    """Start of each run of equal columns."""
    changes = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    return np.append(0, np.flatnonzero(changes) + 1)
