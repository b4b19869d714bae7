"""Speech for training, in memory or mapped from a file, and the places of its 20 ms frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from multires.corpus.utterance import SAMPLE_RATE, Corpus
from multires.errors import MultiresError
from multires.runtime.storage import making, replace_file

HOP, WINDOW = 320, 400
"""Samples from frame to frame and under a frame: those of the published waveform encoder, so that frames coincide."""


HELD_SECONDS = 20 * 3600
"""Audio that is held in memory, 2.3 GB; longer speech is mapped from a file, where there is a folder for it."""


def frame_count(samples: int) -> int:
    """Number of 20 ms frames of the waveform encoder for a number of samples."""
    return max(0, (samples - WINDOW) // HOP + 1)


@dataclass(frozen=True)
class Speech:
    """Concatenated utterances, ready to be cropped into batches.

    Attributes
    ----------
    name
        Name of the corpus.
    samples
        16-bit samples of all utterances, concatenated: on the device that trains, or mapped from `file`.
    starts, lengths
        First sample and number of samples of each utterance.
    fingerprint
        Changes with the audio.
    trained_on
        Device that trains, if the samples are mapped; by default, the device of the samples.
    file
        The file that the samples are mapped from, or None.
    """

    name: str
    samples: Int[Tensor, " samples"]
    starts: np.ndarray
    lengths: np.ndarray
    fingerprint: str
    trained_on: torch.device | None = None
    file: Path | None = None

    @property
    def device(self) -> torch.device:
        """The device that trains, to which utterances and batches go."""
        return self.samples.device if self.trained_on is None else self.trained_on

    @property
    def frames(self) -> np.ndarray:
        """20 ms frames of each utterance."""
        return (self.lengths - WINDOW) // HOP + 1

    @property
    def frame_starts(self) -> np.ndarray:
        """First frame of each utterance in the concatenated frames of all utterances; the total at the end."""
        return np.concatenate([[0], np.cumsum(self.frames)])

    @property
    def seconds(self) -> float:
        """Total seconds of audio."""
        return float(self.lengths.sum() / SAMPLE_RATE)

    def utterance(self, index: int) -> Float[Tensor, " samples"]:
        """One utterance in float32, in [-1, 1]."""
        start = int(self.starts[index])
        return self.samples[start : start + int(self.lengths[index])].to(self.device).float() / 32768


def load_speech(
    corpus: Corpus,
    splits: Sequence[str],
    *,
    speakers: Collection[str] | None = None,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
    progress: bool = True,
) -> Speech:
    """Read the audio of some splits of a corpus, optionally of some speakers only, as 16-bit samples.

    Utterances shorter than one frame are left out. More than `HELD_SECONDS` of audio are written to a file in `folder`
    once, one utterance at a time, and mapped: memory does not grow with the corpus, and batches are the same.

    Parameters
    ----------
    corpus, splits, speakers
        The speech: all speakers if None.
    device
        Device that trains.
    folder
        Folder of the file; with None, all audio is held in memory.
    progress
        Whether to show a progress bar.

    Raises
    ------
    MultiresError
        If the splits hold no utterance of one frame or more, or the file cannot be written.
    """
    chosen = [u for u in corpus if u.split in splits and (speakers is None or u.speaker in speakers)]

    def parts() -> Iterator[np.ndarray]:
        for utterance in tqdm(chosen, desc="reading speech", unit="utterance", disable=not progress):
            audio = utterance.audio
            if len(audio) >= WINDOW:
                yield np.clip(np.round(audio * 32768), -32768, 32767).astype(np.int16)

    nothing = MultiresError(f"corpus {corpus.name} has no speech in {', '.join(splits)}: choose of {corpus.splits}")
    if not chosen:
        raise nothing
    if folder is not None and sum(utterance.duration for utterance in chosen) > HELD_SECONDS:
        key = [corpus.fingerprint, *(utterance.id for utterance in chosen)]
        file = folder / f"speech-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.pcm"
        return _mapped(corpus.name, file, parts, torch.device(device), nothing)
    held = list(parts())
    if not held:
        raise nothing
    lengths = np.array([len(part) for part in held])
    samples = np.concatenate(held)
    digest = hashlib.sha256(samples.tobytes() + lengths.tobytes()).hexdigest()[:16]
    return Speech(corpus.name, torch.from_numpy(samples).to(device), _starts(lengths), lengths, digest)


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)[:-1]])


def _mapped(
    name: str, file: Path, parts: Callable[[], Iterator[np.ndarray]], device: torch.device, nothing: MultiresError
) -> Speech:
    """Speech whose samples are mapped from a file, which is written unless it is there as a whole."""
    index = file.with_suffix(".json")
    with making(file):
        facts = _read_index(index, file)
        if facts is None:
            lengths: list[int] = []
            digest = hashlib.sha256()

            def write(partial: Path) -> None:
                with partial.open("wb") as out:
                    for part in parts():
                        packed = part.tobytes()
                        out.write(packed)
                        digest.update(packed)
                        lengths.append(len(part))
                if not lengths:
                    raise nothing

            replace_file(file, write)
            digest.update(np.array(lengths).tobytes())
            facts = {"lengths": lengths, "fingerprint": digest.hexdigest()[:16]}
            replace_file(index, lambda partial: partial.write_text(json.dumps(facts), encoding="utf-8"))
    found = np.array(facts["lengths"])
    # Copy on write: PyTorch wants a writable array, and nothing is written.
    samples = torch.from_numpy(np.memmap(file, np.int16, mode="c"))
    return Speech(name, samples, _starts(found), found, str(facts["fingerprint"]), device, file)


def _read_index(index: Path, file: Path) -> dict[str, Any] | None:
    """Lengths and fingerprint of the utterances in a file, or None where it is missing or not whole."""
    try:
        facts: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        whole = file.stat().st_size == 2 * sum(facts["lengths"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return facts if whole else None
