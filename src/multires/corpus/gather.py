"""Turns files on disk into a corpus: reads each once, leaves out what is bad, and says so."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from multires.corpus.alignment import Alignment
from multires.corpus.files import AudioFacts, AudioFile, BadFile, audio_facts
from multires.corpus.utterance import SAMPLE_RATE, Corpus, Utterance
from multires.errors import MultiresError


@dataclass(frozen=True)
class Candidate:
    """An audio file that may become an utterance.

    Attributes
    ----------
    id, speaker, split, transcript
        As in `Utterance`.
    audio
        The file.
    align
        Gives words and phones once the audio is known to be good; raises `MultiresError` where they cannot be used.
    """

    id: str
    speaker: str
    split: str
    audio: Path
    transcript: str | None
    align: Callable[[AudioFacts], Alignment] = field(repr=False, compare=False)


@dataclass(frozen=True)
class _Outcome:
    utterance: Utterance | None
    skipped: tuple[tuple[str, str], ...]
    digest: str


def gather(
    name: str, root: Path, candidates: Sequence[Candidate], skipped: Sequence[tuple[str, str]], progress: bool
) -> Corpus:
    """Read every candidate once and keep those whose audio is good, aligned or not.

    Raises
    ------
    MultiresError
        Where no audio can be used.
    """
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        outcomes = list(
            tqdm(
                pool.map(lambda candidate: _outcome(candidate, root), candidates),
                total=len(candidates), desc=f"reading {name}", unit="file", disable=not progress,
            )
        )  # fmt: skip
    utterances = tuple(outcome.utterance for outcome in outcomes if outcome.utterance)
    left_out = [*skipped, *(one for outcome in outcomes for one in outcome.skipped)]
    if not utterances:
        first = f"; the first: {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise MultiresError(f"nothing in {root} can be used ({len(left_out)} problems{first})")
    digest = hashlib.sha256()
    for outcome in outcomes:
        digest.update(outcome.digest.encode())
    return Corpus(name, utterances, tuple(left_out), fingerprint=digest.hexdigest()[:16])


def _outcome(candidate: Candidate, root: Path) -> _Outcome:
    try:
        facts = audio_facts(candidate.audio)
    except BadFile as error:
        return _Outcome(None, ((relative(error.path, root), error.reason),), "")
    skipped: list[tuple[str, str]] = []
    try:
        alignment = candidate.align(facts)
        skipped += [(relative(candidate.audio, root), f"its alignment {problem}") for problem in alignment.problems]
    except BadFile as error:
        alignment = Alignment()
        skipped.append((relative(error.path, root), f"{error.reason}; kept without alignment"))
    except MultiresError as error:
        alignment = Alignment()
        skipped.append((relative(candidate.audio, root), f"{error}; kept without alignment"))
    utterance = Utterance(
        id=candidate.id,
        speaker=candidate.speaker,
        split=candidate.split,
        duration=facts.duration,
        read=AudioFile(candidate.audio, facts.peak),
        transcript=candidate.transcript,
        words=alignment.words,
        phones=alignment.phones,
        attributes=_converted(facts),
    )
    return _Outcome(utterance, tuple(skipped), f"{facts.digest}{utterance!r}")


def _converted(facts: AudioFacts) -> Mapping[str, str]:
    """What reading changed in the audio, as attributes."""
    changed = {}
    if facts.sample_rate != SAMPLE_RATE:
        changed["sample_rate"] = str(facts.sample_rate)
    if facts.channels != 1:
        changed["channels"] = str(facts.channels)
    return changed


def relative(path: Path, root: Path) -> str:
    """A path as it reads from the corpus's root, or whole where it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def folder_must_exist(path: Path, parameter: str) -> None:
    """Raise unless `path` is a folder that can be listed.

    Raises
    ------
    MultiresError
        Naming the parameter that gave the path.
    """
    try:
        if path.is_dir():
            next(path.iterdir(), None)
            return
    except OSError as error:
        raise MultiresError(f"{parameter} {path} cannot be read: {error.strerror}") from error
    raise MultiresError(f"{parameter} {path} is not a folder that exists: give the path of the corpus")
