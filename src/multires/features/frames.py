"""Frames of a sample of utterances on disk, one file a layer, and the phones and words in them."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from multires.corpus.utterance import SILENCE, Corpus, Utterance
from multires.errors import MultiresError
from multires.features.batching import batches, pad
from multires.features.extract import duration
from multires.features.windows import is_long, run_windows
from multires.models.layers import Layer, LayeredModel
from multires.runtime import storage

HELD = 2**30
"""Bytes of frames that are in memory at a time; where a model's layers have more, it is run once for each part of them."""

_INDEX = "index.json"


def spread_utterances(corpus: Corpus, splits: Sequence[str], most: int, seed: int) -> list[Utterance]:
    """At most `most` aligned utterances of each split, in corpus order, drawn so that speakers have equal numbers.

    Every speaker gives one utterance before any gives a second one.
    """
    chosen: set[str] = set()
    for number, split in enumerate(splits):
        rng = np.random.default_rng([seed, number])
        aligned = [utterance for utterance in corpus if utterance.split == split and utterance.phones]
        turn: dict[str, int] = {}
        ranked = []
        for place in rng.permutation(len(aligned)).tolist():
            speaker = aligned[place].speaker
            turn[speaker] = turn.get(speaker, 0) + 1
            ranked.append((turn[speaker], place))
        chosen |= {aligned[place].id for _, place in sorted(ranked)[:most]}
    return [utterance for utterance in corpus if utterance.id in chosen]


