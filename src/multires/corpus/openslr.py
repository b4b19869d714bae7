"""Downloads of LibriSpeech and its alignments into the layout that `librispeech.py` reads."""

from __future__ import annotations

import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

import pooch
from tqdm.auto import tqdm

from multires.errors import MultiresError, choose
from multires.runtime.download import retrieve


@dataclass(frozen=True)
class Archive:
    """A file as it is published.

    Attributes
    ----------
    name, url
        The file's name, and where it is.
    digest
        ``sha256:...`` or ``md5:...``.
    megabytes, unpacked
        Its size, and that of what is kept of it; in MB (10**6 bytes), rounded.
    """

    name: str
    url: str
    digest: str
    megabytes: int
    unpacked: int


@dataclass(frozen=True)
class Split:
    """A part of LibriSpeech: its archive, its hours of speech, and the size of its alignments in MB."""

    archive: Archive
    hours: float
    alignments: int


def _split(name: str, hours: float, megabytes: int, sha256: str) -> Split:
    url = f"https://www.openslr.org/resources/12/{name}.tar.gz"
    # FLAC does not get smaller in an archive. A TextGrid takes about 4.4 MB an hour, and blocks of 4 KiB on the disk.
    archive = Archive(f"{name}.tar.gz", url, f"sha256:{sha256}", megabytes, unpacked=round(megabytes * 1.03))
    return Split(archive, hours, round(5 * hours))


