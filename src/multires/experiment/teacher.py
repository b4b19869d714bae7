"""Choice of the layer whose clusters are the units to predict, by the phones that the units of each layer tell.

From a shell, for the table that comes with the package::

    python -m multires.experiment.teacher --model transformers:WHISPER_FOLDER --data LIBRISPEECH_FOLDER ...

Clusters are fitted to pre-training speakers and compared with phones of development speakers by PNMI
(`multires.measures.units`); fitting and test speakers play no part.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from tqdm.auto import tqdm

from multires.corpus.utterance import SAMPLE_RATE, SILENCE, Segment, Utterance
from multires.errors import MultiresError
from multires.experiment.speech import load_experiment_speech
from multires.measures.units import unit_scores
from multires.models import load_model
from multires.models.layers import Layer, LayeredModel
from multires.models.whisper import WhisperEncoder
from multires.profiles import once, positive_integer
from multires.results import provenance, read_table, tidy, write_table
from multires.runtime.notices import show_notices
from multires.training.speech import HOP, WINDOW, Speech, frame_count, load_speech
from multires.training.targets import KMEANS_FRAMES, Quantizer, on_waveform_frames, sampled_utterances

SHIPPED = Path(__file__).parents[1] / "data" / "reference" / "teacher-units.parquet"
"""The table that comes with the package: layers of the Whisper base encoder."""

LAYERS = ("encoder.0.1", "encoder.0.2", "encoder.0.3", "encoder.0.4")
UNITS = (100, 500)
"""Layers and numbers of units of the shipped table."""

logger = logging.getLogger(__name__)


def teacher_table() -> pd.DataFrame:
    """The shipped table (see `compare_layers`)."""
    return read_table(SHIPPED)[0]


def compare_layers(
    model: LayeredModel,
    speech: Speech,
    development: Iterable[Utterance],
    *,
    layers: Sequence[str] = LAYERS,
    units: Sequence[int] = UNITS,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Scores of the units of each layer and number of units, against the phones of development speakers.

    Frames are those that `multires.training.targets.layer_units` labels, from the same sample of utterances, and the
    phone of a frame is the one at its center; frames outside all phones are left out, silence is one of them.

    Parameters
    ----------
    model
        The candidate teacher; layers of 20 ms.
    speech
        Pre-training speech, to which clusters are fitted.
    development
        Utterances of other speakers, with phones.
    layers, units
        Candidates.
    seed
        Of the sample, the clusters and the shuffled labels.

    Returns
    -------
    pandas.DataFrame
        Tidy: a row for each layer, number of units (``clusters``) and measure of `unit_scores`, with its interval over
        speakers and its value for shuffled labels (``pnmi (shuffled)``).

    Raises
    ------
    MultiresError
        If the model has no such layer of 20 ms, or no development utterance has phones.
    """
    known = {layer.name: layer for layer in model.layers if abs(layer.frame_period - HOP / SAMPLE_RATE) < 1e-9}
    if unknown := [name for name in layers if name not in known]:
        raise MultiresError(
            f"{model.key} has no 20 ms layer {', '.join(unknown)}: choose among {', '.join(known)} (--layers)"
        )
    chosen = [known[name] for name in layers]
    aligned = [utterance for utterance in development if utterance.phones]
    if not aligned:
        raise MultiresError("no development speaker has timed phones: give LibriSpeech with its alignments")
    fit = _frames_of(model, chosen, (speech.utterance(i) for i in sampled_utterances(speech, seed)), progress)
    waveforms = [torch.from_numpy(utterance.audio) for utterance in aligned]
    held_out = _frames_of(model, chosen, waveforms, progress)
    phones = [frame_phones(u.phones or (), frame_count(len(w))) for u, w in zip(aligned, waveforms, strict=True)]
    labels = np.concatenate(phones)
    speakers = np.repeat([utterance.speaker for utterance in aligned], [len(part) for part in phones])
    inside = labels != ""
    rows = []
    for layer in chosen:
        for count in units:
            quantizer = Quantizer(fit[layer.name], count, seed)
            found = quantizer(torch.from_numpy(held_out[layer.name])).numpy()
            scores = unit_scores(
                found[inside], labels[inside], speakers[inside], seed=seed, name=f"{layer.name}, {count} units"
            )
            rows += scores.rows(
                model=model.key, seed=seed, layer=layer.name, layer_index=layer.index, block=layer.block,
                frame_period=layer.frame_period, view="phone", clusters=count,
                n_train=min(len(fit[layer.name]), KMEANS_FRAMES), speakers=len(set(speakers)),
                silence=float((labels[inside] == SILENCE).mean()),
            )  # fmt: skip
            logger.info("%s with %d units: PNMI %.3f", layer.name, count, scores.values["pnmi"])
    return tidy(rows)


