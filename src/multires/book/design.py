"""The picture of the experiment: two switches, four models, HuBERT beside them, and each switch's effect in the margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables
from multires.report.escape import for_html
from multires.report.names import capitalized, condition_name, speech_name

_CELLS = (("mono", "mono+aux"), ("multi", "multi+aux"))
"""Conditions by row (frames of 20 and of 40 ms in the middle) and column (auxiliary loss off and on)."""

_ROWS = ("20 ms throughout", "40 ms in the middle")
_COLUMNS = ("Auxiliary loss off", "Auxiliary loss on")
_MARGINS = {"auxiliary": "The auxiliary loss changes", "downsampling": "Downsampling changes"}


def design_html(experiment: ExperimentTables) -> str:
    """The picture as one block of HTML without blank lines, to be styled by the book's style sheet.

    Parameters
    ----------
    experiment
        Whose effects are drawn. What was not scored is left out.
    """
    outcome = PLAN.gates.learned_outcome
    apart = against_hubert(experiment.effects, outcome)
    boxes = "".join(
        f'<div class="design-head design-row{row}">{_ROWS[row]}</div>'
        + "".join(_box(name, apart.get(name), f"design-cell{row}{column}") for column, name in enumerate(_CELLS[row]))
        for row in range(2)
    )
    heads = "".join(f'<div class="design-head design-column{i}">{name}</div>' for i, name in enumerate(_COLUMNS))
    primary = experiment.effects[experiment.effects["primary"].astype(bool)]
    reach = {str(score): _reach(rows) for score, rows in primary.groupby("score")}
    margins = "".join(
        f'<div class="design-margin design-{key}">{_margin(primary[primary["estimand"] == key], title, reach)}</div>'
        for key, title in _MARGINS.items()
    )
    return (
        '<figure class="design">'
        f'<div class="design-grid">{_box("hubert", None, "design-hubert")}{heads}{boxes}{margins}</div>'
        f"<figcaption>{for_html(caption(experiment, bool(apart)))}</figcaption></figure>"
    )


def caption(experiment: ExperimentTables, numbers: bool = True) -> str:
    """Text alternative of the picture."""
    name = PLAN.outcome(PLAN.gates.learned_outcome).name
    seeds = f"{experiment.seeds} seed{'s' * (experiment.seeds != 1)} of each model"
    boxes = f" The number in a box is its difference from HuBERT in {name}." if numbers else ""
    return (
        f"{capitalized(speech_name(experiment.corpus))}, {seeds}. A bar is a layer over 160 ms of speech, divided into its frames; "
        f"a dot is a training loss.{boxes} In the margins: the effect of each switch on every outcome, the mean over both settings "
        "of the other, with its 95 % interval; gray is what is too small to be of interest. Right of the line is better; each outcome has a scale of its own, the same in "
        "both margins."
    )


def against_hubert(effects: pd.DataFrame, outcome: str) -> dict[str, float]:
    """Each condition's difference from HuBERT, solved from the effects; empty where one of these was not estimated.

    With x and y the effects of the loss without and with downsampling, the main effect is (x + y) / 2 and the interaction
    y - x; the control is multi+aux less hubert, and the shape mono less hubert.
    """
    rows = effects[effects["outcome"].eq(outcome)].set_index("estimand")["value"].astype(float)
    if not {"auxiliary", "interaction", "control", "shape"} <= set(rows.index):
        return {}
    loss, interaction = rows["auxiliary"], rows["interaction"]
    return {
        "mono": rows["shape"],
        "mono+aux": rows["shape"] + loss - interaction / 2,
        "multi": rows["control"] - loss - interaction / 2,
        "multi+aux": rows["control"],
    }


def _box(condition: str, value: float | None, place: str) -> str:
    number = "" if value is None else f'<span class="design-number">{value:+.3f}</span>'
    return f'<div class="design-box {place}"><strong>{for_html(condition_name(condition))}</strong>{icon(condition)}{number}</div>'


def icon(condition: str) -> str:
    """A model's layers from the waveform up, each divided into its frames, and a dot for each loss."""
    coarse = condition.startswith("multi")
    blocks = [20] * 6 if condition == "hubert" else [20, 20, *([40] * 2 if coarse else [20] * 2), 20, 20]
    parts, y = [], 82.0
    for place, period in enumerate(blocks):
        y -= 11 + (5 if place in (2, 4) and condition != "hubert" else 0)
        frames = 160 // period
        width = 96 / frames
        parts += [
            f'<rect class="f{period}" x="{2 + frame * width:g}" y="{y:g}" width="{width:g}" height="8"/>'
            for frame in range(frames)
        ]
        last = place == len(blocks) - 1
        if last or (place == 3 and condition.endswith("+aux")):
            parts.append(f'<circle class="d{period}" cx="106" cy="{y + 4:g}" r="4"/>')
    description = (
        "one stack at 20 ms" if condition == "hubert" else f"three blocks at 20, {40 if coarse else 20} and 20 ms"
    )
    losses = "two training losses" if condition.endswith("+aux") else "one training loss"
    return f'<svg viewBox="0 {y - 2:g} 112 {84 - y:g}" width="112" height="{84 - y:g}" role="img" aria-label="{description}, {losses}">{"".join(parts)}</svg>'


def _reach(rows: pd.DataFrame) -> float:
    """The half width of an outcome's scale, the same in both margins."""
    drawn = rows.loc[rows["estimand"].isin(list(_MARGINS)), ["value", "low", "high", "interest"]].to_numpy(float)
    finite = np.abs(drawn[np.isfinite(drawn)])
    return float(finite.max()) * 1.05 if finite.size and finite.max() > 0 else 1.0


def _margin(rows: pd.DataFrame, title: str, reach: Mapping[str, float]) -> str:
    if rows.empty:
        return f"<p><strong>{title}</strong>: not estimated</p>"
    lines = "".join(
        f'<li><span>{for_html(row["score"])}</span> {_bar(row, reach[row["score"]])} <span class="design-number">{_number(row)}</span></li>'
        for row in rows.to_dict("records")
    )
    return f"<p><strong>{title}</strong></p><ul>{lines}</ul>"


def _number(row: dict[Any, Any]) -> str:
    if not np.isfinite(row["low"]):
        return f"{row['value']:+.3f}"
    return f"{row['value']:+.3f} <small>[{row['low']:+.3f}, {row['high']:+.3f}]</small>"


def _bar(row: dict[Any, Any], reach: float) -> str:
    """An effect with its interval around a line at zero, and the range of no interest."""

    def x(value: float) -> float:
        return round(60 + 58 * float(value) / reach, 1)

    parts = []
    if np.isfinite(row["interest"]):
        left, right = x(-row["interest"]), x(row["interest"])
        parts.append(f'<rect class="band" x="{left}" y="1" width="{right - left:.1f}" height="14"/>')
    parts.append('<line class="zero" x1="60" x2="60" y1="0" y2="16"/>')
    if np.isfinite(row["low"]):
        parts.append(f'<line class="bar" x1="{x(row["low"])}" x2="{x(row["high"])}" y1="8" y2="8"/>')
    parts.append(f'<circle class="dot" cx="{x(row["value"])}" cy="8" r="3.5"/>')
    return f'<svg viewBox="0 0 120 16" width="120" height="16" aria-hidden="true">{"".join(parts)}</svg>'