SPLITS = {
    "dev-clean": _split("dev-clean", 5.4, 338, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
    "dev-other": _split("dev-other", 5.3, 314, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
    "test-clean": _split("test-clean", 5.4, 347, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
    "test-other": _split("test-other", 5.1, 329, "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"),
    "train-clean-100": _split(
        "train-clean-100", 100.6, 6_387, "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"
    ),
    "train-clean-360": _split(
        "train-clean-360", 363.6, 23_049, "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"
    ),
    "train-other-500": _split(
        "train-other-500", 496.7, 30_594, "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"
    ),
}
"""LibriSpeech's splits (Panayotov et al., 2015; openslr.org/12), with the hours that the paper gives."""

ALIGNMENTS = Archive(
    "librispeech_alignments.zip",
    "https://zenodo.org/record/2619474/files/librispeech_alignments.zip",
    "md5:2bab567d0ace651a4ba254e813629f46",
    megabytes=623,
    unpacked=0,
)
"""TextGrids of all splits (Lugosch et al., 2019; doi 10.5281/zenodo.2619474)."""

_GRID = re.compile(
    r"(?:^|/)(?P<split>[a-z]+-[a-z]+(?:-\d+)?)/(?P<speaker>\d+)/(?P<chapter>\d+)/(?P<name>[\d-]+\.TextGrid)$"
)


def absent(root: Path, splits: Sequence[str]) -> list[Archive]:
    """The archives that `provide` would still have to fetch or unpack.

    Raises
    ------
    MultiresError
        For a split that LibriSpeech does not have.
    """
    wanted = [choose("split of LibriSpeech", split, tuple(SPLITS)) for split in dict.fromkeys(splits)]
    found = [SPLITS[split].archive for split in wanted if not _speech(root, split).is_dir()]
    if not all(_grids(root, split).is_dir() for split in wanted):
        found.append(ALIGNMENTS)
    return found


def provide(root: Path, splits: Sequence[str], *, progress: bool = True) -> Path:
    """Download and unpack those parts of some splits and their alignments that are not below `root` yet.

    A download that breaks off is resumed by the next call; a split appears when it is whole; its archive is deleted
    then. Of archives only regular files are taken that have the layout's names, so that none ends up elsewhere.

    Parameters
    ----------
    root
        Gets ``LibriSpeech/<split>`` and ``alignments/<split>``.
    splits
        Names such as ``dev-clean``.

    Returns
    -------
    pathlib.Path
        `root`.

    Raises
    ------
    MultiresError
        For an unknown split, a download that fails (with the place to put the file by other means), an archive that
        is damaged, holds nothing of the split, or has a member that would leave the folder.
    """
    for archive in absent(root, splits):
        target = root / archive.name
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MultiresError(
                f"cannot make {root} for LibriSpeech ({error.strerror}): set MULTIRES_CACHE to another folder"
            ) from error
        _fetch(archive, target, progress)
        if archive is ALIGNMENTS:
            _unpack_grids(target, root, [split for split in splits if not _grids(root, split).is_dir()], progress)
        else:
            _unpack_speech(target, root, archive.name.removesuffix(".tar.gz"), progress)
        target.unlink()
    return root


def _speech(root: Path, split: str) -> Path:
    return root / "LibriSpeech" / split


def _grids(root: Path, split: str) -> Path:
    return root / "alignments" / split


def _fetch(archive: Archive, target: Path, progress: bool) -> None:
    """Download where it is not there; a file put there by hand is checked."""
    if not target.exists():
        retrieve(archive.name, archive.url, target, archive.digest, progress)
        return
    kind, _, expected = archive.digest.partition(":")
    if pooch.file_hash(str(target), alg=kind) != expected:
        raise MultiresError(f"{target} is not the published {archive.name} ({archive.digest[:19]}...): delete it")


def _unpack_speech(source: Path, root: Path, split: str, progress: bool) -> None:
    """``LibriSpeech/<split>`` of one of LibriSpeech's archives; the notes beside it are kept too."""
    partial = root / f".{split}.partial"

    def unpack(raw: BinaryIO) -> int:
        files = 0
        with tarfile.open(fileobj=raw, mode="r|gz") as archive:
            for member in archive:
                _refuse_escape(member.name, source)
                if member.isfile() and (content := archive.extractfile(member)) is not None:
                    _write(content, partial / member.name)
                    files += 1
        return files

    _unpacked(source, partial, unpack, f"unpack {source.name}", progress)
    found = partial / "LibriSpeech" / split
    if not found.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
        raise MultiresError(f"{source} holds no LibriSpeech/{split}: delete it, and it is fetched again")
    _speech(root, split).parent.mkdir(exist_ok=True)
    for note in (partial / "LibriSpeech").glob("*.TXT"):
        note.replace(root / "LibriSpeech" / note.name)
    found.rename(_speech(root, split))
    shutil.rmtree(partial, ignore_errors=True)


def _unpack_grids(source: Path, root: Path, splits: Sequence[str], progress: bool) -> None:
    """The TextGrids of some splits, wherever in the archive their folders are."""
    partial = root / ".alignments.partial"

    def unpack(raw: BinaryIO) -> int:
        with zipfile.ZipFile(raw) as archive:
            chosen = []
            for name in archive.namelist():
                _refuse_escape(name, source)
                if (found := _GRID.search(name)) and found["split"] in splits:
                    chosen.append((name, found))
            for name, found in tqdm(chosen, desc="unpack alignments", unit="file", disable=not progress):
                with archive.open(name) as member:
                    _write(member, partial / found["split"] / found["speaker"] / found["chapter"] / found["name"])
        return len(chosen)

    _unpacked(source, partial, unpack, None, progress)
    for split in splits:
        if not (partial / split).is_dir():
            shutil.rmtree(partial, ignore_errors=True)
            raise MultiresError(f"{source} holds no TextGrids of {split}: delete it, and it is fetched again")
    for split in splits:
        _grids(root, split).parent.mkdir(exist_ok=True)
        (partial / split).rename(_grids(root, split))
    shutil.rmtree(partial, ignore_errors=True)


def _unpacked(
    source: Path, partial: Path, unpack: Callable[[BinaryIO], int], label: str | None, progress: bool
) -> None:
    """Run `unpack` into a fresh folder, with a bar over the bytes read where it has a name; explain what goes wrong."""
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with (
            source.open("rb") as raw,
            tqdm.wrapattr(
                raw, "read", total=source.stat().st_size, desc=label or "", unit="B", disable=not (progress and label)
            ) as counted,
        ):
            files = unpack(counted if label else raw)
        if not files:
            raise MultiresError(f"{source} holds nothing in the layout that is expected: delete it")
    except MultiresError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise MultiresError(f"{source} is damaged ({error}): delete it, and it is fetched again") from error
    except OSError as error:
        raise MultiresError(
            f"cannot unpack {source} ({error.strerror or error}): make room, or set MULTIRES_CACHE to another folder"
        ) from error


def _refuse_escape(name: str, source: Path) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise MultiresError(f"{source} has a member that would leave its folder ({name}): delete it")


def _write(content: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)
