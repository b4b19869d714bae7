"""LibriSpeech in its own folder layout, with TextGrids if there are any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from multires.corpus.alignment import Alignment, read_textgrid
from multires.corpus.files import AudioFacts, BadFile, read_text, readable
from multires.corpus.gather import Candidate, Skipped, folder_must_exist, gather, relative, summarized, unique
from multires.corpus.spread import spread
from multires.corpus.utterance import Corpus
from multires.corpus.walk import listed
from multires.errors import MultiresError, choose

SUFFIXES = (".flac", ".opus", ".ogg", ".wav")
"""The corpus is FLAC; smaller copies in other formats are read too. Of one utterance in two formats the first counts."""

_LAYOUT = "LibriSpeech/<split>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac"


@dataclass(frozen=True)
class _Grids:
    """A folder of TextGrids."""

    folder: Path

    @cached_property
    def by_name(self) -> dict[str, str]:
        """The path of each file below the folder, by its name; listed only if something is missing."""
        return {path.name: path.relative_to(self.folder).as_posix() for path in listed(self.folder).files}


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
        If a folder or split is missing or nothing can be used.
    """
    folder_must_exist(root, "root")
    base, there = librispeech_splits(root)
    if base is None:
        raise MultiresError(f"no LibriSpeech in {root}: expected {_LAYOUT}")
    chosen = [choose(f"split in {base}", split, there) for split in dict.fromkeys(splits or there)]
    grids = _alignments(base, alignments)
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []
    if grids is None:
        skipped.append(("alignments", f"no such folder in or beside {root}: utterances are kept without alignment"))
    for split in chosen:
        found, problems = _split(base, split, grids)
        candidates += found
        skipped += problems
    if grids is not None:
        skipped += _lonely_grids(grids.folder, chosen, candidates, root)
    candidates, doubled, repeated = unique(candidates, root)
    return gather("librispeech", root, spread(candidates, limit), [*skipped, *doubled], progress, repeated)


def librispeech_splits(root: Path) -> tuple[Path | None, list[str]]:
    """The folder that holds LibriSpeech's splits, `root` or ``LibriSpeech`` in it, and their names; None without any."""
    for place in (root / "LibriSpeech", root):
        if there := _splits(place):
            return place, there
    return None, []


def _splits(base: Path) -> list[str]:
    """Sub-folders that hold speakers, chapters and audio files."""
    if not base.is_dir():
        return []
    return sorted(
        place.name
        for place in base.iterdir()
        if place.is_dir() and any(_is_utterance(file) for file in place.glob("*/*/*-*.*"))
    )


def _is_utterance(file: Path) -> bool:
    """Return True if a file is named as LibriSpeech names its audio, ``<speaker>-<chapter>-<number>``."""
    return file.suffix in SUFFIXES and file.name.startswith(f"{file.parts[-3]}-{file.parts[-2]}-")


def _lonely_grids(grids: Path, splits: Sequence[str], candidates: Sequence[Candidate], root: Path) -> list[Skipped]:
    """TextGrids of these splits that belong to no recording in them."""
    known = {candidate.audio.stem for candidate in candidates}
    lonely = [
        path
        for split in splits
        for path in listed(grids / split).files
        if (grids / split).is_dir() and path.suffix == ".TextGrid" and path.stem not in known
    ]
    return summarized(lonely, root, "is a TextGrid of no recording here")


def _audio(chapter: Path) -> list[Path]:
    """A chapter's audio files in order, one for each utterance."""
    found: dict[str, Path] = {}
    for suffix in SUFFIXES:
        for path in sorted(chapter.glob(f"[!.]*{suffix}")):
            found.setdefault(path.stem, path)
    return [found[stem] for stem in sorted(found)]


def _alignments(base: Path, given: str | Path | None) -> _Grids | None:
    if given is not None:
        folder = Path(given).expanduser()
        folder_must_exist(folder, "alignments")
        return _Grids(folder)
    places = (base / "alignments", base.parent / "alignments")
    return next((_Grids(place) for place in places if place.is_dir()), None)


def _split(base: Path, split: str, grids: _Grids | None) -> tuple[list[Candidate], list[Skipped]]:
    """A split's audio files in order, and transcripts that have no audio or cannot be read."""
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []
    for chapter in sorted(place for place in (base / split).glob("[!.]*/[!.]*") if place.is_dir()):
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
    """The text of each utterance of a chapter, lower case, and files that cannot be read."""
    texts: dict[str, str] = {}
    problems = []
    for path in sorted(chapter.glob("[!.]*.trans.txt")):
        try:
            lines = read_text(path).splitlines()
        except BadFile as error:
            problems.append(error)
            continue
        for line in lines:
            name, _, text = line.strip().partition(" ")
            if text.strip():
                texts[name] = text.strip().lower()
    return texts, problems


def _reader(grids: _Grids | None, split: str, place: Path) -> Callable[[AudioFacts], Alignment]:
    """Reads the TextGrid of an utterance, if there is one."""

    def read(facts: AudioFacts) -> Alignment:
        for path in (grids.folder / split / place, grids.folder / place) if grids else ():
            if path.exists():
                return read_textgrid(path, facts.duration)
        if grids is None:
            return Alignment()
        elsewhere = grids.by_name.get(place.name)
        hint = (
            f" (expected at {split}/{place.as_posix()} in {grids.folder.name}, found at {readable(elsewhere)})"
            if elsewhere
            else ""
        )
        return Alignment(problems=(f"is missing{hint}",))

    return read
