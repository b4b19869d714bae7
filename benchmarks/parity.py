"""Largest difference from fairseq, architecture by architecture and layer by layer.

python -m benchmarks.parity --audio *.flac --csv book/data/parity.csv     the book's table, its provenance beside it
python -m benchmarks.parity --json                                       the same as JSON, on noise
python -m benchmarks.parity --families mono --narrow --audio *.flac --csv book/data/parity.csv --update
                                                                         one architecture again, at full width

Every architecture of base size and one large model at full width, the other large ones at 128 with all their switches.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.reference import BASE_FAMILIES, FAMILIES, Reference, build_reference, trace_reference
from multires.errors import MultiresError, choose
from multires.models import MultiResHubert, load_checkpoint
from multires.results import provenance

ABSOLUTE, RELATIVE = 1e-4, 1e-5
"""Allowed in float32: the largest difference, and the norm of the difference over the norm of fairseq's output."""

LENGTHS = (400, 719, 16_000, 52_321, 240_000, 480_000)
"""Samples: one frame, just short of two, 1 s, odd, 15 s, 30 s."""

NARROW = tuple(name for name in FAMILIES if name not in BASE_FAMILIES and name != "large")
"""Architectures that are compared at a width of 128: what they add to the others are switches."""


def compare(
    reference: Reference, model: MultiResHubert, waveform: Float[Tensor, " samples"]
) -> Iterator[tuple[str, float, float]]:
    """Each place's name, largest difference, and norm of the difference over that of fairseq's output.

    fairseq's decoders also give the surplus frame of an odd number; it is seen, but is none of the utterance's.
    """
    theirs = trace_reference(reference, waveform)
    with torch.inference_mode():
        ours = model.trace(waveform[None]).frames
    if set(ours) != set(theirs):
        raise MultiresError(f"places differ: {sorted(set(ours) ^ set(theirs))}")
    for name, frames in ours.items():
        mine, other = frames[0].double(), theirs[name].double()
        other = other[: len(mine)]
        yield name, float((mine - other).abs().max()), float((mine - other).norm() / other.norm())


def parity_table(
    families: Sequence[str] = tuple(FAMILIES),
    *,
    lengths: Sequence[int] = LENGTHS,
    narrow: Sequence[str] = NARROW,
    speech: Float[Tensor, " samples"] | None = None,
) -> pd.DataFrame:
    """One row for each architecture and place: the largest differences over `lengths` of `speech` (noise where None).

    Those in `narrow` are compared at a width of 128.

    Raises
    ------
    MultiresError
        If a family is unknown.
    """
    if speech is None:
        speech = torch.randn(max(lengths), generator=torch.Generator().manual_seed(0)) * 0.1
    rows = []
    for name in families:
        family = FAMILIES[choose("family", name, list(FAMILIES))]
        family = family.narrow() if name in narrow else family
        with tempfile.TemporaryDirectory() as folder:
            reference = build_reference(family, Path(folder))
            model = load_checkpoint(reference.path)
        for samples in lengths:
            for place, absolute, relative in compare(reference, model, speech[:samples]):
                rows.append((name, family.keys, family.width, place, absolute, relative))
    keys = ["architecture", "checkpoints", "width", "place"]
    table = pd.DataFrame(rows, columns=[*keys, "absolute", "relative"])
    return table.groupby(keys, sort=False, as_index=False).max()


def _joined(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([tables[name] for name in FAMILIES if name in tables], ignore_index=True)


def _write(path: Path, tables: Mapping[str, pd.DataFrame], record: dict[str, Any]) -> None:
    """The table and its provenance, after every architecture, so that nothing is lost where a later one fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _joined(tables).to_csv(path, index=False, float_format="%.3g")
    path.with_suffix(".json").write_text(json.dumps(record, indent=2, sort_keys=True, default=str) + "\n")


def _kept(path: Path | None, parameters: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The architectures of a table that is there, if it was made on the same speech at the same lengths."""
    if path is None or not path.exists():
        raise MultiresError("--update needs the table to update: name it with --csv")
    before = json.loads(path.with_suffix(".json").read_text())["parameters"]
    for name, value in parameters.items():
        if before.get(name) != value:
            raise MultiresError(
                f"{path} was made with {name} {before.get(name)}, not {value}: delete it and run without --update"
            )
    return dict(list(pd.read_csv(path).groupby("architecture", sort=False)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--csv", type=Path, help="write the table here, and its provenance beside it")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), help=f"of {', '.join(FAMILIES)}")
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS), help="samples")
    parser.add_argument("--narrow", nargs="*", default=list(NARROW), help="families compared at a width of 128")
    parser.add_argument("--update", action="store_true", help="keep the other architectures of the table at --csv")
    parser.add_argument("--audio", type=Path, nargs="+", help="speech at 16 kHz, joined; noise where none is given")
    given = parser.parse_args()
    for name in given.narrow:
        choose("family", name, list(FAMILIES))
    speech = None
    if given.audio:
        import soundfile

        speech = torch.cat([torch.from_numpy(soundfile.read(file, dtype="float32")[0]) for file in given.audio])
        if len(speech) < max(given.lengths):
            parser.error(f"the audio has {len(speech)} samples, and {max(given.lengths)} are wanted")
    record = provenance(
        "benchmarks.parity",
        {"lengths": given.lengths, "speech": [file.name for file in given.audio or []] or "noise"},
    )
    tables = _kept(given.csv, record["parameters"]) if given.update else {}
    for name in given.families:
        tables[name] = parity_table([name], lengths=given.lengths, narrow=given.narrow, speech=speech)
        if given.csv:
            _write(given.csv, tables, record)
    table = _joined(tables)
    if given.json:
        print(json.dumps(table.to_dict("records")))
    else:
        print(table.groupby("architecture", sort=False)[["absolute", "relative"]].max().to_string())


if __name__ == "__main__":
    main()
