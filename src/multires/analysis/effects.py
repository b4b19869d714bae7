"""Differences of blocks between conditions, paired over speakers, at every matching of the frame rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multires.analysis import stages
from multires.analysis.run import Run
from multires.analysis.stages.resolution import MEASURES
from multires.measures.bootstrap import MIN_CLUSTERS, compare_replicates
from multires.results import Result, tidy

CONTRASTS = {
    "downsampling, with the loss": ("multi+aux", "mono+aux", True),
    "downsampling, without the loss": ("multi", "mono", True),
    "downsampling, untrained": ("multi", "mono", False),
    "loss, with downsampling": ("multi+aux", "multi", True),
    "loss, without downsampling": ("mono+aux", "mono", True),
}
"""Conditions whose difference is taken, the first less the second, and whether they are trained."""


def block_effects(run: Run) -> Result:
    """Effects of downsampling and of the auxiliary loss in each block, by four measures, natively and at equal frame rates.

    Of each block, the layer that was chosen on training speakers is compared, in the same resamples of speakers.
    Several models of a condition are averaged.
    """
    replicates = stages.resolution_replicates(run)
    parameters = {"contrasts": list(CONTRASTS), "replicates": replicates.source["key"]}
    return run.table("block-effects", parameters, lambda: effects(replicates.table))


def effects(table: pd.DataFrame) -> pd.DataFrame:
    """Differences from scores and their replicates.

    Parameters
    ----------
    table
        As `multires.analysis.stages.resolution_replicates` gives it.

    Returns
    -------
    DataFrame
        Tidy, with `condition` the first one, `against_condition` the second one, and the further columns contrast,
        matching, low and high; `n` is the number of speakers.
    """
    chosen = table[table["chosen"].eq(True) & table["block"].notna()]
    keys = ["condition", "trained", "block", "view", "matching"]
    scores = chosen[chosen["trial"].isna() & chosen["measure"].isin(MEASURES)]
    values = scores.groupby([*keys, "measure"])["value"].mean()
    drawn = chosen[chosen["measure"].eq(stages.REPLICATE)]
    wide = drawn.pivot_table(index=[*keys, "of"], columns="trial", values="value", aggfunc="mean")
    sizes = drawn.groupby([*keys, "of"])["n"].min()
    rows: list[dict[str, Any]] = []
    for contrast, (first, second, trained) in CONTRASTS.items():
        for key, value in values.items():
            condition, known, block, view, matching, measure = key
            other = (second, known, block, view, matching, measure)
            if condition != first or bool(known) != trained or other not in values.index:
                continue
            low = high = float("nan")
            n = 0
            difference = float(value - values[other])
            if key in wide.index and other in wide.index:
                pair = [wide.loc[each].to_numpy(float) for each in (key, other)]
                n = int(min(sizes[key], sizes[other]))
                if n >= MIN_CLUSTERS and all(np.isfinite(part).any() for part in pair):
                    low, high = compare_replicates(difference, *pair)
            rows.append({
                "model": "mean over models", "condition": first, "against_condition": second, "trained": trained,
                "block": block, "measure": measure, "view": view, "matching": matching, "contrast": contrast,
                "value": difference, "low": low, "high": high, "n": n,
            })  # fmt: skip
    if not rows:
        return tidy([]).assign(trained=[], against_condition=[], matching=[], contrast=[], low=[], high=[])
    return tidy(rows)
