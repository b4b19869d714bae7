"""Reference curves: every measure of the book on a pretrained encoder that is not one of the paper's models.

From a shell, for the table that comes with the package::

    python -m multires.analysis.reference --model transformers:WHISPER_FOLDER --data LIBRISPEECH_FOLDER

The table is a positive control of the measures on real speech: what they show of a large trained encoder is known from
the literature. Weights are not shipped.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multires.analysis import stages
from multires.analysis.run import ACOUSTIC, open_run
from multires.errors import MultiresError, choose
from multires.models.layers import LayeredModel
from multires.models.whisper import WhisperEncoder
from multires.results import provenance, read_table, tidy, write_table

STAGES = ("cca", "mutual_information", "probes")
"""The measures in the table, by their column ``stage``."""

SETTINGS: dict[str, Any] = {
    "views": ("mel", "conv", "phone", "word", "part_of_speech"),
    "regularizers": 2,  # all six give scores within 2e-8 of these
}
"""Fields of the profile librispeech that the table replaces; the view ``layer`` would need a second model."""

NAME, LABEL = "whisper-base-encoder", "Whisper base encoder, supervised, not in the paper"
"""The model and the condition of the shipped table's rows; figures show the latter."""

SHIPPED = Path(__file__).parents[1] / "data" / "reference" / f"{NAME}.parquet"
"""The table that comes with the package."""


def reference_table(stage: str) -> pd.DataFrame:
    """The shipped rows of one of `STAGES`: means over trials, shuffled labels, and the acoustic features.

    Raises
    ------
    MultiresError
        For an unknown stage.
    """
    choose("stage", stage, STAGES)
    table, _ = read_table(SHIPPED)
    return table[table["stage"] == stage].dropna(axis="columns", how="all").assign(trial=pd.NA)


def measure_reference(
    model: str,
    data: str | Path,
    out: Path,
    *,
    name: str = NAME,
    label: str = LABEL,
    workspace: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> Path:
    """Apply every measure to one model on read speech, and write one table with its provenance.

    Parameters
    ----------
    model
        As in `multires.models.load_model`. Whisper's encoder reads utterances without padding to 30 s.
    data
        A folder in LibriSpeech's layout with train-clean-100 and test-other.
    out
        The ``.parquet`` file to write.
    name, label
        The columns model and condition of the table's rows.
    workspace
        Keeps vectors between calls; a temporary folder where None.
    settings
        Further fields of the profile to replace, after `SETTINGS`.

    Raises
    ------
    MultiresError
        As `multires.analysis.run.open_run`.
    """
    if workspace is None:
        with tempfile.TemporaryDirectory() as folder:
            return measure_reference(
                model, data, out, name=name, label=label, workspace=folder, progress=progress, **settings
            )
    chosen = {**SETTINGS, **settings}
    run = open_run(
        "librispeech", data=data, workspace=workspace, models=(model,), reference_model=model, progress=progress,
        **chosen,
    )  # fmt: skip
    loaded = run.model(model)
    if isinstance(loaded, WhisperEncoder):
        loaded.pad = False  # a third of the time, and the way in which the controlled experiment reads its teacher
    found = {
        "cca": stages.cca(run), "mutual_information": stages.mutual_information(run), "probes": stages.probes(run),
    }  # fmt: skip
    parts = []
    for stage, result in found.items():
        means = result.table[result.table["trial"].isna()]
        of_model = ~means["model"].isin(ACOUSTIC)
        parts.append(means.assign(
            stage=stage, model=means["model"].mask(of_model, name), condition=means["condition"].mask(of_model, label)
        ))  # fmt: skip
    table = tidy([row for part in parts for row in part.to_dict("records")])
    profile = {key: value for key, value in vars(run.profile).items() if key not in ("models", "reference_model")}
    source = provenance(
        "librispeech", {**profile, "model": name, "seed": run.seed, "padded": False},
        label=label, weights_sha256=_weights_digest(loaded), corpus=run.corpus.name,
        corpus_fingerprint=run.corpus.fingerprint, utterances=len(run.corpus),
        minutes=round(sum(utterance.duration for utterance in run.corpus) / 60, 1),
        without_alignment=sum(utterance.phones is None for utterance in run.corpus),
        command="python -m multires.analysis.reference --model transformers:WHISPER_FOLDER --data LIBRISPEECH_FOLDER",
        rows=len(table),
    )  # fmt: skip
    return write_table(table, out, source)


def _weights_digest(model: LayeredModel) -> str:
    """SHA-256 of the names and values of a model's tensors, whatever file they were read from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.analysis.reference``."""
    parser = argparse.ArgumentParser(prog="python -m multires.analysis.reference", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", required=True, help="such as transformers:FOLDER")
    parser.add_argument("--data", required=True, help="folder of LibriSpeech with train-clean-100 and test-other")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="the .parquet file to write")
    parser.add_argument("--name", default=NAME, help="name of the model in the table")
    parser.add_argument("--label", default=LABEL, help="name of the model in figures")
    parser.add_argument("--workspace", help="keeps vectors between calls")
    given = vars(parser.parse_args(arguments))
    try:
        print(measure_reference(given.pop("model"), given.pop("data"), given.pop("out"), **given))
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error


if __name__ == "__main__":
    main()
