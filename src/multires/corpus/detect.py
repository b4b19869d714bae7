"""Detection of the kind of corpus in a folder, and of its splits for training and for evaluation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from multires.corpus.files import readable
from multires.corpus.folder import AUDIO, has_audio, sub_folders
from multires.corpus.librispeech import librispeech_splits
from multires.errors import MultiresError

logger = logging.getLogger(__name__)

FileKind = Literal["librispeech", "folder"]

_TRAIN = ("train",)
_DEVELOPMENT = ("dev", "val")
_TEST = ("test", "eval")


@dataclass(frozen=True, slots=True)
class Found:
    """Kind of corpus that a folder holds.

    Attributes
    ----------
    kind
        As `multires.corpus.load_corpus` takes it.
    splits
        Names of the parts that can be told from the layout; empty for a folder without such parts.
    """

    kind: FileKind
    splits: tuple[str, ...]


def detect(root: Path) -> Found:
    """The kind of corpus in a folder, by its layout and file names.

    Raises
    ------
    MultiresError
        If the folder holds no audio.
    """
    _, splits = librispeech_splits(root)
    if splits:
        return Found("librispeech", tuple(splits))
    if not has_audio(root):
        raise MultiresError(
            f"data: {readable(root)} holds no speech that can be read: expected LibriSpeech's layout, or audio files "
            f"({', '.join(AUDIO[:4])}, ...) in it or in folders below it"
        )
    with_audio = [name for name in sub_folders(root) if has_audio(root / name)]
    return Found("folder", tuple(with_audio) if default_roles(with_audio) is not None else ())


def default_roles(splits: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The splits to train on and to evaluate on by their names, such as ``train-clean-100`` and ``dev``; None if unclear.

    Examples
    --------
    >>> default_roles(["TRAIN", "TEST"])
    (('TRAIN',), ('TEST',))
    >>> default_roles(["dev-clean", "test-clean"])
    (('dev-clean',), ('test-clean',))
    >>> default_roles(["ann", "bob"]) is None
    True
    """
    train, development, test = (
        tuple(name for name in splits if name.lower().startswith(prefixes))
        for prefixes in (_TRAIN, _DEVELOPMENT, _TEST)
    )
    if train and (test or development):
        return train, test or development
    return (development, test) if development and test else None


def training_corpus(corpus: str, data: str | Path | Sequence[str | Path] | None) -> str:
    """The corpus to train on: the one in the folder that is given, if any.

    Raises
    ------
    MultiresError
        If the folder does not hold LibriSpeech, which is the only corpus of files that training reads.
    """
    if not data or corpus != "synthetic":
        return corpus
    for folder in (data,) if isinstance(data, str | Path) else data:
        place = Path(folder).expanduser()
        if not place.is_dir():
            raise MultiresError(f"data: there is no folder {readable(place)}")
        if detect(place).kind != "librispeech":
            raise MultiresError(
                f"data: {readable(place)} is not in LibriSpeech's layout, which training needs: leave data out to train on "
                "synthetic speech, or arrange the files as LibriSpeech/<split>/<speaker>/<chapter>/"
            )
    logger.info("data: LibriSpeech's layout: the corpus is librispeech")
    return "librispeech"
