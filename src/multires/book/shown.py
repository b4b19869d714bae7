"""Tables as the book shows them: folded, with plain column names and a download; and all tables of a chapter in one file."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from multires.analysis.run import Run
from multires.errors import MultiresError
from multires.report.escape import for_html, styled
from multires.report.left_out import NO_SCORES
from multires.results import Result, table_for_csv, why_empty
from multires.runtime.storage import replace_file

ROWS = 40
"""Rows of a table that are shown; the download has all."""

DICTIONARY = {
    "model": "name of the model, as `load_model` takes it",
    "condition": "architecture and training: hubert, mono (20 ms control) or multi, with +aux for the auxiliary loss",
    "seed": "seed of the model's weights",
    "layer": "name of the layer",
    "layer_index": "position of the layer, 0 for the output of the waveform encoder",
    "block": "block that the layer belongs to",
    "frame_period": "seconds from one frame of the layer to the next",
    "measure": "the quantity in `value`",
    "view": "what the layer is compared with: log-mel, phone, word, part of speech or another layer",
    "trial": "fold or repetition; empty for the mean over trials",
    "value": "the number",
    "n": "items that the number rests on; see `measure`",
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
    "trained": "true for trained weights, false for random ones",
    "window": "milliseconds that the layer was averaged to before the comparison",
    "matching": "how frames were brought to a frame rate before the comparison; native: not at all",
    "chosen": "true for the layer of its block that the measure favors on training speakers",
    "comparison": "respect in which the two models differ: not at all, in one switch, or in the seed",
    "rate": "frames per second at which units are compared",
    "treatment": "treatment of the dimensions of the layer before the comparison",
    "n_units": "different units",
    "n_labels": "different labels",
    "contrast": "the two conditions that differ in one switch",
    "against_condition": "the condition that `condition` is compared with",
    "grouping": "never divided between fitting and scoring: segment, utterance or speaker",
    "clusters": "k-means clusters that were used",
    "clusters_requested": "k-means clusters that were asked for",
    "against": "the model that `model` is compared with",
    "against_layer": "the layer of that model",
    "against_layer_index": "position of that layer",
    "against_seed": "the seed of that model",
    "part": "part of the model whose cost is counted or timed",
    "duration": "seconds of speech in one input",
    "unit": "unit of `value`",
    "source": "where the evidence comes from, or whether a cost is counted or measured",
    "claim": "number of the paper's claim",
    "title": "the claim",
    "evidence": "the comparison that is evidence",
    "verdict": "what the evidence says about the claim",
    "sentence": "the evidence in words",
    "primary": "true if the evidence counts for the verdict",
    "split": "split of the corpus",
    "variant": "definition of the CCA score",
    "accuracy": "accuracy of the linear probe on the same layer and labels",
    "n_train": "items that were fitted to",
    "n_unseen": "items left out because their label is not in the training split",
    "n_too_short": "items left out because they are too short",
    "batch": "inputs in one batch",
    "factor": "downsampling factor of the low resolution",
    "low_layers": "layers at the low resolution",
    "layers_total": "transformer layers of the model",
    "note": "why a value is missing, or a remark on it",
    "device": "cpu or the GPU that was timed",
    "machine": "processor, cores and system of the machine that was timed",
    "precision": "floating-point type of the computation",
    "threads": "threads of the computation",
    "size": "model size",
}
"""Meaning of the columns that several tables have."""


@dataclass(frozen=True)
class Folded:
    """A table as HTML, mostly one that a reader unfolds and downloads; Jupyter and the book show it."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def folded(table: pd.DataFrame, name: str, columns: Mapping[str, str] | None = None, *, precision: int = 3) -> Folded:
    """A table behind "Show the data", with all of its rows as CSV.

    Parameters
    ----------
    table
        What to show.
    name
        Of the file that is downloaded, without its ending.
    columns
        The columns to show, by the name that they are shown under; all under their own names if None.
    precision
        Digits after the point.

    Returns
    -------
    Folded
        Of a table without rows, the reason for which it could not be computed.
    """
    if table.empty:
        return _note(table)
    shown = table if columns is None else table[list(columns)].rename(columns=dict(columns))
    empty = [column for column in shown.columns if shown[column].isna().all()]
    shown = shown.drop(columns=empty)
    packed = base64.b64encode(table_for_csv(table).to_csv(index=False).encode("utf-8")).decode("ascii")
    rest = f", {ROWS} of them below" if len(shown) > ROWS else ""
    return Folded(
        f'<details class="data"><summary>Show the data</summary><p>'
        f'<a download="{for_html(name)}.csv" href="data:text/csv;base64,{packed}">Download {for_html(name)}.csv</a> '
        f"({len(table):,} rows{rest})</p>{styled(shown.head(ROWS), precision=precision).to_html()}</details>"
    )


