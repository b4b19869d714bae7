"""Estimated downloads, storage and time of a profile."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from multires.corpus import openslr
from multires.corpus.cache import cache_folder
from multires.errors import MultiresError
from multires.features.pooling import serves
from multires.features.segments import FRAME_PERIODS
from multires.models.download import cached
from multires.models.layers import Layer
from multires.models.loading import load_model
from multires.models.mr_hubert import MultiResHubert, build_model
from multires.models.registry import parameter_count, published
from multires.profiles import Profile
from multires.runtime.storage import place

PHONES_A_SECOND, WORDS_A_SECOND = 9.9, 2.7
"""Of LibriSpeech, pauses included: train-clean-100 has 990,101 words in 100.6 hours."""

PHONES = 39

_FAIRSEQ_COPIES = 3
"""A published checkpoint holds the optimizer's two moments beside each parameter."""


@dataclass(frozen=True)
class Plan:
    """Estimated cost of a run.

    Attributes
    ----------
    profile
        Its name.
    downloads
        What is fetched, with its size in MB and where from.
    folder
        Folder of the downloaded corpus; None if it is in the caller's folder.
    unpacked
        MB of the corpus once unpacked.
    vectors
        MB of the vectors that the workspace will hold, at most.
    workspace
        Where these go.
    hours
        Of speech that every model reads.
    models
        How many.
    speed
        Seconds of speech that a model of base size reads in a second here; None where it was not measured.
    device
        Where that was measured.
    """

    profile: str
    downloads: tuple[tuple[str, float, str], ...]
    folder: Path | None
    unpacked: float
    vectors: float
    workspace: Path
    hours: float
    models: int
    speed: float | None
    device: str

    def __str__(self) -> str:
        lines = [f"profile {self.profile}:"]
        if self.downloads:
            total = sum(size for _, size, _ in self.downloads)
            lines.append(
                f"  downloads {_size(total)}, at 10 MB/s {_time(total / 10)}; a download that breaks off is resumed"
            )
            lines += [f"    {name}: {_size(size)} from {url}" for name, size, url in self.downloads]
        else:
            lines.append("  downloads nothing: corpus and checkpoints are there")
        if self.unpacked and self.folder is not None:
            lines.append(f"  stores {_size(self.unpacked)} of speech and alignments in {self.folder}")
        if not self.hours:
            return "\n".join(lines)
        lines.append(f"  stores up to {_size(self.vectors)} of vectors in {self.workspace}{_free(self.workspace)}")
        if (free := _disk(self.workspace)) is not None and free < self.vectors:
            lines.append("    that is more than is free: name another workspace, or fewer models, layers or frames")
        reading = f"  takes {self.models} passes over {self.hours:.0f} h of speech"
        if self.speed is not None:
            seconds = self.models * self.hours * 3600 / self.speed
            reading += (
                f", about {_time(seconds)} on {self.device} (measured: {self.speed:.2g} s of speech a second), "
                "then the measures"
            )
        return "\n".join([*lines, reading])


def make_plan(
    profile: Profile,
    data: str | Path | None,
    workspace: str | Path,
    *,
    device: str = "cpu",
    layers: tuple[str, ...] | None = None,
    measure: bool = True,
) -> Plan:
    """Plan of a profile; vectors and hours are estimated if it reads LibriSpeech.

    Parameters
    ----------
    profile, data, workspace, device, layers
        As in `multires.analysis.run.open_run`.
    measure
        Whether to time a model for the estimate of hours, which takes some seconds.

    Raises
    ------
    MultiresError
        Where the profile names splits that LibriSpeech does not have, or the disk has no room for the downloads.
    """
    splits = profile.splits or (*profile.train, *profile.evaluation)
    folder = corpus_folder() if profile.downloads and not data else None
    archives = openslr.absent(folder, splits) if folder is not None else []
    downloads = [(archive.name, float(archive.megabytes), archive.url) for archive in archives]
    unpacked = float(sum(archive.unpacked for archive in archives))
    if openslr.ALIGNMENTS in archives:
        unpacked += sum(openslr.SPLITS[split].alignments for split in splits)
    downloads += _checkpoints(profile)
    published_splits = splits if profile.corpus == "librispeech" else ()
    known = [openslr.SPLITS[split].hours for split in published_splits if split in openslr.SPLITS]
    plan = Plan(
        profile=profile.name,
        downloads=tuple(downloads),
        folder=folder,
        unpacked=unpacked,
        vectors=_vectors(profile, splits, layers),
        workspace=place(workspace),
        hours=sum(known),
        models=len(profile.models),
        speed=_speed(device) if measure else None,
        device=device,
    )
    _check_room(plan)
    return plan


