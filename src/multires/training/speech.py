"""Utterances held in memory for training, and the places of their 20 ms frames."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from multires.corpus.utterance import SAMPLE_RATE, Corpus
from multires.errors import MultiresError

HOP, WINDOW = 320, 400
"""Samples from frame to frame and under a frame: those of the published waveform encoder, so that frames coincide."""


def frame_count(samples: int) -> int:
    """Number of 20 ms frames of the waveform encoder for a number of samples."""
    return max(0, (samples - WINDOW) // HOP + 1)


@dataclass(frozen=True)
class Speech:
    """Concatenated utterances on one device, ready to be cropped into batches.

    Attributes
    ----------
    name
        Name of the corpus.
    samples
        16-bit samples of all utterances, concatenated.
    starts, lengths
        First sample and number of samples of each utterance.
    fingerprint
        Changes with the audio.
    """

    name: str
    samples: Int[Tensor, " samples"]
    starts: np.ndarray
    lengths: np.ndarray
    fingerprint: str

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
        return self.samples[start : start + int(self.lengths[index])].float() / 32768


def load_speech(
    corpus: Corpus,
    splits: Sequence[str],
    *,
    speakers: Collection[str] | None = None,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> Speech:
    """Read the audio of some splits of a corpus, optionally of some speakers only, as 16-bit samples.

    Utterances shorter than one frame are left out.

    Raises
    ------
    MultiresError
        If the splits hold no utterance of one frame or more.
    """
    chosen = [u for u in corpus if u.split in splits and (speakers is None or u.speaker in speakers)]
    parts = []
    for utterance in tqdm(chosen, desc="reading speech", unit="utterance", disable=not progress):
        audio = utterance.audio
        if len(audio) >= WINDOW:
            parts.append(np.clip(np.round(audio * 32768), -32768, 32767).astype(np.int16))
    if not parts:
        raise MultiresError(f"corpus {corpus.name} has no speech in {', '.join(splits)}: choose of {corpus.splits}")
    lengths = np.array([len(part) for part in parts])
    samples = np.concatenate(parts)
    return Speech(
        corpus.name,
        torch.from_numpy(samples).to(device),
        np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        lengths,
        hashlib.sha256(samples.tobytes() + lengths.tobytes()).hexdigest()[:16],
    )
