"""Frames that were computed elsewhere, read from a folder by utterance, in a model's place."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multires.errors import MultiresError
from multires.models.kaldi import ark_index, read_ark
from multires.models.layers import Layer, LayeredModel, LayerOutputs

RATE = 16_000
DESCRIPTION = "features.json"

Reader = Callable[[], np.ndarray]
"""Returns the frames of one layer of one utterance."""


class StoredFrames(LayeredModel):
    """A folder of frames, one array of shape (frames, dim) for each utterance and layer.

    The folder holds, for every utterance, ``<utterance>.npz`` with an array for each layer, or
    ``<layer>/<utterance>.npy``, or for each layer one Kaldi archive ``<layer>.ark`` of binary float matrices. Utterances
    are found by their id in the corpus, or by its last part where that is unique. ``features.json`` lists the layers in
    the order of computation::

        {"layers": {"conv": {"frame_period": 0.02}, "encoder.0.0": {"frame_period": 0.02, "first_center": 0.0125}}}

    `frame_period` and `first_center` are in seconds; the latter is half a frame period unless given. ``description``
    and ``trained`` (true unless given) are optional beside ``layers``.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    MultiresError
        If the folder or its description cannot be read, or a layer has no arrays.
    """

    by_utterance = True
    digest: Tensor

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder.expanduser()
        self.key = f"features:{folder}"
        values = _description(self.folder)
        self.description = str(values.get("description", f"frames stored in {self.folder.name}"))[:200]
        self.trained = values.get("trained", True) is not False
        self._readers = {name: _readers(self.folder, name) for name in values["layers"]}
        self._layers = tuple(
            self._layer(index, name, options) for index, (name, options) in enumerate(values["layers"].items())
        )
        # A buffer, so that whatever is kept of these frames is recomputed when one of them changes.
        self.register_buffer("digest", torch.from_numpy(np.frombuffer(_digest(self.folder), np.uint8).copy()))

    def _layer(self, index: int, name: str, options: Mapping[str, float]) -> Layer:
        if not self._readers[name]:
            raise MultiresError(
                f"{self.folder} has no arrays of layer {name}: give <utterance>.npz, {name}/<utterance>.npy or {name}.ark"
            )
        period = options["frame_period"]
        width = int(self._read(name, next(iter(self._readers[name]))).shape[1])
        block, _, place = name.rpartition(".")
        label = f"{block[0].upper()}{index}" if block and place.isdigit() else name
        return Layer(name, label, block or name, index, period, width, options.get("first_center", period / 2))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that ``features.json`` lists."""
        return self._layers

    def forward(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> LayerOutputs:
        """Not possible: frames are stored by utterance.

        Raises
        ------
        MultiresError
            Always; see `run`.
        """
        raise MultiresError(f"{self.key} holds frames of known utterances only, and cannot compute those of a waveform")

    def run(
        self,
        utterances: Sequence[str],
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> LayerOutputs:
        """The stored frames of utterances, by id.

        Raises
        ------
        MultiresError
            If an utterance has none, or not as many as its duration at the layer's frame period.
        """
        samples = [waveforms.shape[1]] * len(utterances) if lengths is None else [int(n) for n in lengths]
        frames: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}
        for layer in self.layers:
            each = [self._checked(layer, utterance, n / RATE) for utterance, n in zip(utterances, samples, strict=True)]
            frames[layer.name] = torch.nn.utils.rnn.pad_sequence(each, batch_first=True).to(waveforms.device)
            counts[layer.name] = torch.tensor([len(one) for one in each], device=waveforms.device)
        return LayerOutputs(frames, counts)

    def _checked(self, layer: Layer, utterance: str, seconds: float) -> Tensor:
        array = self._read(layer.name, self._stored(layer.name, utterance))
        if array.shape[1] != layer.dim:
            raise MultiresError(
                f"{self.key}: layer {layer.name} of {utterance} is {array.shape[1]} wide, and {layer.dim} elsewhere"
            )
        if abs(len(array) * layer.frame_period - seconds) > max(3 * layer.frame_period, 0.1):
            raise MultiresError(
                f"{self.key}: layer {layer.name} of {utterance} has {len(array)} frames, which at {layer.frame_period} s "
                f"each do not fit its {seconds:.2f} s: check frame_period in {DESCRIPTION}"
            )
        return torch.from_numpy(np.array(array, dtype=np.float32))

    def _stored(self, layer: str, utterance: str) -> str:
        readers = self._readers[layer]
        if utterance in readers:
            return utterance
        last = PurePosixPath(utterance).name
        found = [name for name in readers if PurePosixPath(name).name == last]
        if len(found) != 1:
            why = "no frames" if not found else f"{len(found)} files with frames"
            raise MultiresError(f"{self.folder} has {why} of layer {layer} for the utterance {utterance}")
        return found[0]

    def _read(self, layer: str, name: str) -> np.ndarray:
        try:
            array = self._readers[layer][name]()
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise MultiresError(f"cannot read layer {layer} of {name} in {self.folder}: {str(error)[:160]}") from error
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating) or not len(array):
            raise MultiresError(
                f"layer {layer} of {name} in {self.folder} must be numbers of shape (frames, dim), not {array.dtype} "
                f"{array.shape}"
            )
        return array


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    example = '{"layers": {"encoder.0.0": {"frame_period": 0.02}}}'
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MultiresError(f"cannot read {path} ({str(error)[:120]}): write it, such as {example}") from error
    layers = values.get("layers") if isinstance(values, dict) else None
    if not isinstance(layers, dict) or not layers or not all(map(_is_layer, layers.values())):
        raise MultiresError(f"{path} must list layers with their frame_period in seconds, such as {example}")
    if strange := [name for name in layers if PurePosixPath(name).name != name or name.startswith(".")]:
        raise MultiresError(f"{path} has a layer named {strange[0]!r}: name layers as encoder.0.0 or conv")
    return values


def _is_layer(options: object) -> bool:
    if not isinstance(options, dict) or not {"frame_period"} <= set(options) <= {"frame_period", "first_center"}:
        return False
    numbers = [isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v < math.inf for v in options.values()]
    return all(numbers) and options["frame_period"] > 0


def _readers(folder: Path, layer: str) -> dict[str, Reader]:
    """A reader for each utterance's frames of a layer."""
    archive = folder / f"{layer}.ark"
    if archive.is_file():
        return {name: _from_ark(archive, offset) for name, offset in ark_index(archive).items()}
    singly = sorted((folder / layer).rglob("*.npy")) if (folder / layer).is_dir() else []
    if singly:
        return {_name(path, folder / layer): _from_npy(path) for path in singly}
    return {_name(path, folder): _from_npz(path, layer) for path in sorted(folder.rglob("*.npz"))}


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _from_ark(path: Path, offset: int) -> Reader:
    return lambda: read_ark(path, offset)


def _from_npy(path: Path) -> Reader:
    return lambda: np.load(path, allow_pickle=False)


def _from_npz(path: Path, layer: str) -> Reader:
    def read() -> np.ndarray:
        with np.load(path, allow_pickle=False) as arrays:
            if layer not in arrays:
                raise KeyError(f"no array {layer}")
            return np.asarray(arrays[layer])

    return read


def _digest(folder: Path) -> bytes:
    """SHA-256 of every file's name and bytes."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".npy", ".npz", ".ark") or p.name == DESCRIPTION):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.digest()
