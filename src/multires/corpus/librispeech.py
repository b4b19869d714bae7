"""LibriSpeech in its own folder layout, with TextGrids where there are some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from multires.corpus.alignment import Alignment, read_textgrid
from multires.corpus.files import AudioFacts, BadFile, read_text
from multires.corpus.gather import Candidate, folder_must_exist, gather, relative
from multires.corpus.spread import spread
from multires.corpus.utterance import Corpus
from multires.errors import MultiresError, choose

SUFFIXES = (".flac", ".opus", ".ogg", ".wav")
"""The corpus is FLAC; smaller copies in other formats are read too. Of one utterance in two formats the first counts."""

_LAYOUT = "LibriSpeech/<split>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac"


def load_librispeech(
    root: Path,
    *,
    splits: Sequence[str] | None = None,
    alignments: str | Path | None = None,
    limit: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Any splits of LibriSpeech under `root`, the folder ``LibriSpeech`` or the one that holds it.

    TextGrids are looked for in `alignments`, else in a folder ``alignments`` in or beside `root`, as
    ``<split>/<speaker>/<chapter>/<utterance>.TextGrid`` or without the first level.

    Raises
    ------
    MultiresError
        Where a folder or split is missing or nothing can be used.
    """
    folder_must_exist(root, "root")
    base = next((place for place in (root / "LibriSpeech", root) if _splits(place)), None)
    if base is None:
        raise MultiresError(f"no LibriSpeech in {root}: expected {_LAYOUT}")
    there = _splits(base)
    chosen = [choose(f"split in {base}", split, there) for split in dict.fromkeys(splits or there)]
    grids = _alignments(root, base, alignments)
    candidates: list[Candidate] = []
    skipped: list[tuple[str, str]] = []
    if grids is None:
        skipped.append(("alignments", f"no such folder in or beside {root}: utterances are kept without alignment"))
    for split in chosen:
        found, problems = _split(base, split, grids)
        candidates += found
        skipped += problems
    return gather("librispeech", root, spread(candidates, limit), skipped, progress)


def _splits(base: Path) -> list[str]:
    """Sub-folders that hold speakers, chapters and audio files."""
    if not base.is_dir():
        return []
    return sorted(
        place.name
        for place in base.iterdir()
        if place.is_dir() and any(file.suffix in SUFFIXES for file in place.glob("*/*/*-*.*"))
    )


def _audio(chapter: Path) -> list[Path]:
    """A chapter's audio files in order, one for each utterance."""
    found: dict[str, Path] = {}
    for suffix in SUFFIXES:
        for path in sorted(chapter.glob(f"*{suffix}")):
            found.setdefault(path.stem, path)
    return [found[stem] for stem in sorted(found)]


def _alignments(root: Path, base: Path, given: str | Path | None) -> Path | None:
    if given is not None:
        folder = Path(given).expanduser()
        folder_must_exist(folder, "alignments")
        return folder
    return next((place for place in (base / "alignments", base.parent / "alignments") if place.is_dir()), None)


def _split(base: Path, split: str, grids: Path | None) -> tuple[list[Candidate], list[tuple[str, str]]]:
    """A split's audio files in order, and transcripts that have no audio or cannot be read."""
    candidates, skipped = [], []
    for chapter in sorted(place for place in (base / split).glob("*/*") if place.is_dir()):
        transcripts, problems = _transcripts(chapter)
        skipped += [(relative(error.path, base.parent), error.reason) for error in problems]
        for audio in _audio(chapter):
            if audio.stem not in transcripts:
                skipped.append((relative(audio, base.parent), "has no transcript; kept without one"))
            place = Path(chapter.parent.name, chapter.name, f"{audio.stem}.TextGrid")
            candidates.append(
                Candidate(
                    id=audio.stem,
                    speaker=chapter.parent.name,
                    split=split,
                    audio=audio,
                    transcript=transcripts.pop(audio.stem, None),
                    align=_reader(grids, split, place),
                )
            )
        skipped += [
            (relative(chapter / f"{name}.flac", base.parent), "has a transcript but no audio") for name in transcripts
        ]
    return candidates, skipped


def _transcripts(chapter: Path) -> tuple[dict[str, str], list[BadFile]]:
    """What each utterance of a chapter says, lower case."""
    said, problems = {}, []
    for path in sorted(chapter.glob("*.trans.txt")):
        try:
            lines = read_text(path).splitlines()
        except BadFile as error:
            problems.append(error)
            continue
        for line in lines:
            name, _, text = line.strip().partition(" ")
            if text.strip():
                said[name] = text.strip().lower()
    return said, problems


def _reader(grids: Path | None, split: str, place: Path) -> Callable[[AudioFacts], Alignment]:
    """Reads the TextGrid of an utterance, if there is one."""

    def read(facts: AudioFacts) -> Alignment:
        for path in (grids / split / place, grids / place) if grids else ():
            if path.is_file():
                return read_textgrid(path, facts.duration)
        return Alignment(problems=("is missing",) if grids else ())

    return read
