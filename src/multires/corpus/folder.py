"""A folder of audio, with TextGrid, TIMIT or text files beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from multires.corpus.alignment import Alignment, read_textgrid, read_timit
from multires.corpus.cache import cache_folder
from multires.corpus.files import AudioFacts, BadFile, read_audio, read_text, readable
from multires.corpus.forced import align, kept_alignment, require_pocketsphinx
from multires.corpus.gather import Candidate, Skipped, folder_must_exist, gather, relative, summarized, unique
from multires.corpus.spread import spread
from multires.corpus.utterance import Corpus
from multires.corpus.walk import holds, listed
from multires.errors import MultiresError, choose

WHOLE = "all"
"""The split of every utterance where no sub-folders are named as splits."""

AUDIO = (
    ".flac", ".wav", ".wave", ".sph", ".nist", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".rf64", ".w64", ".bw64",
    ".htk", ".ogg", ".oga", ".opus", ".mp3",
)  # fmt: skip
"""Suffixes of audio that is read, in lower case; of several recordings of one name the earliest here is preferred."""

OTHER_AUDIO = frozenset({
    ".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka", ".mkv", ".mov", ".avi", ".amr", ".3gp", ".ape", ".wv", ".tta", ".ac3",
    ".mp2", ".shn", ".ra", ".dsf", ".spx", ".raw", ".pcm", ".voc", ".mpc",
})  # fmt: skip
"""Suffixes of audio and video that is not read; such a file is named among what is left out."""

_BESIDE = frozenset({".textgrid", ".phn", ".wrd", ".lab", ".txt"})

_Family = dict[str, list[Path]]
"""The files of one name in one folder, by suffix in lower case."""

_one_aligner = threading.Lock()


def load_folder(
    root: Path,
    *,
    splits: Sequence[str] | None = None,
    alignments: str | Path | None = None,
    force_align: bool = False,
    cache: str | Path | None = None,
    limit: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Every audio file in `root` and below, with the files of the same name beside it.

    ``.TextGrid`` gives words and phones; so do TIMIT's ``.wrd`` and ``.phn``; ``.lab`` and ``.txt`` give text (a line of
    TIMIT's ``.txt`` begins with two sample numbers, which are left out). Upper and lower case do not matter in
    extensions. A TextGrid without audio beside it belongs to the one recording of its name in a folder of the same name
    elsewhere, as in the output of the Montreal Forced Aligner. The speaker is the name of the folder that the file is
    in. All is one split, ``all``, unless `splits` names sub-folders of `root`: then these are the splits, and the rest
    is not read. Names that begin with a dot are skipped; links are followed.

    Parameters
    ----------
    alignments
        A folder of TextGrids, for recordings that have none beside them.
    force_align
        Align text that has no times with PocketSphinx; results are kept in `cache`.

    Raises
    ------
    MultiresError
        If a folder is missing, nothing can be used, or PocketSphinx is needed and missing.
    """
    folder_must_exist(root, "root")
    if force_align:
        require_pocketsphinx()
    places = {WHOLE: root}
    if splits and tuple(splits) != (WHOLE,):
        there = [WHOLE, *sub_folders(root)]
        names = [choose(f"split in {readable(root)}", split, there) for split in dict.fromkeys(splits)]
        places = {name: root if name == WHOLE else root / name for name in names}
    store = cache_folder(cache) if force_align else None
    grids: list[Path] = []
    if alignments is not None:
        elsewhere = Path(alignments).expanduser()
        folder_must_exist(elsewhere, "alignments")
        grids = [path for path in listed(elsewhere).files if path.suffix.lower() == ".textgrid"]
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []
    for split, place in places.items():
        found, problems = _candidates(place, root, split, store, grids)
        candidates += found
        skipped += problems
    if not candidates:
        first = f" ({skipped[0][0]} {skipped[0][1]})" if skipped else ""
        raise MultiresError(
            f"no audio in {readable(root)}: expected files such as .wav or .flac, in it or in folders below it{first}"
        )
    candidates, doubled, repeated = unique(candidates, root)
    return gather("folder", root, spread(candidates, limit), [*skipped, *doubled], progress, repeated)


def sub_folders(root: Path) -> list[str]:
    """The names of the folders in `root` that are not hidden, in order."""
    return sorted(place.name for place in root.iterdir() if not place.name.startswith(".") and place.is_dir())


def has_audio(root: Path) -> bool:
    """Return True if a folder or one below it holds audio files, by their names."""
    return holds(root, AUDIO)


