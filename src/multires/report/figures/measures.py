"""Figures of the chapters on CCA, mutual information and probes."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from multires.report.figures.empty import nothing, of_rows
from multires.report.figures.layers import add_legend, apart, condition_markers, layer_curves
from multires.report.figures.paired import curves_with_differences
from multires.report.figures.style import BASELINE, heading, label_at_end, marker_size, new_figure, resolution_color
from multires.report.names import condition_name, depth_label, layer_name, speech_name, transformer_layers
from multires.report.sentences import ACOUSTIC_NAMES, rank_correlation

VIEW_TITLES = {
    "mel": "log-mel, own frames",
    "conv": "waveform encoder",
    "phone": "phone",
    "word": "word",
    "part_of_speech": "part of speech",
    "word_vectors": "word vectors",
    "layer": "reference model's last layer",
}


@of_rows
def cca_by_layer(table: pd.DataFrame, *, corpus: str, models: str, differences: pd.DataFrame | None = None) -> Figure:
    """CCA with every view by depth; log-mel in windows of the layer's own frame period.

    `differences` (see `multires.analysis.comparisons.cca_comparisons`), where given, are drawn beside the curves.
    """
    own = table["view"].ne("mel") | np.isclose(
        table["window"].astype(float), table["frame_period"].astype(float) * 1000
    )
    rows = table[own]
    if differences is not None:
        return curves_with_differences(
            _scores(rows), differences, panels="view", ylabel="CCA", title=f"{speech_name(corpus)}; {models}",
            panel_titles=VIEW_TITLES, baselines=_shuffled(rows),
        )  # fmt: skip
    return layer_curves(
        _scores(rows), panels="view", ylabel="CCA", title=f"{speech_name(corpus)}; {models}", panel_titles=VIEW_TITLES,
        baselines=_shuffled(rows),
    )  # fmt: skip


@of_rows
def cca_by_window(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """CCA with log-mel by depth, a panel for each window in which all layers are read."""
    rows = table[table["view"] == "mel"]
    titles = {window: f"window of {window:.0f} ms" for window in sorted(rows["window"].unique())}
    return layer_curves(
        _scores(rows), panels="window", ylabel="CCA with log-mel", title=f"{speech_name(corpus)}; {models}", panel_titles=titles,
        baselines=_shuffled(rows), share_y=True,
    )  # fmt: skip


@of_rows
def cca_variants(table: pd.DataFrame, *, corpus: str) -> Figure:
    """One curve by depth for each definition of the score."""
    rows = _scores(table)
    rows = rows[rows["layer_index"].notna()]
    if rows.empty:
        return nothing(speech_name(corpus))
    figure, axes = new_figure(1, 1, height=4.2)
    axis = axes.flat[0]
    last = rows[rows["layer_index"] == rows["layer_index"].max()].sort_values("value")["measure"]
    offsets = {measure: 9.0 * (place - (len(last) - 1) / 2) for place, measure in enumerate(last)}
    for measure, part in rows.groupby("measure", sort=False):
        part = part.sort_values("layer_index")
        spread = np.clip(np.stack([part["value"] - part["low"], part["high"] - part["value"]]).astype(float), 0, None)
        axis.errorbar(part["layer_index"], part["value"], yerr=np.nan_to_num(spread), color=BASELINE, marker="o",
                      markersize=5, capsize=2.5, elinewidth=1.2)  # fmt: skip
        for row in part.itertuples():
            axis.plot(
                row.layer_index,
                row.value,
                "o",
                color=resolution_color(row.frame_period),
                markersize=marker_size(row.frame_period),
                zorder=3,
            )
        label_at_end(axis, part["layer_index"].iloc[-1], part["value"].iloc[-1], str(measure), "#333333",
                     offset=offsets.get(measure, 0.0))  # fmt: skip
    axis.set_xlabel(depth_label(rows))
    axis.set_ylabel("score against phones")
    axis.set_title(f"{speech_name(corpus)}; {condition_name(rows['condition'].iloc[0])}")
    axis.margins(x=0.05)
    axis.set_xlim(right=rows["layer_index"].max() * 1.35)
    axis.set_xticks(sorted(rows["layer_index"].unique()))
    return figure


@of_rows
def mi_by_layer(table: pd.DataFrame, *, corpus: str, models: str, differences: pd.DataFrame | None = None) -> Figure:
    """Normalized and adjusted mutual information with phones and words by depth.

    `differences` of the normalized (see `multires.analysis.comparisons.mi_comparisons`), where given, are drawn beside
    the curves.
    """
    rows = table[table["measure"].isin(["normalized", "adjusted", "normalized shuffled", "adjusted shuffled"])].copy()
    shuffled = rows["measure"].str.endswith("shuffled")
    rows["panel"] = rows["view"] + ", " + rows["measure"].str.removesuffix(" shuffled")
    titles = {
        f"{view}, {measure}": f"{view}s, {name}"
        for view in ("phone", "word")
        for measure, name in (("normalized", "normalized"), ("adjusted", "adjusted"))
    }
    layers, acoustic = _split_acoustic(rows[~shuffled])
    if differences is not None:
        return curves_with_differences(
            layers, differences.assign(panel=differences["view"].astype(str) + ", normalized"), panels="panel",
            ylabel="mutual information", title=f"{speech_name(corpus)}; {models}", panel_titles=titles,
            baselines=rows[shuffled], references=_references(acoustic, "panel"),
        )  # fmt: skip
    return layer_curves(
        layers, panels="panel", ylabel="mutual information", title=f"{speech_name(corpus)}; {models}", panel_titles=titles,
        baselines=rows[shuffled], references=_references(acoustic, "panel"),
    )  # fmt: skip


@of_rows
def mi_by_clusters(table: pd.DataFrame, *, corpus: str) -> Figure:
    """Raw, corrected and shuffled mutual information (bits) over the number of clusters."""
    names = {"bits": "raw", "bits corrected": "corrected", "bits shuffled": "shuffled, raw",
             "bits corrected shuffled": "shuffled, corrected"}  # fmt: skip
    if not table["measure"].isin(list(names)).any():
        return nothing(speech_name(corpus))
    figure, axes = new_figure(1, 1, height=4.0)
    axis = axes.flat[0]
    axis.axhline(0, color=BASELINE, linewidth=1)
    for measure, name in names.items():
        part = table[(table["measure"] == measure) & table["trial"].isna()].sort_values("clusters")
        if part.empty:
            continue
        color = BASELINE if "shuffled" in measure else "#222222"
        style = "--" if "corrected" in measure else "-"
        axis.plot(part["clusters"], part["value"], style, color=color, marker="o", markersize=5)
        if part["low"].notna().any():
            axis.fill_between(part["clusters"].astype(float), part["low"].astype(float), part["high"].astype(float),
                              color=color, alpha=0.15, linewidth=0)  # fmt: skip
        label_at_end(axis, part["clusters"].iloc[-1], part["value"].iloc[-1], name, color)
    axis.set_xscale("log", base=2)
    counts = sorted(table["clusters"].unique())
    ticks = [
        count for count, above in itertools.zip_longest(counts, counts[1:]) if above is None or above > 1.2 * count
    ]
    axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(right=max(ticks) * 2.6)
    axis.set_xlabel("k-means clusters")
    axis.set_ylabel("bits")
    axis.set_title(
        f"{speech_name(corpus)}; {condition_name(table['condition'].iloc[0])}, "
        f"{layer_name(table['layer'].iloc[0], table['layer_index'].iloc[0])}, {int(table['n'].max()):,} phones"
    )
    return figure


@of_rows
def probes_by_layer(
    table: pd.DataFrame, *, corpus: str, models: str, differences: pd.DataFrame | None = None
) -> Figure:
    """Accuracy of probes on single layers by depth.

    `differences` (see `multires.analysis.comparisons.probe_comparisons`), where given, are drawn beside the curves.
    """
    single = table[table["layer_index"].notna()]
    layers, acoustic = _split_acoustic(single[single["measure"] == "accuracy"])
    shuffled, _ = _split_acoustic(single[single["measure"] == "shuffled accuracy"])
    title, references = f"{speech_name(corpus)}; {models}", _references(acoustic, "view")
    if differences is not None:
        return curves_with_differences(
            layers, differences, panels="view", ylabel="accuracy", title=title, baselines=shuffled, references=references,
            panel_titles={view: view for view in dict.fromkeys(layers["view"])},
        )  # fmt: skip
    return layer_curves(
        layers, panels="view", ylabel="accuracy", title=title, baselines=shuffled, references=references
    )


@of_rows
def weighted_sums(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """The learned weighted sum of layers beside the best single layer, and the acoustic features, the best at the top.

    What comes before the Transformer is no candidate for the best layer, as it is no part of the weighted sum.
    """
    accuracy = apart(table[table["measure"] == "accuracy"])
    if accuracy.empty:
        return nothing(f"{speech_name(corpus)}; {models}")
    tasks = list(dict.fromkeys(accuracy["view"]))
    lines = 2 * accuracy["condition"].nunique()
    figure, axes = new_figure(len(tasks), 1, height=1.0 + (0.5 + 0.19 * lines) * len(tasks), sharex=False)
    for axis, task in zip(axes.flat, tasks, strict=True):
        rows = accuracy[accuracy["view"] == task]
        layers, acoustic = _split_acoustic(rows)
        groups = [
            [(ACOUSTIC_NAMES.get(row.model, str(row.model)), row.value, row.low, row.high, "s")]
            for row in acoustic.itertuples()
        ]
        for condition, part in layers.groupby("condition", sort=False):
            own = []
            single = transformer_layers(part[part["layer_index"].notna() & part["value"].notna()])
            if len(single):
                best = single.loc[single["value"].astype(float).idxmax()]
                where = layer_name(best["layer"], best["layer_index"])
                own.append(
                    (f"{condition_name(condition)}: best, {where}", best["value"], best["low"], best["high"], "o")
                )
            for row in part[part["layer_index"].isna()].itertuples():
                own.append((f"{condition_name(condition)}: weighted sum", row.value, row.low, row.high, "D"))
            if own:
                groups.append(own)
        groups.sort(key=lambda group: max(value for _, value, *_ in group), reverse=True)
        entries = [entry for group in groups for entry in group]
        for height, (_, value, low, high, marker) in enumerate(reversed(entries)):
            axis.errorbar(
                value, height, xerr=[[max(value - low, 0)], [max(high - value, 0)]] if np.isfinite(low) else None,
                fmt=marker, color=BASELINE if marker == "s" else "#222222", capsize=2.5, markersize=6,
                markerfacecolor="white" if marker == "o" else None,
            )  # fmt: skip
        axis.set_yticks(range(len(entries)), [name for name, *_ in reversed(entries)], fontsize="small")
        axis.set_title(task)
        axis.margins(y=0.12)
    axes.flat[-1].set_xlabel("accuracy")
    heading(figure, speech_name(corpus), models)
    return figure


@of_rows
def agreement(table: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Probe accuracy of every layer against its CCA and MI with the same labels."""
    if table.empty:
        return nothing(f"{speech_name(corpus)}; {models}")
    views = list(dict.fromkeys(table["view"]))
    measures = list(dict.fromkeys(table["measure"]))
    figure, axes = new_figure(len(views), len(measures), height=2.6 * len(views) + 0.6)
    markers = condition_markers(list(dict.fromkeys(table["condition"])))
    for row, view in enumerate(views):
        for column, measure in enumerate(measures):
            axis, part = axes[row, column], table[(table["view"] == view) & (table["measure"] == measure)]
            for point in part.itertuples():
                marker, filled = markers[point.condition]
                color = resolution_color(point.frame_period)
                axis.plot(point.value, point.accuracy, marker, color=color, markersize=marker_size(point.frame_period),
                          markerfacecolor=color if filled else "white")  # fmt: skip
            axis.set_title(f"{view}s: ρ = {rank_correlation(part):.2f}")
            axis.set_xlabel(measure if measure == "CCA" else "MI, adjusted")
            if column == 0:
                axis.set_ylabel("probe accuracy")
    add_legend(figure, markers, sorted(table["frame_period"].unique()), shuffled=False)
    heading(figure, speech_name(corpus), models)
    return figure