def item_table(utterances: Sequence[Utterance]) -> pd.DataFrame:
    """Phones and words of some utterances.

    Returns
    -------
    pandas.DataFrame
        Columns unit (phone, word), number (of the utterance), utterance, speaker, split, label, start and end; for
        phones between two others also ``triphone`` (the neighbors' labels) and the times ``outer_start`` and
        ``outer_end`` of the three; empty and NaN for others. Silences are no items.
    """
    rows = []
    for number, utterance in enumerate(utterances):
        where = {
            "number": number, "utterance": utterance.id, "speaker": utterance.speaker, "split": utterance.split
        }  # fmt: skip
        phones = utterance.phones or ()
        for place, phone in enumerate(phones):
            if phone.label == SILENCE:
                continue
            row = {**where, "unit": "phone", "label": phone.label, "start": phone.start, "end": phone.end}
            if 0 < place < len(phones) - 1:
                before, after = phones[place - 1], phones[place + 1]
                joined = abs(before.end - phone.start) < _GAP and abs(phone.end - after.start) < _GAP
                if joined and SILENCE not in (before.label, after.label):
                    row |= {"triphone": f"{before.label} {after.label}", "outer_start": before.start}
                    row |= {"outer_end": after.end}
            rows.append(row)
        rows += [
            {**where, "unit": "word", "label": word.label, "start": word.start, "end": word.end}
            for word in utterance.words or ()
        ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.assign(triphone=table["triphone"].fillna(""))


_GAP = 1e-3
"""Seconds between phones that follow one another."""

_COLUMNS = ["unit", "number", "utterance", "speaker", "split", "label", "start", "end", "triphone", "outer_start",
            "outer_end"]  # fmt: skip


@dataclass(frozen=True)
class FrameStore:
    """Frames of one model in a folder of the workspace.

    Attributes
    ----------
    path
        The folder: ``index.json`` and two arrays for each layer.
    """

    path: Path

    def frames(self, layer: str) -> tuple[Float[np.ndarray, "frames dim"], Int[np.ndarray, " utterances"]]:
        """Frames of all utterances one after the other, and the number of frames of each utterance.

        Raises
        ------
        MultiresError
            If a file is missing or damaged.
        """
        return self._read(f"{layer}.npy"), self._read(f"{layer}.lengths.npy")

    def items(self) -> pd.DataFrame:
        """The phones and words, as `item_table` gives them."""
        return pd.read_parquet(io.BytesIO(self._bytes("items.parquet")))

    def _read(self, name: str) -> np.ndarray:
        return np.asarray(np.load(io.BytesIO(self._bytes(name)), allow_pickle=False))

    def _bytes(self, name: str) -> bytes:
        try:
            checksums = json.loads((self.path / _INDEX).read_bytes())
            packed = (self.path / name).read_bytes()
        except (OSError, ValueError) as error:
            raise MultiresError(
                f"cannot read {self.path / name}: {storage.reason(error)}; delete {self.path}, and run again"
            ) from error
        if checksums.get(name) != zlib.crc32(packed):
            raise MultiresError(f"{self.path / name} is damaged: delete {self.path}, and run again")
        return packed


def keep_frames(
    model: LayeredModel, utterances: Sequence[Utterance], layers: Sequence[Layer], path: Path, *, device: str = "cpu"
) -> FrameStore:
    """Run a model over some utterances and keep every frame of some layers, unless the folder holds them already.

    Parameters
    ----------
    model, utterances, layers
        What is run, and the layers that are kept.
    path
        The folder.
    device
        cpu, cuda or cuda:N.

    Raises
    ------
    MultiresError
        If frames are not finite, or the folder cannot be written.
    """
    if (path / _INDEX).exists():
        return FrameStore(path)
    with storage.making(path):
        if not (path / _INDEX).exists():
            storage.replace_folder(path, lambda folder: _write(folder, model, utterances, layers, device))
    return FrameStore(path)


def _write(
    folder: Path, model: LayeredModel, utterances: Sequence[Utterance], layers: Sequence[Layer], device: str
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    checksums: dict[str, int] = {}

    def save(name: str, packed: bytes) -> None:
        (folder / name).write_bytes(packed)
        checksums[name] = zlib.crc32(packed)

    model = model.to(device).eval()
    for part in _parts(layers, sum(map(duration, utterances))):
        found = _run(model, utterances, part, device)
        for layer in part:
            frames = [found[utterance.id, layer.name] for utterance in utterances]
            save(f"{layer.name}.npy", _packed(np.concatenate(frames)))
            save(f"{layer.name}.lengths.npy", _packed(np.array([len(each) for each in frames])))
    buffer = io.BytesIO()
    item_table(utterances).to_parquet(buffer, index=False)
    save("items.parquet", buffer.getvalue())
    (folder / _INDEX).write_text(json.dumps(checksums), encoding="utf-8")  # last: it says that the folder is whole


def _parts(layers: Sequence[Layer], seconds: float) -> list[list[Layer]]:
    """Layers in runs whose frames fit into memory."""
    parts: list[list[Layer]] = [[]]
    held = 0.0
    for layer in layers:
        size = 4 * layer.dim * seconds / layer.frame_period
        if parts[-1] and held + size > HELD:
            parts.append([])
            held = 0.0
        parts[-1].append(layer)
        held += size
    return parts


def _run(
    model: LayeredModel, utterances: Sequence[Utterance], layers: Sequence[Layer], device: str
) -> dict[tuple[str, str], np.ndarray]:
    """Frames by utterance and layer."""
    found = {}

    def keep(utterance: Utterance, layer: Layer, frames: torch.Tensor) -> None:
        values: np.ndarray = frames.float().cpu().numpy()
        if not len(values) or not np.isfinite(values).all():
            raise MultiresError(
                f"{utterance.id}: layer {layer.name} gave no frames, or NaN or infinity; check the audio"
            )
        found[utterance.id, layer.name] = values

    long = [each for each in utterances if is_long(each, model)]
    for utterance in long:
        pieces: dict[str, list[torch.Tensor]] = {layer.name: [] for layer in layers}
        for window in run_windows({"": model}, utterance, device):
            for name, parts in pieces.items():
                parts.append(window[""][name].frames.cpu())
        for layer in layers:
            keep(utterance, layer, torch.cat(pieces[layer.name]))
    whole = {each.id for each in long}
    for batch in batches((each for each in utterances if each.id not in whole), duration, _BATCH_SECONDS):
        waveforms, lengths = pad([utterance.audio for utterance in batch])
        with torch.inference_mode():
            several = model.run([each.id for each in batch], waveforms.to(device), lengths.to(device))
        for row, utterance in enumerate(batch):
            outputs = several.utterance(row)
            for layer in layers:
                keep(utterance, layer, outputs[layer.name])
    return found


_BATCH_SECONDS = 80.0
"""Seconds of audio in a batch, padding included."""


def _packed(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()