def frame_phones(phones: Sequence[Segment], frames: int) -> np.ndarray:
    """The phone at the center of each of the waveform encoder's frames, shape (frames,); empty outside all phones.

    Examples
    --------
    >>> frame_phones([Segment("aa", 0.0, 0.03), Segment("b", 0.03, 0.06)], 4).tolist()
    ['aa', 'b', 'b', '']
    """
    centers = (np.arange(frames) * HOP + WINDOW / 2) / SAMPLE_RATE
    labels = np.full(frames, "", dtype="<U16")
    for phone in phones:
        labels[(centers >= phone.start) & (centers < phone.end)] = phone.label
    return labels


def _frames_of(
    model: LayeredModel, layers: Sequence[Layer], waveforms: Iterable[torch.Tensor], progress: bool
) -> dict[str, Float[np.ndarray, "frames dim"]]:
    """All frames of some layers, utterances concatenated, from one pass over the speech."""
    found: dict[str, list[np.ndarray]] = {layer.name: [] for layer in layers}
    with torch.inference_mode():
        for waveform in tqdm(waveforms, desc=model.key, unit="utterance", disable=not progress):
            frames = model(waveform[None]).frames
            for layer in layers:
                found[layer.name].append(on_waveform_frames(frames[layer.name][0], layer, len(waveform)).numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def choose_teacher(
    model: str,
    data: Sequence[str | Path],
    out: Path = SHIPPED,
    *,
    layers: Sequence[str] = LAYERS,
    units: Sequence[int] = UNITS,
    name: str = "",
    progress: bool = True,
) -> Path:
    """Compare the layers of a model on the speech of the controlled experiment, and write the table.

    Parameters
    ----------
    model
        As in `multires.models.load_model`; Whisper's encoder reads utterances without padding to 30 s, as
        `multires.experiment.conditions.Targets` has it.
    data
        Folders that each hold a part of LibriSpeech.
    out
        The ``.parquet`` file to write.
    layers, units
        As in `compare_layers`.
    name
        The column model; the model's own key where empty.

    Raises
    ------
    MultiresError
        As `multires.experiment.speech.load_experiment_speech` and `compare_layers`.
    """
    layers, units = once("layers", layers), once("units", [positive_integer("units", count, 2) for count in units])
    teacher = load_model(model)
    if isinstance(teacher, WhisperEncoder):
        teacher.pad = False
        teacher.depth = max((each.index for each in teacher.layers if each.name in layers), default=teacher.depth)
    corpus, roles = load_experiment_speech(data, progress=progress)
    speech = load_speech(corpus, corpus.splits, speakers=set(roles.pretraining), progress=progress)
    development = [utterance for utterance in corpus if utterance.speaker in set(roles.development)]
    table = compare_layers(teacher, speech, development, layers=layers, units=units, progress=progress)
    if name:
        table = table.assign(model=name)
    source = provenance(
        "librispeech", {"layers": list(layers), "units": list(units), "seed": 0, "padded": False},
        label=name or model, corpus=corpus.name, corpus_fingerprint=corpus.fingerprint,
        speakers={"pretraining": len(roles.pretraining), "development": int(table["speakers"].iloc[0])},
        pretraining_hours=round(speech.seconds / 3600, 3), rows=len(table),
        command="python -m multires.experiment.teacher --model transformers:WHISPER_FOLDER --data LIBRISPEECH_FOLDER ...",
    )  # fmt: skip
    return write_table(table, out, source)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.experiment.teacher``."""
    parser = argparse.ArgumentParser(prog="python -m multires.experiment.teacher", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", required=True, help="such as transformers:FOLDER")
    parser.add_argument("--data", required=True, nargs="+", help="folders that each hold a part of LibriSpeech")
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), help="candidate layers of 20 ms")
    parser.add_argument("--units", nargs="+", default=list(UNITS), help="numbers of units")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="the .parquet file to write")
    parser.add_argument("--name", default="", help="name of the model in the table; its key by default")
    given = vars(parser.parse_args(arguments))
    show_notices()
    try:
        print(choose_teacher(given.pop("model"), given.pop("data"), given.pop("out"), **given))
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error


if __name__ == "__main__":
    main()
