"""Training data of an experiment: computed once, stored as arrays, memory-mapped by every process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multires.errors import MultiresError
from multires.models.config import ModelConfig
from multires.models.mr_hubert import MultiResHubert
from multires.runtime.storage import making, replace_file
from multires.training.front_end import keep_frames, local_frames
from multires.training.speech import Speech
from multires.training.targets import Labeler, Units

PARTS = ("train", "held_out")


@dataclass(frozen=True)
class Material:
    """Training speech, held-out speech whose loss is logged, and the units of both by name."""

    speech: Speech
    held_out: Speech
    units: Mapping[str, tuple[Units, Units]] = field(default_factory=dict)

    def labeled(self, labeler: Labeler, progress: bool) -> tuple[Units, Units]:
        """Units of the training and held-out speech, from the same centroids."""
        return labeler(self.speech, progress=progress), labeler(self.held_out, progress=progress)


def save_speech(material: Material, config: ModelConfig, folder: Path, *, progress: bool = True) -> None:
    """Write the samples of both parts and, with a log-mel front end, their frames, unless they are up to date."""
    folder.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {}
    for part, speech in zip(PARTS, (material.speech, material.held_out), strict=True):
        facts[part] = {"name": speech.name, "fingerprint": speech.fingerprint}
        manifest = folder / f"{part}.json"
        if manifest.exists() and json.loads(manifest.read_text()) == facts[part]:
            continue
        with making(manifest):
            _write(folder / f"{part}-samples.npy", speech.samples.numpy())
            _write(folder / f"{part}-lengths.npy", speech.lengths)
            if config.front_end == "log_mel":
                frames = local_frames(MultiResHubert(config, seed=0), speech, progress=progress)
                _write(folder / f"{part}-frames.npy", frames.numpy())
            _note(manifest, facts[part])


def save_units(name: str, units: tuple[Units, Units], material: Material, folder: Path) -> None:
    """Write the units of both parts under a name."""
    for part, found in zip(PARTS, units, strict=True):
        _write(folder / f"units-{name}-{part}.npy", found.labels.numpy())
    facts = {
        "classes": units[0].classes, "source": units[0].source, "fingerprints": [found.fingerprint for found in units],
        "speech": [material.speech.fingerprint, material.held_out.fingerprint],
    }  # fmt: skip
    _note(folder / f"units-{name}.json", facts)


def load_units(name: str, folder: Path) -> tuple[tuple[Units, Units], list[str]] | None:
    """Units that `save_units` wrote and the fingerprints of their speech; None if there are none."""
    try:
        facts = json.loads((folder / f"units-{name}.json").read_text())
    except OSError:
        return None
    first, second = (
        Units(
            torch.from_numpy(np.load(folder / f"units-{name}-{part}.npy")),
            int(facts["classes"]), str(facts["source"]), str(fingerprint),
        )
        for part, fingerprint in zip(PARTS, facts["fingerprints"], strict=True)
    )  # fmt: skip
    return (first, second), list(facts["speech"])


def load_material(folder: Path, names: list[str]) -> Material:
    """Memory-map the arrays that `save_speech` and `save_units` wrote.

    Raises
    ------
    MultiresError
        If a part is missing or the units belong to other speech.
    """
    parts = []
    for part in PARTS:
        try:
            facts = json.loads((folder / f"{part}.json").read_text())
        except OSError as error:
            raise MultiresError(f"{folder} holds no prepared speech: run the experiment again to prepare it") from error
        lengths = np.load(folder / f"{part}-lengths.npy")
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        speech = Speech(facts["name"], _mapped(folder / f"{part}-samples.npy"), starts, lengths, facts["fingerprint"])
        if (folder / f"{part}-frames.npy").exists():
            keep_frames(speech, _mapped(folder / f"{part}-frames.npy"))
        parts.append(speech)
    units = {}
    for name in names:
        found = load_units(name, folder)
        if found is None or found[1] != [part.fingerprint for part in parts]:
            raise MultiresError(f"{folder} holds no units {name!r} of this speech: run the experiment again")
        units[name] = found[0]
    return Material(parts[0], parts[1], units)


def _mapped(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def _note(path: Path, facts: Mapping[str, Any]) -> None:
    replace_file(path, lambda target: target.write_text(json.dumps(facts)))


def _write(path: Path, values: np.ndarray) -> None:
    def write(target: Path) -> None:
        with target.open("wb") as file:
            np.save(file, values)

    replace_file(path, write)
