"""Anyone's folder of audio, with TextGrid, TIMIT or text files beside it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import soundfile

from multires.corpus.alignment import Alignment, read_textgrid, read_timit
from multires.corpus.cache import cache_folder
from multires.corpus.files import AudioFacts, BadFile, read_audio, read_text
from multires.corpus.forced import align, require_pocketsphinx
from multires.corpus.gather import Candidate, folder_must_exist, gather, relative
from multires.corpus.spread import spread
from multires.corpus.utterance import Corpus, Segment
from multires.errors import MultiresError, choose

WHOLE = "all"
"""The split of every utterance where no sub-folders are named as splits."""

_NOT_AUDIO = frozenset({"raw"})
"""Formats that soundfile knows but whose rate cannot be read from the file."""

_one_aligner = threading.Lock()


def load_folder(
    root: Path,
    *,
    splits: Sequence[str] | None = None,
    force_align: bool = False,
    cache: str | Path | None = None,
    limit: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Every audio file in `root` and below, with what stands beside it under the same name.

    ``.TextGrid`` gives words and phones; so do TIMIT's ``.wrd`` and ``.phn``; ``.lab`` and ``.txt`` give text (a line of
    TIMIT's ``.txt`` begins with two sample numbers, which are left out). Upper and lower case do not matter in
    extensions. The speaker is the name of the folder that the file lies in. All is one split, ``all``, unless `splits`
    names sub-folders of `root`: then these are the splits, and the rest is not read.

    Parameters
    ----------
    force_align
        Align text that has no times with PocketSphinx; results are kept in `cache`.

    Raises
    ------
    MultiresError
        Where a folder is missing, nothing can be used, or PocketSphinx is needed and missing.
    """
    folder_must_exist(root, "root")
    if force_align:
        require_pocketsphinx()
    places = {WHOLE: root}
    if splits and tuple(splits) != (WHOLE,):
        there = [WHOLE, *sorted(place.name for place in root.iterdir() if place.is_dir())]
        names = [choose(f"split in {root}", split, there) for split in dict.fromkeys(splits)]
        places = {name: root if name == WHOLE else root / name for name in names}
    store = cache_folder(cache) if force_align else None
    candidates, skipped = [], []
    for split, place in places.items():
        found, problems = _candidates(place, root, split, store)
        candidates += found
        skipped += problems
    if not candidates:
        raise MultiresError(f"no audio in {root}: expected files such as .wav or .flac, in it or in folders below it")
    return gather("folder", root, spread(candidates, limit), skipped, progress)


def _candidates(
    place: Path, root: Path, split: str, store: Path | None
) -> tuple[list[Candidate], list[tuple[str, str]]]:
    """Audio files in order, and texts that cannot be read."""
    formats = {f".{name.lower()}" for name in soundfile.available_formats()} - {f".{name}" for name in _NOT_AUDIO}
    formats |= {".aif", ".aifc", ".oga", ".opus", ".sph"}
    families: dict[tuple[Path, str], dict[str, Path]] = {}
    for path in sorted(path for path in place.rglob("*") if path.is_file() and not path.name.startswith(".")):
        families.setdefault((path.parent, path.stem), {}).setdefault(path.suffix.lower(), path)
    candidates, skipped = [], []
    for (parent, stem), files in families.items():
        sounds = [suffix for suffix in files if suffix in formats]
        for suffix in sounds:
            audio = files[suffix]
            transcript, problem = _transcript(files)
            if problem:
                skipped.append((relative(problem.path, root), problem.reason))
            name = relative(parent / (stem if len(sounds) == 1 else audio.name), root)
            candidates.append(
                Candidate(
                    id=name,
                    speaker=parent.name,
                    split=split,
                    audio=audio,
                    transcript=transcript,
                    align=_reader(files, audio, transcript, store),
                )
            )
    return candidates, skipped


def _transcript(files: Mapping[str, Path]) -> tuple[str | None, BadFile | None]:
    """The text beside an audio file, lower case on one line, or what is wrong with it."""
    path = files.get(".lab") or files.get(".txt")
    if path is None:
        return None, None
    try:
        words = read_text(path).lower().split()
    except BadFile as error:
        return None, error
    if len(words) > 2 and words[0].isdigit() and words[1].isdigit():  # TIMIT: first and last sample
        words = words[2:]
    return " ".join(words) or None, None


def _reader(
    files: Mapping[str, Path], audio: Path, transcript: str | None, store: Path | None
) -> Callable[[AudioFacts], Alignment]:
    """Gives the alignment beside an audio file, or makes one."""

    def read(facts: AudioFacts) -> Alignment:
        if ".textgrid" in files:
            return read_textgrid(files[".textgrid"], facts.duration)
        if ".phn" in files or ".wrd" in files:
            return read_timit(files.get(".phn"), files.get(".wrd"), facts.sample_rate, facts.duration)
        if store is not None and transcript is not None:
            return _aligned(audio, facts, transcript, store)
        return Alignment()

    return read


def _aligned(audio: Path, facts: AudioFacts, transcript: str, store: Path) -> Alignment:
    """A forced alignment, from the store where it has been made before."""
    key = hashlib.sha256(f"{facts.digest} {transcript}".encode()).hexdigest()[:32]
    kept = store / f"aligned-{key}.json"
    try:
        stored = json.loads(kept.read_text(encoding="utf-8"))
        words, phones = (tuple(Segment(*one) for one in stored[tier]) for tier in ("words", "phones"))
        return Alignment(words, phones)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not made yet, or not whole: made anew
    samples, _ = read_audio(audio)
    with _one_aligner:
        made = align(samples, transcript)
    tiers = {"words": made.words or (), "phones": made.phones or ()}
    text = json.dumps({name: [(one.label, one.start, one.end) for one in tier] for name, tier in tiers.items()})
    partial = kept.with_name(f".{kept.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, kept)
    return made
