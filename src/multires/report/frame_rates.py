"""Sentences on phone error rates with repeated frames and on a common grid."""

from __future__ import annotations

import pandas as pd

from multires.report.verdicts import with_interval

_MANNERS = {"repeated": "with every 40 ms frame repeated", "grid": "with all layers on a 40 ms grid"}


def frame_rates(effects: pd.DataFrame) -> str:
    """The difference that downsampling makes to error rates in each manner, for untrained and for trained models.

    Parameters
    ----------
    effects
        What `multires.experiment.frame_rates.frame_rate_effects` returns.
    """
    parts = []
    for known in dict.fromkeys(effects["trained"]):
        own = effects[effects["trained"].eq(known)].set_index(["manner", "edit"])
        phrases = []
        for manner, how in _MANNERS.items():
            if (manner, "all") not in own.index:
                continue
            row = own.loc[(manner, "all")].to_dict()
            most = max(
                ("insertions", "deletions", "substitutions"), key=lambda edit: abs(own.loc[(manner, edit)]["value"])
            )
            share = own.loc[(manner, most)]["value"]
            phrases.append(
                f"{how}, downsampling changes the phone error rate by {with_interval(row)} "
                f"(from {row['mono']:.2f} to {row['multi']:.2f}; {most} alone {share:+.3f})"
            )
        if phrases:
            whose = "one trained seed of each" if known else "untrained models, which know nothing of speech"
            parts.append(f"Of {whose}: {'; '.join(phrases)}.")
    if not parts:
        return "No error rates of both the control and the downsampling model have been measured."
    return " ".join(parts) + (
        " An effect that models without training show in one manner, and not in the other, comes from the frame rate at "
        "which a head without context reads, and not from what the layers hold."
    )
