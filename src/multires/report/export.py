"""Tables and figures in the forms that a paper takes them: CSV, LaTeX, PDF and SVG."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from multires.report import costs, figures, sentences
from multires.report.equal_rates import EQUAL
from multires.report.escape import for_latex
from multires.report.figures import efficiency as charts
from multires.results import Result, export
from multires.runtime.storage import replace_file

FORMATS = ("csv", "tex", "pdf", "svg")
"""Formats of a report: the first two for tables, the others for figures."""

Draw = Callable[[pd.DataFrame, str, str], Figure]
"""A figure from a table, the name of the corpus and that of the models."""


@dataclass(frozen=True)
class Section:
    """A table of the analysis in a report.

    Attributes
    ----------
    title
        In the index and as the caption of the LaTeX table.
    figures
        By file name.
    condense
        The full table as one that fits a page.
    """

    title: str
    figures: dict[str, Draw]
    condense: Callable[[pd.DataFrame], pd.DataFrame]


def write_tables(result: Result, stem: Path, section: Section, kinds: Sequence[str]) -> list[Path]:
    """Write a table as CSV with its provenance, and condensed as LaTeX; the files that were written."""
    written = []
    if "csv" in kinds:
        written.append(export(result.table, stem.with_suffix(".csv")))
        source = stem.with_suffix(".json")
        write_text(source, json.dumps(result.source, indent=2, default=str))
        written.append(source)
    if "tex" in kinds:
        target = stem.with_suffix(".tex")
        write_text(target, latex(section.condense(result.table), section.title, stem.name))
        written.append(target)
    return written


def write_figures(
    table: pd.DataFrame, place: Path, section: Section, corpus: str, models: str, kinds: Sequence[str]
) -> list[Path]:
    """Draw the figures of a section and write them; the files that were written."""
    written = []
    for name, draw in section.figures.items():
        figure = draw(table, corpus, models)
        for kind in [kind for kind in kinds if kind in ("pdf", "svg")]:
            target = place / f"{name}.{kind}"
            # Without dates, so that the same numbers give the same file.
            metadata = {"CreationDate": None} if kind == "pdf" else {"Date": None}
            replace_file(target, partial(figure.savefig, format=kind, metadata=metadata))
            written.append(target)
    return written


def write_text(target: Path, text: str) -> None:
    """Write a text in one step."""
    replace_file(target, lambda file: file.write_text(text, encoding="utf-8"))


def latex(table: pd.DataFrame, caption: str, label: str) -> str:
    """A table in LaTeX, its text escaped, for the package booktabs."""
    aligned = "".join("r" if pd.api.types.is_numeric_dtype(kind) else "l" for kind in table.dtypes)
    return str(
        table.to_latex(
            index=False, escape=True, caption=for_latex(caption), label=f"tab:{label}", column_format=aligned,
            float_format="%.3f", na_rep="",
        )
    )  # fmt: skip


def _cell(value: Any, low: Any, high: Any) -> str:
    interval = "" if pd.isna(low) or pd.isna(high) else f" [{low:.3f}, {high:.3f}]"
    return f"{value:.3f}{interval}"


def layers_by_view(table: pd.DataFrame, measures: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a layer of each model, one column a view (with its window and measure where there are several).

    Parameters
    ----------
    table
        Of a stage.
    measures
        Those to show; all but shuffled ones where None.

    Returns
    -------
    pandas.DataFrame
        Columns model, seed, layer, ms (the frame period) and one for each view: the mean over trials and its interval.
    """
    rows = table[table["trial"].isna() & table["value"].notna()].copy()
    shown = rows["measure"].isin(measures) if measures else ~rows["measure"].str.contains("shuffled")
    rows = rows[shown]
    title = rows["view"].astype(str)
    if "window" in rows:
        title = title.where(rows["window"].isna(), title + " " + rows["window"].map("{:.0f} ms".format))
    if len(set(rows["measure"])) > 1:
        title = title + ", " + rows["measure"]
    rows["title"] = title
    for column in ("low", "high"):
        if column not in rows:
            rows[column] = float("nan")
    rows["cell"] = [_cell(*values) for values in rows[["value", "low", "high"]].to_numpy(float)]
    keys = ["model", "seed", "layer", "frame_period"]
    rows[keys] = rows[keys].astype(object).where(rows[keys].notna(), "")
    wide = rows.pivot_table(index=keys, columns="title", values="cell", aggfunc="first", sort=False).reset_index()
    wide.insert(3, "ms", [period if period == "" else f"{1000 * period:g}" for period in wide.pop("frame_period")])
    return wide.rename_axis(columns=None)