def corpus_folder() -> Path:
    """Folder to which LibriSpeech is downloaded."""
    return cache_folder(None) / "librispeech"


def is_here(name: str) -> bool:
    """Return True if a model can be loaded without downloading a published checkpoint."""
    entry = published().get(name)
    return entry is None or cached(name, entry.url).exists()


def _checkpoints(profile: Profile) -> list[tuple[str, float, str]]:
    found = []
    for name in dict.fromkeys((*profile.models, profile.reference_model)):
        entry = published().get(name)
        if entry is not None and not is_here(name):
            found.append((f"checkpoint {name}, about", _checkpoint_size(name), entry.url))
    return found


@cache
def _checkpoint_size(name: str) -> float:
    """MB of a published file; 0 where its architecture is known only to itself."""
    config = published()[name].config
    return 0.0 if config is None else _FAIRSEQ_COPIES * parameter_count(config) * 4 / 1e6


def _vectors(profile: Profile, splits: tuple[str, ...], layers: tuple[str, ...] | None) -> float:
    """MB of float32 vectors, from the sample sizes and the hours of each split."""
    segments = dict.fromkeys(("phone", "word", *(f"frame{round(1000 * period)}" for period in FRAME_PERIODS)), 0.0)
    for split in splits:
        seconds = 3600 * openslr.SPLITS[split].hours if split in openslr.SPLITS else 0.0
        phones, words = PHONES_A_SECOND * seconds, WORDS_A_SECOND * seconds
        segments["phone"] += min(phones, PHONES * profile.phones_each) if profile.phones_each else phones
        segments["word"] += min(words, profile.word_types * profile.words_each) if profile.words_each else words
        for period in FRAME_PERIODS:
            segments[f"frame{round(1000 * period)}"] += min(profile.frames, seconds / FRAME_PERIODS[-1])
    total = 0.0
    for name in profile.models:
        for layer in _layers_of(name):
            if layers is None or layer.name in layers:
                total += sum(4 * layer.dim * count for unit, count in segments.items() if serves(layer, unit))
    return total / 1e6


@cache
def _layers_of(name: str) -> tuple[Layer, ...]:
    """A model's layers, without fetching a published one."""
    entry = published().get(name)
    if entry is None:
        return tuple(load_model(name).layers)
    if entry.config is None:
        return ()
    with torch.device("meta"):
        return tuple(MultiResHubert(entry.config, seed=None).layers)


def _speed(device: str) -> float:
    """Seconds of speech a second of MR-HuBERT base with random weights, on one utterance of ten seconds."""
    model = build_model("multi", "base").to(device).eval()
    waveform = torch.zeros(1, 160_000, device=device)
    with torch.inference_mode():
        model(waveform[:, :16_000])
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        began = time.perf_counter()
        model(waveform)
        if device.startswith("cuda"):
            torch.cuda.synchronize()
    return 10 / (time.perf_counter() - began)


def _check_room(plan: Plan) -> None:
    if not plan.downloads:
        return
    folder = plan.folder or cache_folder(None)
    needed = sum(size for _, size, _ in plan.downloads) + plan.unpacked
    free = _disk(folder)
    if free is not None and free < needed:
        raise MultiresError(
            f"profile {plan.profile} downloads and unpacks {_size(needed)}, and {folder} has {_size(free)} free: "
            "make room, or set MULTIRES_CACHE to another folder"
        )


def _disk(folder: Path) -> float | None:
    """MB free where a folder is or will be; None where that is not on a disk."""
    try:
        place = next(each for each in (folder, *folder.parents) if each.exists())
        return shutil.disk_usage(place).free / 1e6
    except (OSError, StopIteration, TypeError):
        return None


def _free(folder: Path) -> str:
    free = _disk(folder)
    return "" if free is None else f" ({_size(free)} free)"


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