@of_rows
def all_curves(curves: pd.DataFrame, *, corpus: str, models: str) -> Figure:
    """Every measure of every layer, a panel each: what `multires.book.explorer.scores.curves` gives."""
    rows = curves.assign(name=curves["group"].str.partition(",")[0] + ": " + curves["panel"])
    layers, acoustic = rows[rows["layer_index"].notna()], rows[rows["layer_index"].isna()]
    ends = [rows.assign(value=rows[end]) for end in ("chance_low", "chance_high")]
    acoustic = acoustic.assign(model=acoustic["condition"])
    return layer_curves(
        layers.astype({"layer_index": int}), panels="name", ylabel="", title=f"{speech_name(corpus)}; {models}",
        baselines=pd.concat(ends).dropna(subset=["value"]), references=_references(acoustic, "name"),
    )  # fmt: skip


def _scores(table: pd.DataFrame) -> pd.DataFrame:
    """The means over trials, without baselines."""
    return table[table["trial"].isna() & (table["measure"] != "shuffled")]


def _shuffled(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["measure"] == "shuffled"]


def _split_acoustic(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of models, rows of log-mel and MFCC; only means over trials."""
    means = table[table["trial"].isna()]
    acoustic = means["model"].isin(["mel", "mfcc"])
    return means[~acoustic], means[acoustic]


def _references(acoustic: pd.DataFrame, panels: str) -> dict[str, dict[str, float]]:
    return {
        ACOUSTIC_NAMES.get(str(model), str(model)): dict(zip(part[panels], part["value"], strict=True))
        for model, part in acoustic.groupby("model")
    }
