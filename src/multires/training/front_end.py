"""Frames of a front end that is not trained, computed once over whole utterances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from multires.models.mr_hubert import MultiResHubert
from multires.runtime.storage import making, replace_file
from multires.training.speech import Speech


def local_frames(model: MultiResHubert, speech: Speech, *, progress: bool = False) -> Float[Tensor, "frames channels"]:
    """The front end's frames of all utterances, end to end as in `Speech.frame_starts`; log-mel ones in float16.

    Log-mel frames of speech that is mapped from a file are written to a file beside it once, and mapped too.
    """
    parameterless = model.config.front_end == "log_mel"
    shape = int(speech.frame_starts[-1]), model.config.convolutions[-1][0]
    if not parameterless or speech.file is None:
        frames = torch.empty(shape, dtype=torch.float16 if parameterless else torch.float32, device=speech.device)
        _fill(frames, model, speech, progress)
        return frames
    target = speech.file.with_suffix(".log-mel.npy")

    def write(partial: Path) -> None:
        mapped = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
        _fill(torch.from_numpy(mapped), model, speech, progress)
        mapped.flush()

    with making(target):
        if not target.exists():
            replace_file(target, write)
    return torch.from_numpy(np.load(target, mmap_mode="c"))


@torch.no_grad()
def _fill(frames: Float[Tensor, "frames channels"], model: MultiResHubert, speech: Speech, progress: bool) -> None:
    bar = tqdm(speech.frame_starts[:-1].tolist(), desc="front end", unit="utterance", disable=not progress)
    for index, start in enumerate(bar):
        found = model.waveform_encoder(speech.utterance(index)[None], None)[0]
        frames[start : start + len(found)] = found


_FRAMES: dict[str, Tensor] = {}
"""Log-mel frames by the fingerprint of the speech: they depend on nothing that is trained."""


def keep_frames(speech: Speech, frames: Float[Tensor, "frames channels"]) -> None:
    """Use log-mel frames computed before, as `local_frames` gives them, for some speech in this process."""
    _FRAMES[speech.fingerprint] = frames


def log_mel_frames(model: MultiResHubert, speech: Speech) -> Tensor:
    """Log-mel frames of some speech, from those kept in this process where they are there."""
    if speech.fingerprint not in _FRAMES:
        _FRAMES[speech.fingerprint] = local_frames(model, speech)
    return _FRAMES[speech.fingerprint]
