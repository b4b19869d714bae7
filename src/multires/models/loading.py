"""A model by name, whatever kind it is."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

import torch

from multires.errors import MultiresError, choose
from multires.models.acoustic import ACOUSTIC
from multires.models.checkpoint import load_checkpoint
from multires.models.download import fetch_and_load
from multires.models.layers import LayeredModel
from multires.models.mr_hubert import MultiResHubert, build_model
from multires.models.registry import published, shipped, unknown_model, untrained
from multires.runtime.download import shown
from multires.runtime.speed import fastest_precision

_CHECKPOINTS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")


def load_model(
    name: str,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    cache: str | Path | None = None,
    precision: str = "float32",
) -> LayeredModel:
    """A model by name, in evaluation mode.

    Parameters
    ----------
    name
        A key that `models_table` lists (a published checkpoint is downloaded once), ``untrained/<architecture>-<size>``,
        ``mel``, ``mfcc``, ``torchaudio:<bundle>``, ``transformers:<folder or name>``, ``features:<folder>`` (see `multires.models.stored.StoredFrames`), the path of a checkpoint
        (fairseq's or our own), or its URL.
    seed
        Of an untrained model's weights.
    device
        Where the weights are kept, such as ``cpu`` or ``cuda``.
    cache
        The folder for downloads; see `multires.models.download.model_cache`.
    precision
        ``float32``; ``bfloat16`` for weights and frames of a HuBERT or MR-HuBERT, two to four times as fast where
        the processor has units for it and slower elsewhere; or ``auto`` for the faster one (see
        `multires.runtime.speed.fastest_precision`). Waveforms, their statistics and the first convolution stay in
        float32.

    Raises
    ------
    MultiresError
        If nothing has that name, or it cannot be downloaded or read.
    """
    choose("precision", precision, ("auto", "float32", "bfloat16"))
    model = _load(str(name), seed, cache)
    if isinstance(model, MultiResHubert):
        return model.to(device, getattr(torch, fastest_precision(precision, device))).eval()
    if precision == "bfloat16":
        raise MultiresError(f"{name} computes in float32 only: leave precision out")
    return model.to(device).eval()


def _load(name: str, seed: int, cache: str | Path | None) -> LayeredModel:
    if name in ACOUSTIC:
        return ACOUSTIC[name]()
    if name in untrained():
        architecture, _, size = name.partition("/")[2].partition("-")
        return build_model(architecture, size, seed=seed)
    if (file := shipped().get(name)) is not None:
        return load_checkpoint(file, key=name)
    if (entry := published().get(name)) is not None:
        described = partial(load_checkpoint, key=name, description=f"{entry.description} ({entry.data})")
        return fetch_and_load(name, entry.url, described, cache=cache)
    kind, _, rest = name.partition(":")
    if kind in ("http", "https"):
        return fetch_and_load(_url_key(name), name, partial(load_checkpoint, key=shown(name)), cache=cache)
    if kind == "torchaudio":
        from multires.models.wrappers import load_torchaudio

        return load_torchaudio(rest)
    if kind == "features":
        from multires.models.stored import StoredFrames

        return StoredFrames(Path(rest).expanduser())
    if kind == "transformers":
        from multires.models.huggingface import load_transformers

        return load_transformers(str(Path(rest).expanduser()) if rest.startswith("~") else rest)
    file = Path(name).expanduser()
    if file.is_file():
        return load_checkpoint(file)
    raise no_file(file) if _is_path(name) else unknown_model(name)


def _is_path(name: str) -> bool:
    """True for what can only be meant as a path: names of models contain slashes too."""
    path = Path(name)
    return name.startswith(("/", "~", ".")) or path.suffix in _CHECKPOINTS or path.expanduser().is_dir()


def no_file(path: Path) -> MultiresError:
    """The error for a path that holds no checkpoint."""
    if not path.is_dir():
        return MultiresError(
            f"there is no file {path}: give the path of a checkpoint, or a name that `multires models` lists"
        )
    if (path / "config.json").is_file():
        return MultiresError(f"{path} is a folder with a model of transformers: give transformers:{path}")
    return MultiresError(
        f"{path} is a folder: give the path of a checkpoint in it, transformers:<folder> for a model of transformers, or "
        "features:<folder> for frames"
    )


def _url_key(url: str) -> str:
    """A file name of its own for a URL: its last part, and a digest of the whole."""
    stem = PurePosixPath(urlparse(url).path).stem[:80] or "checkpoint"
    return f"{stem}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
