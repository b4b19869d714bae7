"""Figures of units, of similarity between layers, and of the geometry of layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from multires.report.figures.empty import of_rows
from multires.report.figures.layers import layer_curves
from multires.report.figures.style import BASELINE, INK, RESOLUTION_COLORS, heading, new_figure, text_color
from multires.report.names import UNTRAINED, condition_name

COMPARISONS = ("within a model", "between conditions", "between seeds")
"""Comparisons in the order of panels."""

_SHUFFLED = " (shuffled)"

_MAPS = 4
"""Maps, at most, in one figure."""


@of_rows
def units_by_layer(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """PNMI of each layer's clusters with phones by depth, a panel for each number of clusters and rate.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.frame_units`.
    corpus, models
        For the title.
    """
    rows = table[table["measure"].isin(["pnmi", f"pnmi{_SHUFFLED}"])]
    asked, rate = rows["clusters_requested"].astype(int).astype(str), rows["rate"].astype(int).astype(str)
    rows = rows.assign(panel=asked + " clusters, " + rate + " Hz")
    shuffled, acoustic = rows["measure"].ne("pnmi"), rows["model"].isin(["mel", "mfcc"])
    known = rows[acoustic & ~shuffled]
    references: dict[str, Mapping[str, float]] = {
        name: dict(zip(part["panel"], part["value"], strict=True))
        for name, part in (("log-mel", known[known["model"] == "mel"]), ("MFCC", known[known["model"] == "mfcc"]))
    }
    return layer_curves(
        rows[~acoustic & ~shuffled], panels="panel", ylabel="PNMI with phones", title=f"{corpus}; {models}",
        baselines=rows[~acoustic & shuffled], references=references,
    )  # fmt: skip


@of_rows
def similarity_maps(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Maps of debiased CKA between layers: one model with itself, and pairs of models that differ in one respect.

    Trained models come first; at most four maps are drawn.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.layer_similarity`.
    corpus, models
        For the title.
    """
    rows = table[table["measure"].eq("cka")]
    keys = ["comparison", "model", "seed", "against", "against_seed"]
    pairs = rows.drop_duplicates(keys).assign(order=rows["comparison"].map(COMPARISONS.index))
    pairs = pairs.sort_values(["trained", "order"], ascending=[False, True], kind="stable")
    chosen = pd.concat([pairs.head(1), pairs[pairs["comparison"].ne(COMPARISONS[0])]]).head(_MAPS)
    columns = min(2, len(chosen))
    lines = -(-len(chosen) // max(columns, 1))
    figure, axes = new_figure(max(lines, 1), max(columns, 1), height=3.4 * max(lines, 1) + 0.5)
    for axis in axes.flat[len(chosen) :]:
        axis.set_visible(False)
    image = None
    for axis, (_, pair) in zip(axes.flat, chosen.iterrows(), strict=False):
        part = rows[(rows[keys] == pair[keys]).all(axis=1)]
        image = _map(axis, part, *(_name(pair[side], pair["trained"]) for side in ("condition", "against_condition")))
        axis.set_title(str(pair["comparison"]))
    if image is not None:
        figure.colorbar(image, ax=axes, label="debiased linear CKA", shrink=0.7, aspect=30)
    heading(figure, corpus, models)
    return figure


def _map(axis: Axes, part: pd.DataFrame, name: str, other: str) -> AxesImage:
    """One map; the names of layers are colored by resolution."""
    wide = part.pivot_table(index="layer_index", columns="against_layer_index", values="value").sort_index(axis=1)
    image = axis.imshow(wide.to_numpy(float), cmap="viridis", vmin=0, vmax=1, origin="lower", aspect="auto")
    axis.set_yticks(range(len(wide)), [str(index) for index in wide.index])
    axis.set_xticks(range(wide.shape[1]), [str(index) for index in wide.columns])
    periods = part.drop_duplicates("layer_index").set_index("layer_index")["frame_period"]
    for label, index in zip(axis.get_yticklabels(), wide.index, strict=True):
        label.set_color(text_color(float(periods[index])))
    axis.set_ylabel(f"layer of {name}", fontsize="small")
    axis.set_xlabel(f"layer of {other}", fontsize="small")
    axis.grid(visible=False)
    return image


@of_rows
def shared_by_depth(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Similarity of layers of equal depth in two models that differ in one switch or in the seed: CKA and mean CCA.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.layer_similarity`.
    corpus, models
        For the title.
    """
    between = table[table["comparison"].ne(COMPARISONS[0])]
    rows = between[between["layer_index"].astype(float).eq(between["against_layer_index"].astype(float))]
    figure, axes = new_figure(1, 2, height=4.0, sharex=True)
    handles: dict[str, Line2D] = {}
    for axis, measure, title in zip(axes.flat, ("cka", "cca"), ("debiased CKA", "mean CCA"), strict=True):
        part = rows[rows["measure"].eq(measure)]
        names = [
            " and ".join(_name(each, row.trained) for each in (row.condition, row.against_condition))
            for row in part.itertuples()
        ]
        for number, ((name, comparison), own) in enumerate(
            part.groupby([np.array(names, dtype=object), "comparison"], sort=False)
        ):
            own = own.sort_values("layer_index")
            seeds = comparison == COMPARISONS[2]
            spread = np.clip(np.stack([own["value"] - own["low"], own["high"] - own["value"]]).astype(float), 0, None)
            drawn = axis.errorbar(
                own["layer_index"].astype(float) + 0.08 * number, own["value"], yerr=np.nan_to_num(spread), capsize=2,
                marker=_SHAPES[number % len(_SHAPES)], markersize=5, elinewidth=1.1,
                linestyle="-" if seeds else ("--" if own["trained"].all() else ":"),
                color=INK if seeds else list(RESOLUTION_COLORS.values())[number % len(RESOLUTION_COLORS)],
            )  # fmt: skip
            handles.setdefault(f"{name} ({'two seeds' if seeds else 'one switch'})", drawn.lines[0])
        chance = rows[rows["measure"].eq(f"{measure}{_SHUFFLED}")]["value"]
        if len(chance):
            axis.axhspan(chance.min(), chance.max(), color=BASELINE, alpha=0.35, linewidth=0.8, zorder=1)
        axis.set_title(title)
        axis.set_xlabel("layer")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("similarity of layers of equal depth")
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower left", ncols=1, frameon=False, fontsize="small"
        )  # fmt: skip
    else:
        axes[0, 0].set_title("no two models of this run differ in one respect: see the parameter models")
        axes[0, 1].set_visible(False)
    heading(figure, corpus, models)
    return figure


@of_rows
def dominant_dimensions(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Mean cosine and the share of variance in the three largest dimensions, by layer.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.layer_geometry`.
    corpus, models
        For the title.
    """
    titles = {"mean cosine": "mean cosine of two frames", "top 3 variance": "variance in 3 largest dimensions"}
    rows = table[table["view"].eq("frames")]
    acoustic = rows["model"].eq("mel")
    mel = rows[acoustic & rows["measure"].isin(list(titles))]
    return layer_curves(
        rows[~acoustic], panels="measure", ylabel="share", title=f"{corpus}; {models}", panel_titles=titles,
        references={"log-mel": dict(zip(mel["measure"], mel["value"], strict=True))},
    )  # fmt: skip


@of_rows
def treated_dimensions(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """CKA, CCA and ABX of one model's layers with their dimensions as they are, standardized, and without outliers.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.layer_geometry`.
    corpus, models
        For the title.
    """
    titles = {"cka": "CKA with log-mel", "cca": "CCA with words", "abx accuracy": "word ABX"}
    rows = table[table["measure"].isin(list(titles))]
    figure, axes = new_figure(1, 3, height=3.4, sharex=True)
    for axis, (measure, title) in zip(axes.flat, titles.items(), strict=True):
        for number, (treatment, part) in enumerate(rows[rows["measure"].eq(measure)].groupby("treatment", sort=False)):
            part = part.sort_values("layer_index")
            spread = np.stack([part["value"] - part["low"], part["high"] - part["value"]]).astype(float)
            axis.errorbar(
                part["layer_index"].astype(float) + 0.1 * number, part["value"], yerr=np.nan_to_num(spread.clip(0)),
                marker=_SHAPES[number], markersize=5, capsize=2, elinewidth=1.1, label=str(treatment),
                color=(INK, *RESOLUTION_COLORS.values())[number],
            )  # fmt: skip
        axis.set_title(title)
        axis.set_xlabel("layer")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("score")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize="small")
    named = condition_name(rows["condition"].iloc[0]) if len(rows) else models
    heading(figure, corpus, named)
    return figure


@of_rows
def selectivity(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Selectivity of probes by layer, a panel for each task, and the compression of word labels.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.selectivities`.
    corpus, models
        For the title.
    """
    kept = table["measure"].isin(["selectivity", "compression"])
    shuffled = table["measure"].eq(f"compression{_SHUFFLED}")
    panel = table["view"] + ": " + table["measure"].str.removesuffix(_SHUFFLED)
    rows = table.assign(panel=panel)
    acoustic = rows["model"].isin(["mel", "mfcc"])
    known = rows[acoustic & kept]
    return layer_curves(
        rows[~acoustic & kept], panels="panel", ylabel="", title=f"{corpus}; {models}",
        panel_titles={key: key for key in dict.fromkeys(rows[kept]["panel"])}, baselines=rows[~acoustic & shuffled],
        references={
            name: dict(zip(part["panel"], part["value"], strict=True))
            for name, part in (("log-mel", known[known["model"] == "mel"]), ("MFCC", known[known["model"] == "mfcc"]))
        },
    )  # fmt: skip


@of_rows
def prosody(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """R2 of ridge probes by layer, a panel for each target.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.prosody`.
    corpus, models
        For the title.
    """
    titles = {
        "energy": "energy", "pitch": "pitch of vowels", "boundary": "a phone begins", "duration": "duration of the phone"
    }  # fmt: skip
    acoustic, kept = table["model"].isin(["mel", "mfcc"]), table["measure"].eq("r2")
    known = table[acoustic & kept]
    return layer_curves(
        table[~acoustic & kept], panels="view", ylabel="R² in windows of 20 ms", title=f"{corpus}; {models}",
        panel_titles=titles,
        references={
            name: dict(zip(part["view"], part["value"], strict=True))
            for name, part in (("log-mel", known[known["model"] == "mel"]), ("MFCC", known[known["model"] == "mfcc"]))
        },
    )  # fmt: skip


@of_rows
def context_by_layer(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Seconds before and after a frame that hold 90 % of its squared input gradient, by layer.

    Parameters
    ----------
    table
        Of `multires.analysis.stages.context`.
    corpus, models
        For the title.
    """
    titles = {"context back": "before the frame", "context forward": "after the frame"}
    return layer_curves(
        table[table["measure"].isin(list(titles))], panels="measure", ylabel="effective context (s)",
        title=f"{corpus}; {models}", panel_titles=titles, share_y=True,
    )  # fmt: skip


def _name(condition: object, trained: object) -> str:
    return condition_name(condition if trained else f"{UNTRAINED}{condition}")


_SHAPES = ("o", "s", "D", "^", "v", "P")
