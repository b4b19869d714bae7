"""Samples of the segments of a large corpus."""

from __future__ import annotations

import numpy as np
import pandas as pd


def at_most_each(
    segments: pd.DataFrame, *, phones: int | None = None, words: int | None = None, word_types: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Limit the segments of each phone and each word in each split by a random draw; all frames are kept.

    Parameters
    ----------
    segments
        Table of `multires.features.segments.segment_table`.
    phones, words
        Maximum of each phone and of each word; all if None.
    word_types
        Number of different words that are kept, the most frequent ones; only used together with `words`.
    seed
        Of the draw. A smaller number keeps a part of what a larger one keeps.

    Returns
    -------
    pandas.DataFrame
        Rows of `segments`, in their order.
    """
    kept = np.ones(len(segments), dtype=bool)
    unit = segments["unit"].to_numpy()
    for stream, (name, most) in enumerate((("phone", phones), ("word", words))):
        if most is None:
            continue
        rows = np.flatnonzero(unit == name)
        if name == "word" and word_types is not None:
            counts = segments["label"].iloc[rows].value_counts()
            frequent = segments["label"].iloc[rows].isin(counts.index[:word_types]).to_numpy()
            kept[rows[~frequent]] = False
            rows = rows[frequent]
        shuffled = np.random.default_rng([seed, stream]).permutation(rows)
        place = segments[["split", "label"]].iloc[shuffled].groupby(["split", "label"], sort=False).cumcount()
        kept[shuffled[place.to_numpy() >= most]] = False
    return segments if kept.all() else segments[kept].reset_index(drop=True)
