"""A description of one model: layers, frame periods, receptive field, parameters, cell, digest and license."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from multires.models.download import cached
from multires.models.hooked import RATE
from multires.models.huggingface import WEIGHTS
from multires.models.layers import LayeredModel
from multires.models.loading import load_model
from multires.models.mr_hubert import MultiResHubert
from multires.models.registry import published, shipped
from multires.models.stored import StoredFrames
from multires.models.wrappers import bundle_license


@dataclass(frozen=True)
class Description:
    """Facts about one model.

    Attributes
    ----------
    facts
        Text by name: description, trained, parameters, receptive field, cell and evidence, digest, license.
    layers
        One row for each layer: name, label, block, frame_period_ms, first_center_ms, width.
    """

    facts: dict[str, str]
    layers: pd.DataFrame

    def __str__(self) -> str:
        width = max(map(len, self.facts))
        lines = [f"{name:<{width}}  {text}" for name, text in self.facts.items()]
        return "\n".join([*lines, "", self.layers.to_string(index=False)])


def describe_model(name: str, *, cache: str | Path | None = None) -> Description:
    """Describe a model by name or file; a published checkpoint that is not in the cache is downloaded.

    Parameters
    ----------
    name, cache
        As in `multires.models.load_model`.

    Raises
    ------
    MultiresError
        As `multires.models.load_model`.

    Examples
    --------
    >>> describe_model("untrained/hubert-small").facts["receptive field"]
    '25 ms (400 samples)'
    """
    model = load_model(name, cache=cache)
    facts = {
        "model": name,
        "description": model.description,
        "trained": "yes" if model.trained else "no, random weights",
    }
    facts["parameters"] = f"{sum(p.numel() for p in model.parameters()):,}" if list(model.parameters()) else "none"
    if isinstance(model, MultiResHubert):
        heads = sum(p.numel() for n, p in model.named_parameters() if n.startswith(("heads.", "units.")))
        facts["parameters"] += f", of them {heads:,} in prediction heads"
    facts["receptive field"] = _receptive_field(model)
    if isinstance(model, MultiResHubert):
        condition = model.condition
        facts["cell"] = condition.cell if model.trained else f"{condition.architecture} (untrained)"
        facts["evidence"] = condition.evidence
    facts["digest"] = _digest(name, model, cache)
    facts["license"] = _license(name)
    rows = [
        {
            "layer": layer.name, "label": layer.label, "block": layer.block,
            "frame_period_ms": f"{1000 * layer.frame_period:g}", "first_center_ms": f"{1000 * layer.first_center:g}",
            "width": layer.dim,
        }
        for layer in model.layers
    ]  # fmt: skip
    return Description(facts, pd.DataFrame(rows))


def _receptive_field(model: LayeredModel) -> str:
    samples = (
        model.config.receptive_field if isinstance(model, MultiResHubert) else getattr(model, "receptive_field", None)
    )
    return f"{1000 * samples / RATE:g} ms ({samples} samples)" if isinstance(samples, int) else "unknown"


def _digest(name: str, model: LayeredModel, cache: str | Path | None) -> str:
    """SHA-256 of the file where there is one, of the weights otherwise."""
    if isinstance(model, StoredFrames):
        return f"sha256:{bytes(model.digest.tolist()).hex()} (of the files' names and contents)"
    if (path := _file(name, cache)) is not None:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()} (of the file)"
    if not model.state_dict():
        return "none, there are no weights"
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return f"sha256:{digest.hexdigest()} (of the weights)"


def _file(name: str, cache: str | Path | None) -> Path | None:
    """The file that a model was read from, if it is one file on this machine."""
    if (entry := published().get(name)) is not None:
        return cached(name, entry.url, cache=cache)
    kind, _, place = name.partition(":")
    if kind == "transformers":
        folder = Path(place).expanduser()
        candidates = [folder / file for file in WEIGHTS]
    else:
        candidates = [shipped().get(name, Path(name).expanduser())]
    return next((path for path in candidates if path.is_file()), None)


def _license(name: str) -> str:
    """License of the model's weights, from its own files or its publisher's statement for all of them."""
    if name in published():
        return "MIT, as fairseq's README says of its pre-trained models"
    if name in shipped() or name.startswith("untrained/"):
        return "MIT, this package's own"
    kind, _, place = name.partition(":")
    if kind == "torchaudio":
        return bundle_license(place) or "unknown"
    readme = Path(place).expanduser() / "README.md"
    if kind == "transformers" and readme.is_file():
        text = readme.read_text(encoding="utf-8", errors="replace")[:65_536]
        head = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
        if head and (found := re.search(r"^license:\s*([\w.+-]+)", head[1], re.MULTILINE)):
            return f"{found[1]}, as its README says"
    return "unknown"