def _candidates(
    place: Path, root: Path, split: str, store: Path | None, elsewhere: Sequence[Path]
) -> tuple[list[Candidate], list[Skipped]]:
    """Recordings in order, and files that meet none or cannot be read."""
    listing = listed(place)
    skipped = [(relative(problem.path, root), problem.reason) for problem in listing.problems]
    families: dict[tuple[Path, str], _Family] = {}
    for path in listing.files:
        name, suffix = _name_and_suffix(path)
        families.setdefault((path.parent, name), {}).setdefault(suffix, []).append(path)
    spoken = {key: files for key, files in families.items() if any(suffix in files for suffix in AUDIO)}
    lonely = [path for key, files in families.items() if key not in spoken for path in files.get(".textgrid", ())]
    partners = _partners(spoken, [*lonely, *elsewhere])
    lost = [path for path in lonely if path not in set(partners.values())]
    skipped += summarized(lost, root, "is a TextGrid of no recording here")
    for files in families.values():
        others = [path for suffix in OTHER_AUDIO for path in files.get(suffix, ())]
        skipped += [
            (relative(path, root), f"is of a format that is not read ({path.suffix}): convert it to FLAC or WAV")
            for path in others
        ]
    candidates = []
    for (parent, name), files in spoken.items():
        if (parent, name) in partners:
            files[".textgrid"] = [partners[parent, name]]
        sounds = [path for suffix in AUDIO for path in files.get(suffix, ())]
        transcript, problem = _transcript({suffix: paths[0] for suffix, paths in files.items()})
        if problem:
            skipped.append((relative(problem.path, root), problem.reason))
        candidates.append(
            Candidate(
                id=relative(parent / name, root),
                speaker=readable(parent.name),
                split=split,
                audio=sounds[0],
                transcript=transcript,
                align=_reader({suffix: paths[0] for suffix, paths in files.items()}, sounds, transcript, store),
                others=tuple(sounds[1:]),
            )
        )
    return candidates, skipped


def _name_and_suffix(path: Path) -> tuple[str, str]:
    """A file's name without suffix, and the suffix; a converted ``SA1.WAV.wav`` belongs to ``SA1``."""
    name, suffix = path.stem, path.suffix.lower()
    while suffix in AUDIO and Path(name).suffix.lower() in AUDIO and Path(name).stem:
        name = Path(name).stem
    return name, suffix


def _partners(spoken: Mapping[tuple[Path, str], _Family], grids: Sequence[Path]) -> dict[tuple[Path, str], Path]:
    """The TextGrid elsewhere of each recording that has none beside it, where only one can be meant."""
    without = [key for key, files in spoken.items() if not files.keys() & {".textgrid", ".phn", ".wrd"}]
    partners: dict[tuple[Path, str], Path] = {}
    for same_folder in (True, False):

        def named(parent: Path, name: str, exact: bool = same_folder) -> tuple[str, str]:
            return (parent.name if exact else "", name)

        by_name: dict[tuple[str, str], list[Path]] = {}
        for grid in grids:
            by_name.setdefault(named(grid.parent, grid.stem), []).append(grid)
        asking: dict[tuple[str, str], list[tuple[Path, str]]] = {}
        for parent, name in without:
            if (parent, name) not in partners:
                asking.setdefault(named(parent, name), []).append((parent, name))
        taken = set(partners.values())
        for key, askers in asking.items():
            free = [grid for grid in by_name.get(key, ()) if grid not in taken]
            if len(askers) == len(free) == 1:
                partners[askers[0]] = free[0]
    return partners


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
    files: Mapping[str, Path], sounds: Sequence[Path], transcript: str | None, store: Path | None
) -> Callable[[AudioFacts], Alignment]:
    """Reads the alignment of a recording, or makes one."""

    def read(facts: AudioFacts) -> Alignment:
        if ".textgrid" in files:
            return read_textgrid(files[".textgrid"], facts.duration)
        if ".phn" in files or ".wrd" in files:
            return read_timit(files.get(".phn"), files.get(".wrd"), facts.sample_rate, facts.duration)
        if store is not None and transcript is not None:
            return _aligned(sounds, facts, transcript, store)
        return Alignment()

    return read


def _aligned(sounds: Sequence[Path], facts: AudioFacts, transcript: str, store: Path) -> Alignment:
    """A forced alignment, from the store where it has been made before."""

    def made() -> Alignment:
        for path in sounds:
            samples, read = read_audio(path)
            if read.digest == facts.digest:
                break
        with _one_aligner:
            return align(samples, transcript)

    return kept_alignment(store, f"{facts.digest} {transcript}", made)
