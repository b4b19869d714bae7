"""A corpus from files on disk: each file is read once, and those that cannot be used are named."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from multires.corpus.alignment import Alignment
from multires.corpus.files import AudioFacts, AudioFile, BadFile, audio_facts, readable
from multires.corpus.utterance import SAMPLE_RATE, Corpus, Utterance
from multires.errors import MultiresError
from multires.runtime.progress import step_bar
from multires.visible import visible

Skipped = tuple[str, str]
"""A file, relative to the corpus's root, and the reason why it is left out."""


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
        Gives words and phones once the audio is known to be good; raises `MultiresError` if they cannot be used.
    others
        Further recordings of the same name, each read only if those before it cannot be.
    """

    id: str
    speaker: str
    split: str
    audio: Path
    transcript: str | None
    align: Callable[[AudioFacts], Alignment] = field(repr=False, compare=False)
    others: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Outcome:
    utterance: Utterance | None
    skipped: tuple[Skipped, ...]


def unique(candidates: Sequence[Candidate], root: Path) -> tuple[list[Candidate], list[Skipped], dict[str, list[str]]]:
    """The first candidate of each id, the others as skipped, and the splits of each id that occurs several times."""
    first: dict[str, Candidate] = {}
    skipped: list[Skipped] = []
    splits: dict[str, list[str]] = {}
    for candidate in candidates:
        kept = first.setdefault(candidate.id, candidate)
        if kept is not candidate:
            splits.setdefault(candidate.id, [kept.split]).append(candidate.split)
            reason = (
                f"has the id {candidate.id} of {relative(kept.audio, root)} in split {kept.split}: only that is read"
            )
            skipped.append((relative(candidate.audio, root), reason))
    return list(first.values()), skipped, splits


def gather(
    name: str,
    root: Path,
    candidates: Sequence[Candidate],
    skipped: Sequence[Skipped],
    progress: bool,
    repeated: Mapping[str, Sequence[str]] | None = None,
) -> Corpus:
    """Read every candidate once and keep those whose audio is good, aligned or not.

    Raises
    ------
    MultiresError
        If no audio can be used.
    """
    outcomes: list[_Outcome] = []
    with (
        ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool,
        step_bar(f"reading {visible(name)}", len(candidates), "file", shown=progress) as bar,
    ):
        for outcome in pool.map(lambda candidate: _outcome(candidate, root), candidates):
            outcomes.append(outcome)
            bar.update()
    utterances = tuple(outcome.utterance for outcome in outcomes if outcome.utterance)
    left_out = [*skipped, *(one for outcome in outcomes for one in outcome.skipped)]
    if not utterances:
        first = f"; the first: {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise MultiresError(f"nothing in {readable(root)} can be used ({len(left_out)} problems{first})")
    digest = hashlib.sha256()
    for part in (*utterances, *left_out):
        digest.update(repr(part).encode("utf-8", "backslashreplace"))
    return Corpus(
        name,
        utterances,
        tuple(left_out),
        fingerprint=digest.hexdigest()[:16],
        repeated={key: tuple(value) for key, value in (repeated or {}).items()},
    )


def _outcome(candidate: Candidate, root: Path) -> _Outcome:
    skipped: list[Skipped] = []
    facts = None
    for audio in (candidate.audio, *candidate.others):
        if facts is not None:
            reason = f"is a second recording of {candidate.id}: {used.name} is read"
            skipped.append((relative(audio, root), readable(reason)))
            continue
        try:
            facts, used = audio_facts(audio), audio
        except BadFile as error:
            skipped.append((relative(error.path, root), error.reason))
    if facts is None:
        return _Outcome(None, tuple(skipped))
    try:
        alignment = candidate.align(facts)
        skipped += [(relative(used, root), f"its alignment {problem}") for problem in alignment.problems]
    except BadFile as error:
        alignment = Alignment()
        skipped.append((relative(error.path, root), f"{error.reason}; kept without alignment"))
    except MultiresError as error:
        alignment = Alignment()
        skipped.append((relative(used, root), f"{error}; kept without alignment"))
    utterance = Utterance(
        id=candidate.id,
        speaker=candidate.speaker,
        split=candidate.split,
        duration=facts.duration,
        read=AudioFile(used, facts.peak),
        transcript=candidate.transcript,
        words=alignment.words,
        phones=alignment.phones,
        attributes=_converted(facts),
        digest=facts.digest,
    )
    return _Outcome(utterance, tuple(skipped))


def _converted(facts: AudioFacts) -> Mapping[str, str]:
    """Changes made to the audio while reading, as attributes."""
    changed = {}
    if facts.sample_rate != SAMPLE_RATE:
        changed["sample_rate"] = str(facts.sample_rate)
    if facts.channels != 1:
        changed["channels"] = str(facts.channels)
    return changed


def summarized(files: Sequence[Path], root: Path, reason: str, most: int = 20) -> list[Skipped]:
    """One entry for each file that is left out for the same reason, or one for all where there are many."""
    if len(files) <= most:
        return [(relative(file, root), reason) for file in files]
    return [(relative(files[0], root), f"{reason}; so {len(files) - 1} other files")]


def relative(path: Path, root: Path) -> str:
    """A path relative to the corpus's root, or whole if it lies elsewhere, with unprintable characters escaped."""
    return readable((path.relative_to(root) if path.is_relative_to(root) else path).as_posix())


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
        raise MultiresError(f"{parameter} {readable(path)} cannot be read: {error.strerror}") from error
    raise MultiresError(f"{parameter} {readable(path)} is not a folder that exists: give the path of the corpus")