def _condense_variants(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["variant"] == table["measure"]]
    return layers_by_view(rows.assign(window=float("nan")))


def _condense_grouping(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["trial"].isna() & (table["measure"] != "shuffled")]
    cells = [_cell(*values) for values in rows[["value", "low", "high"]].to_numpy(float)]
    named = rows[["model", "layer", "view", "grouping", "n"]].assign(score=cells)
    return named.astype({"n": int})


def _condense_clusters(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["trial"].isna()]
    wide = rows.pivot_table(index="clusters", columns="measure", values="value", sort=True)
    return wide.reset_index().astype({"clusters": int}).rename_axis(columns=None)


def _condense_agreement(table: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {"measure": measure, "view": view, "layers": len(part), "rank correlation": sentences.rank_correlation(part)}
        for (measure, view), part in table.groupby(["measure", "view"], sort=False)
    ]
    return pd.DataFrame(rows)


def _condense_units(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[~table["measure"].str.contains("shuffled")]
    cells = [_cell(*values) for values in rows[["value", "low", "high"]].to_numpy(float)]
    named = rows[["model", "seed", "layer", "rate", "clusters", "measure"]].assign(cell=cells)
    keys = ["model", "seed", "layer", "rate", "clusters"]
    wide = named.pivot_table(index=keys, columns="measure", values="cell", aggfunc="first", sort=False).reset_index()
    return wide.astype({"rate": int, "clusters": int}).rename_axis(columns=None)


def _condense_geometry(table: pd.DataFrame) -> pd.DataFrame:
    kept = [*_GEOMETRY, "cka", "cca", "abx accuracy"]
    rows = table[table["measure"].isin(kept)]
    titles = rows["measure"].where(rows["view"].eq("frames"), rows["measure"] + ", " + rows["treatment"])
    return layers_by_view(rows.assign(view=titles, measure="", window=float("nan")))


_GEOMETRY = ("mean cosine", "top 3 variance", "outlier dimensions")
"""Measures of dimensions that fit a page."""


def _condense_similarity(table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of layers with the same name in two models."""
    same = table["layer"].eq(table["against_layer"]) & table["comparison"].ne("within a model")
    rows = table[same & table["measure"].isin(["cka", "cca"])]
    cells = [_cell(*values) for values in rows[["value", "low", "high"]].to_numpy(float)]
    return rows[["comparison", "model", "against", "layer", "measure"]].assign(similarity=cells)


def _condense_resolution(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["chosen"].eq(True) & table["view"].isin(["word", "phone"]) & table["matching"].eq(EQUAL)]
    return layers_by_view(rows.assign(window=float("nan")))


def _condense_effects(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["view"].eq("word")]
    cells = [_cell(*values) for values in rows[["value", "low", "high"]].to_numpy(float)]
    return rows[["contrast", "block", "matching", "measure"]].assign(difference=cells)


def _condense_claims(table: pd.DataFrame) -> pd.DataFrame:
    effects = [
        "" if pd.isna(value) else _cell(value, low, high)
        for value, low, high in table[["value", "low", "high"]].to_numpy(float)
    ]
    return table[["claim", "evidence", "verdict"]].assign(effect=effects)[["claim", "evidence", "effect", "verdict"]]


def _with_names(draw: Callable[..., Figure]) -> Draw:
    return lambda table, corpus, models: draw(table, corpus=corpus, models=models)


def _with_corpus(draw: Callable[..., Figure]) -> Draw:
    return lambda table, corpus, _: draw(table, corpus=corpus)


def _alone(draw: Callable[..., Figure]) -> Draw:
    return lambda table, *_: draw(table)


SECTIONS: dict[str, Section] = {
    "extraction": Section(
        "Layers: spread and similarity of neighbors",
        {"extraction": _with_names(figures.extraction_summary)},
        lambda table: layers_by_view(table, ["participation ratio", "neighbor similarity"]),
    ),
    "cca": Section(
        "CCA of every layer with every view",
        {"cca": _with_names(figures.cca_by_layer), "cca-windows": _with_names(figures.cca_by_window)},
        layers_by_view,
    ),
    "cca-variants": Section(
        "Definitions of the CCA score, against phones",
        {"cca-variants": _with_corpus(figures.cca_variants)}, _condense_variants,
    ),
    "cca-grouping": Section(
        "CCA where segments, utterances or speakers are kept together", {}, _condense_grouping
    ),
    "mutual-information": Section(
        "Mutual information of clusters with phones and words",
        {"mutual-information": _with_names(figures.mi_by_layer)},
        lambda table: layers_by_view(table, ["normalized", "adjusted"]),
    ),
    "mi-clusters": Section(
        "Mutual information with phones by number of clusters",
        {"mi-clusters": _with_corpus(figures.mi_by_clusters)}, _condense_clusters,
    ),
    "units": Section(
        "Units of layers and of acoustic features against phones, frame by frame",
        {"units": _with_names(figures.units_by_layer)}, _condense_units,
    ),
    "similarity": Section(
        "Similarity of layers within a model, between conditions and between seeds",
        {"similarity": _with_names(figures.similarity_maps), "shared": _with_names(figures.shared_by_depth)},
        _condense_similarity,
    ),
    "geometry": Section(
        "Anisotropy and outlier dimensions, and other measures without them",
        {"dimensions": _with_names(figures.dominant_dimensions), "treated": _with_names(figures.treated_dimensions)},
        _condense_geometry,
    ),
    "efficiency": Section(
        "Cost with and without downsampling",
        {"macs": _alone(charts.macs_by_part), "savings": _alone(charts.savings), "latency": _alone(charts.latency),
         "parts": _alone(charts.time_by_part)},
        costs.overview,
    ),
    "probes": Section(
        "Accuracy of linear probes",
        {"probes": _with_names(figures.probes_by_layer), "weighted-sums": _with_names(figures.weighted_sums)},
        lambda table: layers_by_view(table, ["accuracy"]),
    ),
    "selectivity": Section(
        "Probes less their control tasks, and the description length of words",
        {"selectivity": _with_names(figures.selectivity)},
        lambda table: layers_by_view(table, ["accuracy", "control accuracy", "selectivity", "compression"]),
    ),
    "prosody": Section(
        "Ridge probes of energy, pitch, phone boundaries and durations",
        {"prosody": _with_names(figures.prosody)}, lambda table: layers_by_view(table, ["r2"]),
    ),
    "context": Section(
        "Effective context of layers, in seconds", {"context": _with_names(figures.context_by_layer)},
        lambda table: layers_by_view(table, ["context back", "context forward", "context total"]),
    ),
    "agreement": Section(
        "Rank correlation of CCA and MI with probe accuracy",
        {"agreement": _with_names(figures.agreement)}, _condense_agreement,
    ),
    "resolution": Section(
        "Layers at equal frame rates, by four measures",
        {"resolution-layers": _with_names(figures.resolution_by_layer)}, _condense_resolution,
    ),
    "block-effects": Section(
        "Blocks with and without downsampling and the loss, at equal frame rates",
        {"low-resolution": _with_names(figures.low_resolution), "block-effects": _with_names(figures.block_effects)},
        _condense_effects,
    ),
    "claims": Section(
        "The paper's claims and what this run supports", {"claims": _with_names(figures.claims)},
        _condense_claims,
    ),
}  # fmt: skip
"""Sections of a report in reading order."""
