"""The half hour of LibriSpeech that comes with the package: read speech with timed words and phones."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from multires.corpus.files import AudioFile
from multires.corpus.utterance import SAMPLE_RATE, Corpus, Segment, Utterance
from multires.errors import MultiresError, choose

NAME = "librispeech-sample"

TITLE = "LibriSpeech sample"
"""The corpus's name in figures and sentences."""

FOLDER = Path(__file__).parents[1] / "data" / NAME
"""The sample's place in the package."""

INDEX = "utterances.jsonl"
"""One JSON object a line: id, speaker, split, source, samples, sha256, transcript, words, phones."""

SPLITS = ("train", "evaluation")
"""Parts of the sample; they have no speaker in common, and no speaker that the package's models are trained on."""

GAP = "-"
"""The label of a stretch of a packed tier that has no segment."""


def load_sample(*, splits: Sequence[str] | None = None, folder: Path = FOLDER) -> Corpus:
    """Utterances of the sample, checked against the digests in its index.

    Raises
    ------
    MultiresError
        For an unknown split, or a file that is missing or has changed.
    """
    chosen = {choose("split", split, SPLITS) for split in (splits or SPLITS)}
    index = folder / INDEX
    try:
        content = index.read_bytes()
        entries = [json.loads(line) for line in content.decode().splitlines()]
        utterances = tuple(_utterance(entry, folder) for entry in entries if entry["split"] in chosen)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MultiresError(f"{index} cannot be read ({str(error)[:120]}): install multires again") from error
    digest = hashlib.sha256(content + ",".join(sorted(chosen)).encode()).hexdigest()[:16]
    return Corpus(TITLE, utterances, fingerprint=digest)


def audio_path(folder: Path, name: str) -> Path:
    """The audio file of an utterance."""
    return folder / "audio" / f"{name}.opus"


def pack(segments: Iterable[Segment]) -> str:
    """Segments as text: each label and its end in hundredths of a second, each starting where the one before it ends.

    Examples
    --------
    >>> pack([Segment("so", 0.1, 0.25), Segment("it", 0.25, 0.4)])
    '- 10 so 25 it 40'
    """
    packed: list[str] = []
    before = 0
    for segment in segments:
        # Rounded up, so that the last segment reaches the end of the audio, but not for an error of floating point.
        start, end = round(100 * segment.start), math.ceil(round(100 * segment.end, 6))
        if start > before:
            packed += [GAP, str(start)]
        packed += [segment.label, str(end)]
        before = end
    return " ".join(packed)


def unpack(text: str, duration: float) -> tuple[Segment, ...]:
    """Segments that `pack` wrote, the last cut at the end of the audio.

    Examples
    --------
    >>> unpack("- 10 so 25", 0.245)
    (Segment(label='so', start=0.1, end=0.245),)
    """
    fields = text.split()
    found, before = [], 0.0
    for label, end in zip(fields[::2], fields[1::2], strict=True):
        after = min(int(end) / 100, duration)
        if label != GAP:
            found.append(Segment(label, before, after))
        before = after
    return tuple(found)


def _utterance(entry: Mapping[str, Any], folder: Path) -> Utterance:
    path = audio_path(folder, entry["id"])
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
        raise ValueError(f"{path.name} is not the file that was shipped")
    duration = entry["samples"] / SAMPLE_RATE
    return Utterance(
        id=entry["id"],
        speaker=entry["speaker"],
        split=entry["split"],
        duration=duration,
        read=AudioFile(path, peak=1.0),
        transcript=entry["transcript"],
        words=unpack(entry["words"], duration),
        phones=unpack(entry["phones"], duration),
        attributes={"source": entry["source"]},
        digest=entry["sha256"],
    )
