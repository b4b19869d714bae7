"""ABX discriminability of labeled stretches of frames, within and across speakers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from jaxtyping import Float, Int

from multires.errors import MultiresError
from multires.measures.abx_cells import Cells, Items, across_cells, within_cells
from multires.measures.alignment import Distance
from multires.measures.bootstrap import LEVEL, Bootstrap, code_clusters, draw_weights, summarize
from multires.measures.statistics import prefixed

Speakers = Literal["within", "across"]
"""X from the speaker of A and B, or from another speaker."""

_BASELINE_ITEMS = 5000
"""Number of items, at most, from which the baseline is computed."""

_WEIGHTS = 4_000_000
"""Weights of cells held at once by the bootstrap."""


@dataclass(frozen=True)
class ABXResult:
    """ABX error with its cells, interval and baseline.

    Attributes
    ----------
    error
        Share of triples (A, B, X) in which X is closer to B than to A, averaged over cells: over contexts (and
        speakers of X), then over speakers, then over pairs of labels. 0.5 is chance.
    bootstrap
        Interval over speakers and contexts; its clusters are the speakers.
    baseline
        Error with labels shuffled within each context and speaker; 0.5 up to sampling error. None if not requested.
    cells
        Error of each cell, for statistics over speakers and contexts.
    speakers
        ``within`` or ``across``.
    distance
        Distance between frames.
    n
        Number of triples.
    n_items, n_pairs
        Number of items used, and of distances between them that were computed.
    """

    error: float
    bootstrap: Bootstrap
    baseline: float | None
    cells: Cells = field(repr=False)
    speakers: Speakers
    distance: Distance
    n: int
    n_items: int
    n_pairs: int

    @property
    def score(self) -> float:
        """Discriminability, ``1 - error``: higher is better, as for other measures."""
        return 1 - self.error

    @property
    def interval(self) -> tuple[float, float]:
        """Limits of the interval of the error; NaN with fewer than `multires.measures.MIN_CLUSTERS` speakers."""
        return self.bootstrap.interval

    def by_speaker(self) -> pd.DataFrame:
        """Error and number of triples of each speaker of A and B."""
        table = self.cells.table()
        pairs = table.groupby(["speaker", "label", "other"], observed=True).agg(
            error=("error", "mean"), size=("size", "sum")
        )
        found = pairs.groupby("speaker", observed=True).agg(error=("error", "mean"), size=("size", "sum"))
        return found.reset_index()

    def rows(self, **columns: Any) -> list[dict[str, Any]]:
        """Tidy rows of the error (with ``low`` and ``high``) and the baseline."""
        low, high = self.interval
        common = {**columns, "n": self.n}
        name = f"abx {self.speakers} speakers"
        found = [{**common, "measure": name, "value": self.error, "low": low, "high": high}]
        if self.baseline is not None:
            found.append({**common, "measure": f"{name} (shuffled)", "value": self.baseline})
        return found


def abx(
    frames: Float[np.ndarray, "frames dim"],
    spans: Int[np.ndarray, "items 2"],
    labels: npt.ArrayLike | Sequence[Hashable],
    speaker: npt.ArrayLike | Sequence[Hashable],
    context: npt.ArrayLike | Sequence[Hashable] | None = None,
    *,
    speakers: Speakers = "within",
    distance: Distance = "angular",
    max_size: int | None = 10,
    max_x: int | None = 5,
    max_others: int | None = None,
    seed: int = 0,
    replicates: int = 500,
    level: float = LEVEL,
    baseline: bool = True,
    name: str = "",
) -> ABXResult:
    """ABX error of labels: Schatz et al. (Interspeech 2013), with the averages of the ZeroSpeech challenges.

    A and X share a label, B has another one. A triple is an error if X is closer to B than to A, half an error if both
    are equally far. All three share the context; A and B, and X if `speakers` is ``within``, share the speaker. The
    distance between items is that of dynamic time warping (`multires.measures.dtw_distances`), so that items of any
    length and frame rate can be compared. Nothing is trained.

    For phones in context, give triphones: spans from the start of the previous phone to the end of the next one,
    `labels` the middle phones and `context` the pairs of neighbors. For words, give their spans and no context.

    The numbers of distances and cells are bounded by `max_size` and `max_x` per context and speaker. Frames are read in
    small blocks, so that they may be a memory map.

    Parameters
    ----------
    frames
        Frames of all utterances, one after the other; see `multires.measures.frame_spans`.
    spans
        First frame and one past the last frame of each item; items may overlap.
    labels, speaker, context
        One entry per item; no context means one context for all.
    speakers
        ``within`` or ``across`` speakers.
    distance
        ``angular`` (of the ZeroSpeech challenges), ``cosine`` or ``euclidean``.
    max_size
        Maximum number of items of one label, context and speaker, drawn at random; all if None.
    max_x
        Maximum number of speakers of X for each label, context and speaker of A, drawn at random; all if None.
    max_others
        Maximum number of labels of B for each label, context and speaker of A, drawn at random; all if None. Set it
        for words, whose pairs of labels are many.
    seed
        Seed of the draws, the shuffled labels and the bootstrap. The draws do not depend on `frames`: layers are
        compared on the same triples, and their replicates are paired.
    replicates, level
        Number of bootstrap resamples of speakers and contexts (crossed: Owen and Eckles 2012, arXiv 1106.2125), and
        nominal coverage.
    baseline
        Compute the error with labels shuffled, on at most 5,000 items.
    name
        Prefix of messages.

    Raises
    ------
    MultiresError
        If lengths differ, an item has no frame, frames are not finite, or there is no triple.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.tile(["a", "b"], 200)
    >>> speaker = np.repeat(np.arange(10), 40)
    >>> frames = rng.normal(size=(400, 4)) + np.where(labels == "a", 1.0, -1.0)[:, None]
    >>> spans = np.arange(400)[:, None] + [0, 1]
    >>> found = abx(frames, spans, labels, speaker, speakers="across")
    >>> found.error < 0.1, found.interval[0] < found.error < found.interval[1]
    (True, True)
    """
    if speakers not in get_args(Speakers):
        raise MultiresError(f"unknown speakers {speakers!r}: choose one of {', '.join(get_args(Speakers))}")
    if distance not in get_args(Distance):
        raise MultiresError(f"unknown distance {distance!r}: choose one of {', '.join(get_args(Distance))}")
    for what, limit in {"max_size": max_size, "max_x": max_x, "max_others": max_others}.items():
        if limit is not None and limit < 1:
            raise MultiresError(f"{prefixed(name)}{what} is {limit}: it must be at least 1, or None for no limit")
    frames, spans = np.asarray(frames), np.asarray(spans)
    items = _items(frames, spans, labels, speaker, context, name)

    def score(chosen: Items, draws: int) -> tuple[Cells, int]:
        rng = np.random.default_rng([seed, draws])
        chosen = chosen.draw(max_size, rng)
        if speakers == "within":
            return within_cells(frames, chosen, distance, max_others, rng)
        return across_cells(frames, chosen, distance, max_x, max_others, rng)

    cells, n_pairs = score(items, 0)
    if not len(cells):
        raise MultiresError(
            f"{prefixed(name)}no triple of items for ABX {speakers} speakers: give more items, or items with fewer contexts"
        )
    error = float(cells.collapse(np.ones((1, len(cells.speakers))), np.ones((1, len(cells.contexts))))[0])
    shuffled = None
    if baseline:
        found, _ = score(items.shuffled(_BASELINE_ITEMS, np.random.default_rng([seed, 1])), 2)
        if len(found):
            shuffled = float(found.collapse(np.ones((1, len(found.speakers))), np.ones((1, len(found.contexts))))[0])
    return ABXResult(
        error=error,
        bootstrap=summarize(error, _replicates(cells, replicates, seed), cells.speakers, seed, level),
        baseline=shuffled,
        cells=cells,
        speakers=speakers,
        distance=distance,
        n=int(cells.size.sum()),
        n_items=len(items),
        n_pairs=n_pairs,
    )


def _items(
    frames: np.ndarray,
    spans: np.ndarray,
    labels: npt.ArrayLike | Sequence[Hashable],
    speaker: npt.ArrayLike | Sequence[Hashable],
    context: npt.ArrayLike | Sequence[Hashable] | None,
    name: str,
) -> Items:
    if frames.ndim != 2 or frames.dtype.kind != "f":
        raise MultiresError(
            f"{prefixed(name)}frames have shape {frames.shape} and type {frames.dtype}: give floats (frames, dim)"
        )
    if spans.ndim != 2 or spans.shape[1] != 2 or spans.dtype.kind not in "iu":
        raise MultiresError(f"{prefixed(name)}spans have shape {spans.shape}: give integers (items, 2)")
    bad = np.flatnonzero((spans[:, 0] < 0) | (spans[:, 1] > len(frames)) | (spans[:, 0] >= spans[:, 1]))
    if len(bad):
        first = spans[bad[0]].tolist()
        raise MultiresError(
            f"{prefixed(name)}item {bad[0]} has the span {first} of {len(frames)} frames: give at least one frame"
        )
    coded = {}
    for what, values in {"labels": labels, "speaker": speaker, "context": context}.items():
        names, codes = code_clusters(values, len(spans), f"{prefixed(name)}{what}")
        coded[what] = (tuple(names) or ("",), codes)
    return Items(spans, *coded["labels"], *coded["speaker"], *coded["context"])


def _replicates(cells: Cells, replicates: int, seed: int) -> Float[np.ndarray, " replicates"]:
    """Error in resamples of speakers and, independently, of contexts."""
    speakers = draw_weights(len(cells.speakers), replicates, seed)
    contexts = draw_weights(len(cells.contexts), replicates, seed + 1)
    block = max(1, _WEIGHTS // len(cells))
    return np.concatenate(
        [cells.collapse(speakers[i : i + block], contexts[i : i + block]) for i in range(0, replicates, block)]
    )
