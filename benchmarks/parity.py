"""Largest difference from fairseq, architecture by architecture and layer by layer.

python -m benchmarks.parity --csv book/data/parity.csv     the table of the book, its provenance beside it
python -m benchmarks.parity --json                         the same as JSON
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

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

LENGTHS = (400, 719, 16_000, 52_321, 240_000)
"""Samples: one frame, just short of two, 1 s, odd, 15 s."""


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
    families: Sequence[str] = BASE_FAMILIES,
    *,
    lengths: Sequence[int] = LENGTHS,
    narrow: bool = False,
    speech: Float[Tensor, " samples"] | None = None,
) -> pd.DataFrame:
    """One row for each architecture and place: the largest differences over `lengths` of `speech` (noise where None).

    Raises
    ------
    MultiresError
        Where a family is unknown.
    """
    if speech is None:
        speech = torch.randn(max(lengths), generator=torch.Generator().manual_seed(0)) * 0.1
    rows = []
    for name in families:
        family = FAMILIES[choose("family", name, list(FAMILIES))]
        with tempfile.TemporaryDirectory() as folder:
            reference = build_reference(family.narrow() if narrow else family, Path(folder))
            model = load_checkpoint(reference.path)
        for samples in lengths:
            for place, absolute, relative in compare(reference, model, speech[:samples]):
                rows.append((name, family.keys, place, absolute, relative))
    table = pd.DataFrame(rows, columns=["architecture", "checkpoints", "place", "absolute", "relative"])
    return table.groupby(["architecture", "checkpoints", "place"], sort=False, as_index=False).max()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--csv", type=Path, help="write the table here, and its provenance beside it")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--families", nargs="+", default=list(BASE_FAMILIES), help=f"of {', '.join(FAMILIES)}")
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS), help="samples")
    parser.add_argument("--narrow", action="store_true", help="128 wide, all switches the same")
    parser.add_argument("--audio", type=Path, nargs="+", help="speech at 16 kHz, joined; noise where none is given")
    given = parser.parse_args()
    speech = None
    if given.audio:
        import soundfile

        speech = torch.cat([torch.from_numpy(soundfile.read(file, dtype="float32")[0]) for file in given.audio])
        if len(speech) < max(given.lengths):
            parser.error(f"the audio has {len(speech)} samples, and {max(given.lengths)} are wanted")
    table = parity_table(given.families, lengths=given.lengths, narrow=given.narrow, speech=speech)
    if given.csv:
        given.csv.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(given.csv, index=False, float_format="%.3g")
        parameters = {
            "families": given.families, "lengths": given.lengths, "narrow": given.narrow,
            "speech": [file.name for file in given.audio or []] or "noise",
        }  # fmt: skip
        record = provenance("benchmarks.parity", parameters)
        given.csv.with_suffix(".json").write_text(json.dumps(record, indent=2, sort_keys=True, default=str) + "\n")
    if given.json:
        print(json.dumps(table.to_dict("records")))
    else:
        print(table.groupby("architecture", sort=False)[["absolute", "relative"]].max().to_string())


if __name__ == "__main__":
    main()
