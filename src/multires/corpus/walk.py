"""Files below a folder: links are followed, each folder is read once, and hidden names are skipped."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from multires.corpus.files import BadFile


@dataclass
class Listing:
    """Contents of a folder and of the folders below it.

    Attributes
    ----------
    files
        In order of their paths. Pipes, devices and links to nothing are among them: reading them says what they are.
    problems
        Folders that cannot be listed, and second names of files that are listed already.
    """

    files: list[Path] = field(default_factory=list)
    problems: list[BadFile] = field(default_factory=list)


def listed(root: Path) -> Listing:
    """The files in `root` and below.

    Names that begin with a dot are skipped: they are bins, caches, the stores of version control, and the side
    files that macOS writes. A folder that can be reached by several ways, as links allow, is read once; so is a file.
    """
    listing = Listing()
    seen: set[tuple[int, int]] = set()
    links: list[Path] = [root]
    while links:  # folders that are not linked come first, and keep their own names
        links = sorted(link for place in sorted(links) for link in _walk(place, seen, listing))
    listing.files.sort()
    _drop_second_names(listing)
    return listing


def holds(root: Path, suffixes: Collection[str]) -> bool:
    """Return True if a file in `root` or below has one of these suffixes (in lower case); stop at the first."""
    for _, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(os.path.splitext(name)[1].lower() in suffixes for name in names if not name.startswith(".")):
            return True
    return any(path.suffix.lower() in suffixes for path in listed(root).files)  # behind links


def _walk(place: Path, seen: set[tuple[int, int]], listing: Listing) -> list[Path]:
    """Add the files below a folder; returns the links to folders in it, which come later."""
    links: list[Path] = []
    waiting = [place]
    while waiting:
        folder = waiting.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for name, is_link, is_folder in sorted(_entries(entries)):
                    path = folder / name
                    if not is_folder:
                        listing.files.append(path)
                    elif is_link:
                        links.append(path)
                    else:
                        waiting.append(path)
        except OSError as error:
            listing.problems.append(BadFile(folder, f"cannot be listed: {error.strerror}"))
    return links


def _entries(entries: Iterator[os.DirEntry[str]]) -> Iterator[tuple[str, bool, bool]]:
    for entry in entries:
        if not entry.name.startswith("."):
            try:
                yield entry.name, entry.is_symlink(), entry.is_dir()
            except OSError:  # a link that leads in a circle
                yield entry.name, True, False


def _drop_second_names(listing: Listing) -> None:
    """Keep one name of each file, the first that is no link, and record the others as problems."""
    by_file: dict[tuple[int, int], list[Path]] = {}
    for path in listing.files:
        try:
            status = path.stat()
        except OSError:
            continue  # reading it says why
        by_file.setdefault((status.st_dev, status.st_ino), []).append(path)
    for paths in by_file.values():
        kept, *others = sorted(paths, key=lambda path: (path.is_symlink(), path))
        for path in others:
            if path.is_symlink():  # hard links are how some file systems save space: these may be copies on purpose
                listing.problems.append(BadFile(path, f"is a link to {kept.name}, which is read under its own name"))
    second = {problem.path for problem in listing.problems}
    listing.files[:] = [path for path in listing.files if path not in second]
