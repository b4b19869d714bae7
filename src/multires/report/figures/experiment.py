"""Figures of the controlled experiment: its effects, how its models were trained, and whether they carry it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables
from multires.report.figures.layers import condition_markers, layer_curves
from multires.report.figures.style import BASELINE, INK, condition_colour, heading, new_figure
from multires.report.names import condition_name, speech_name

FACTORS = ("auxiliary loss", "downsampling", "interaction")
"""The effects of the 2 x 2 design, in the order in which they are drawn."""

_EFFECT_STYLES = {
    "auxiliary loss": ("o", INK, True),
    "downsampling": ("D", "#6A51A3", False),
    "interaction": ("x", BASELINE, True),
}
"""Marker, colour and filling by effect: apart by shape alone, and no resolution's colour."""

_SPARE_STYLES = (("^", INK, False), ("v", "#6A51A3", True), ("P", BASELINE, True))

_BASELINES = {"mfcc": ("MFCC", "|"), "mel": ("log-mel", "2"), "untrained": ("untrained", "x")}
"""Columns of `multires.experiment.analysis.learned` with their name and marker."""

_VIEWS = {"mel": "log-mel", "conv": "waveform encoder", "part_of_speech": "part of speech", "layer": "reference layer"}

_ASCENDING = ("error rate",)
"""Scores of which less is better."""


def factorial(
    effects: pd.DataFrame, *, corpus: str = "", models: str = "", contrasts: Sequence[str] = FACTORS
) -> Figure:
    """Main effects and interaction on every score, with their intervals; corpora side by side on one scale.

    Parameters
    ----------
    effects
        Columns score, effect, value, low, high and n, as `multires.experiment.analysis.effect_rows` gives them. A column corpus, where
        there is one, separates the panels.
    corpus
        Names the speech where the table has no column corpus; otherwise stands in the title.
    models
        Named in the title.
    contrasts
        Which effects to draw, in this order.
    """
    rows = effects[effects["effect"].isin(list(contrasts))]
    if "corpus" not in rows:
        rows = rows.assign(corpus=corpus)
    corpora = list(dict.fromkeys(rows["corpus"]))
    scores = list(dict.fromkeys(rows["score"]))
    if not scores:
        return _nothing(f"{corpus}: no effect to show: an effect needs a seed with all its conditions")
    height = 1.7 + (0.16 * len(contrasts) + 0.12) * len(scores)
    figure, axes = new_figure(1, len(corpora), height=height, sharex=True, sharey=True)
    styles = _styles(contrasts)
    places = {score: float(place) for place, score in enumerate(scores)}
    step = 0.72 / len(contrasts)
    for number, name in enumerate(corpora):
        axis, part = axes.flat[number], rows[rows["corpus"] == name]
        for score, interest in _interests(part).items():
            axis.fill_betweenx([places[score] - 0.45, places[score] + 0.45], -interest, interest, color=BASELINE, alpha=0.2,
                               linewidth=0, zorder=0)  # fmt: skip
        axis.axvline(0, color=INK, linewidth=1)
        for row in part.itertuples():
            marker, colour, filled = styles[row.effect]
            y = places[row.score] + step * (list(contrasts).index(row.effect) - (len(contrasts) - 1) / 2)
            spread = np.clip([[row.value - row.low], [row.high - row.value]], 0, None)
            axis.errorbar(row.value, y, xerr=np.nan_to_num(spread), fmt=marker, color=colour, capsize=2.5,
                          markersize=6, elinewidth=1.4, markerfacecolor=colour if filled else "white")  # fmt: skip
        seeds = sorted({int(n) for n in part["n"]})
        axis.set_title(f"{speech_name(name)}, {_seeds(seeds)}", loc="left")
        axis.set_xlabel("change of the score")
        axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.grid(False, axis="y")
        for place in range(1, len(scores)):
            axis.axhline(place - 0.5, color="#E4E4E4", linewidth=0.8, zorder=0)
    axes.flat[0].set_yticks(list(places.values()), [_score_name(score) for score in places], fontsize="small")
    axes.flat[0].set_ylim(len(scores) - 0.4, -0.6)
    handles = [
        Line2D([], [], marker=marker, color=colour, markerfacecolor=colour if filled else "white", linewidth=1.4,
               label=effect)
        for effect, (marker, colour, filled) in styles.items()
    ]  # fmt: skip
    handles.append(
        Line2D([], [], color=BASELINE, alpha=0.25, linewidth=8, label="below the smallest effect of interest")
    )
    figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize="small")
    heading(figure, speech_name(corpus) if corpora != [corpus] else "", models)
    return figure