def unfolded(table: pd.DataFrame, columns: Mapping[str, str], *, precision: int = 3) -> Folded:
    """A small table in view, with its intervals as in `with_intervals`; of one without rows, why it has none."""
    if table.empty:
        return _note(table)
    return Folded(styled(with_intervals(table, columns, precision=precision)).to_html())


def _note(table: pd.DataFrame) -> Folded:
    reason = why_empty(table)
    return Folded(f"<p><strong>Not computed.</strong> {for_html(reason)}.</p>" if reason else f"<p>{NO_SCORES}</p>")


def with_intervals(table: pd.DataFrame, columns: Mapping[str, str], *, precision: int = 3) -> pd.DataFrame:
    """A table for reading: some columns under plain names, and low and high as one column "95 % interval".

    Examples
    --------
    >>> scores = pd.DataFrame({"view": ["word"], "value": [0.5], "low": [0.4], "high": [0.625]})
    >>> with_intervals(scores, {"view": "Target", "value": "Score"}, precision=2)
      Target Score  95 % interval
    0   word  0.50  0.40 to 0.62
    """
    shown = pd.DataFrame(index=table.index)
    for column, name in columns.items():
        values = table[column]
        if column == "value":
            shown[name] = [f"{value:.{precision}f}" for value in values]
            shown["95 % interval"] = [
                "–" if pd.isna(low) or pd.isna(high) else f"{low:.{precision}f} to {high:.{precision}f}"
                for low, high in zip(table["low"], table["high"], strict=True)
            ]
        else:
            shown[name] = values
    return shown


def publish(run: Run, chapter: str, results: Mapping[str, Result]) -> Path:
    """Write a chapter's tables to ``<workspace>/book/data/<chapter>.zip``, from where the build takes them.

    The archive holds each table as CSV and Parquet with its provenance as JSON, and ``dictionary.csv``: the meaning of
    every column.

    Raises
    ------
    MultiresError
        If the archive cannot be written.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, result in results.items():
            _add(archive, f"{name}.csv", table_for_csv(result.table).to_csv(index=False).encode("utf-8"))
            parquet = io.BytesIO()
            result.table.to_parquet(parquet, index=False)
            _add(archive, f"{name}.parquet", parquet.getvalue())
            _add(archive, f"{name}.json", json.dumps(result.source, indent=2, default=str, sort_keys=True).encode())
        _add(archive, "dictionary.csv", dictionary(results).to_csv(index=False).encode("utf-8"))
    target = run.workspace / "book" / "data" / f"{chapter}.zip"
    try:
        replace_file(target, lambda file: file.write_bytes(packed.getvalue()))
    except OSError as error:
        raise MultiresError(f"cannot write {target}: {error.strerror or error}; choose another workspace") from error
    return target


def dictionary(results: Mapping[str, Result]) -> pd.DataFrame:
    """The columns of some tables: where they are, their type and meaning."""
    rows = [
        {
            "table": name,
            "column": column,
            "type": str(result.table[column].dtype),
            "meaning": DICTIONARY.get(column, ""),
        }
        for name, result in results.items()
        for column in result.table.columns
    ]
    return pd.DataFrame(rows, columns=["table", "column", "type", "meaning"])


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A file with a fixed date, so that the same tables give the same archive."""
    archive.writestr(zipfile.ZipInfo(name, date_time=(2024, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