def training_curves(log: pd.DataFrame, *, corpus: str, models: str = "") -> Figure:
    """Accuracy and loss on masked frames by step: a column of panels for each prediction head.

    Lines are means over seeds and bands their range. Held-out speech is drawn with markers, training speech thinner and
    without.

    Parameters
    ----------
    log
        Columns condition, seed, step, part (train or held out), resolution, frame_period, loss and accuracy: the rows of
        `multires.training.pretrain.training_log` with condition and seed.
    corpus, models
        Named in the title.
    """
    heads = sorted(log["resolution"].unique())
    figure, axes = new_figure(2, len(heads), height=6.2, sharex=True)
    markers = condition_markers(list(dict.fromkeys(log["condition"])))
    for column, head in enumerate(heads):
        part = log[log["resolution"] == head]
        for row, measure in enumerate(("accuracy", "loss")):
            axis = axes[row, column]
            for condition in markers:
                _training_lines(axis, part[part["condition"] == condition], measure, condition, *markers[condition])
            if column == 0:
                axis.set_ylabel(f"masked {measure}")
        name = "at the high resolution" if head == 0 else "of the auxiliary loss"
        periods = "/".join(f"{1000 * period:.0f}" for period in sorted(part["frame_period"].unique()))
        axes[0, column].set_title(f"units {name}, {periods} ms", loc="left")
        axes[1, column].set_xlabel("step")
    handles = [
        Line2D([], [], marker=marker, color=condition_colour(condition), linestyle="-" if filled else "--",
               markerfacecolor=condition_colour(condition) if filled else "white", label=condition_name(condition))
        for condition, (marker, filled) in markers.items()
    ]  # fmt: skip
    parts = set(log["part"])
    if "held out" in parts:
        handles.append(Line2D([], [], marker="o", color=INK, linewidth=1.8, label="held out"))
    if "train" in parts:
        handles.append(Line2D([], [], color=INK, linewidth=0.8, label="train"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize="small")
    seeds = _seeds([log.groupby("condition")["seed"].nunique().max()])
    heading(figure, speech_name(corpus), models, seeds)
    return figure


def carries(table: pd.DataFrame, *, corpus: str = "", models: str = "") -> Figure:
    """The best layer of each trained condition beside MFCC, log-mel and the untrained model of its shape.

    Parameters
    ----------
    table
        What `multires.experiment.analysis.learned` gives: phone accuracy on held-out speakers.
    corpus, models
        Named in the title.
    """
    figure, axes = new_figure(1, 1, height=1.9 + 0.5 * len(table))
    axis = axes.flat[0]
    markers = condition_markers(list(table["condition"]))
    shown = [name for name in _BASELINES if name in table]
    for place, row in enumerate(table.to_dict("records")):
        marker, filled = markers[row["condition"]]
        colour = condition_colour(row["condition"])
        axis.plot([row["baseline"], row["best"]], [place, place], color=colour, linewidth=1.2, zorder=1)
        if shown:
            for name in shown:
                axis.plot(row[name], place, _BASELINES[name][1], color=BASELINE, markersize=11, markeredgewidth=1.8)
        else:
            axis.plot(row["baseline"], place, "|", color=BASELINE, markersize=12, markeredgewidth=1.8)
        axis.plot(row["best"], place, marker, color=colour, markersize=8, markerfacecolor=colour if filled else "white")
        verdict = "adequate" if row["carries"] else _shortfall(row)
        axis.annotate(
            f"{row['above']:+.2f} over {condition_name(row['baseline_name'])}: {verdict}",
            (max(row["best"], row["baseline"]), place), xytext=(10, 0), textcoords="offset points", va="center",
            fontsize="small",
        )  # fmt: skip
    axis.set_yticks(range(len(table)), [condition_name(name) for name in table["condition"]])
    axis.set_ylim(len(table) - 0.5, -0.5)
    points = table[["best", "baseline", *shown]].to_numpy(float)
    low, high = float(np.nanmin(points)), float(np.nanmax(points))
    axis.set_xlim(low - 0.1 * (high - low) - 0.01, high + 1.1 * (high - low) + 0.02)  # room for the sentences
    axis.set_xticks([tick for tick in axis.get_xticks() if low - 0.05 <= tick <= high + 0.05])
    axis.set_xlabel("phone accuracy of the best layer, held-out speakers")
    axis.grid(False, axis="y")
    names = {name: _BASELINES[name] for name in shown} or {"baseline": ("best baseline", "|")}
    handles = [Line2D([], [], marker=marker, color=BASELINE, linestyle="", markersize=9, markeredgewidth=1.8, label=label)
               for label, marker in names.values()]  # fmt: skip
    handles.append(Line2D([], [], marker="o", color=INK, linestyle="", label="best layer (filled: auxiliary loss)"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize="small")
    heading(figure, speech_name(corpus), models)
    return figure


# -- pieces -------------------------------------------------------------------------------------------------------


def _training_lines(axis: Axes, rows: pd.DataFrame, measure: str, condition: str, marker: str, filled: bool) -> None:
    colour = condition_colour(condition)
    for part, curve in rows.groupby("part"):
        by_step = curve.groupby("step")[measure].agg(["mean", "min", "max"]).sort_index()
        steps = by_step.index.to_numpy(float)
        held = part == "held out"
        axis.plot(
            steps, by_step["mean"], linestyle="-" if filled else "--", color=colour, linewidth=1.8 if held else 0.8,
            marker=marker if held else None, markersize=5, markevery=max(1, len(steps) // 8),
            markerfacecolor=colour if filled else "white",
        )  # fmt: skip
        if held and len(steps) and (by_step["max"] > by_step["min"]).any():
            axis.fill_between(steps, by_step["min"], by_step["max"], color=colour, alpha=0.15, linewidth=0)


def _interests(part: pd.DataFrame) -> dict[str, float]:
    """The smallest effect of interest of each score that has one."""
    if "interest" not in part:
        return {}
    known = part[np.isfinite(part["interest"].astype(float))]
    return {str(score): float(value) for score, value in known.groupby("score")["interest"].first().items()}


def _styles(contrasts: Sequence[str]) -> dict[str, tuple[str, str, bool]]:
    spare = iter(_SPARE_STYLES * (1 + len(contrasts) // len(_SPARE_STYLES)))
    return {effect: _EFFECT_STYLES.get(effect) or next(spare) for effect in contrasts}


def _score_name(score: str) -> str:
    """In two lines, the second for how it is read off the layers; says where less is better."""
    name, _, how = score.partition(", ")
    view, _, rest = name.partition(" ")
    name = f"{_VIEWS.get(view, view)} {rest}".strip()
    lines = [name, how] if how else [name]
    if any(each in name for each in _ASCENDING):
        lines[-1] += " (less is better)"
    return "\n".join(lines)


def _shortfall(row: dict[str, object]) -> str:
    why = []
    if not row["beats"]:
        why.append("too little")
    if not row["flattened"]:
        why.append(f"loss still falling ({row['last_fifth']:.0%})")
    return ", ".join(why)


def _seeds(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    if low == high:
        return f"{low} seed{'s' if low != 1 else ''}"
    return f"{low} to {high} seeds"


def _nothing(why: str) -> Figure:
    figure, axes = new_figure(1, 1, height=1.6)
    axes.flat[0].set_axis_off()
    axes.flat[0].text(0.5, 0.5, why.removeprefix(": "), ha="center", va="center", wrap=True)
    return figure


def outcome_layers(
    experiments: Sequence[ExperimentTables], outcomes: Sequence[str], *, ylabel: str, forms: bool = False
) -> Figure:
    """Scores of every layer of the experiment's models on test speakers: a row for each corpus.

    Parameters
    ----------
    experiments
        One or more corpora.
    outcomes
        Keys of outcomes of the plan, a panel each. Outcomes without layers are left out.
    ylabel
        Of the figure.
    forms
        Whether 20 ms layers that are averaged to 40 ms and those of which every second frame is kept have panels of
        their own; otherwise the averaged ones are drawn.
    """
    parts, titles, references = [], {}, {}
    for each in experiments:
        for outcome in outcomes:
            rows = each.layers(outcome)
            name = PLAN.outcome(outcome).name
            for form in ("averaged", "decimated") if forms else ("averaged",):
                panel = f"{outcome}, {form}, {each.corpus}"
                kept = rows[rows["form"].isin([form, "native"]) & rows["layer_index"].notna()]
                parts.append(kept.assign(panel=panel, condition=kept["condition"].str.replace("untrained ", "")))
                shown = _FORMS[form] if forms else name.partition(", ")[0]
                titles[panel] = shown if len(experiments) == 1 else f"{shown}, {speech_name(each.corpus)}"
                references[panel] = dict(kept[kept["labels"] == "true"].groupby("condition")["value"].max())
    table = pd.concat(parts, ignore_index=True)
    acoustic = table["condition"].isin(list(_ACOUSTIC))
    true = table["labels"] == "true"
    lines = {
        label: {panel: values[name] for panel, values in references.items() if name in values}
        for name, label in _ACOUSTIC.items()
    }
    return layer_curves(
        table[true & ~acoustic], panels="panel", ylabel=ylabel, panel_titles=titles, references=lines,
        title="; ".join([
            ", ".join(speech_name(each.corpus) for each in experiments), "the experiment's models, test speakers",
            f"mean over {_seeds([each.seeds for each in experiments])}",
        ]),
        baselines=table[~true & ~acoustic], columns=2,
    )  # fmt: skip


_FORMS = {"averaged": "20 ms layers averaged to 40 ms", "decimated": "20 ms layers decimated to 40 ms"}

_ACOUSTIC = {"mfcc": "MFCC", "mel": "log-mel"}
