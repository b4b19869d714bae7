"""Word vectors from a text file, as GloVe and acoustically grounded ones are published."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

from multires.errors import MultiresError


@dataclass(frozen=True)
class WordVectors:
    """Vectors by word.

    Attributes
    ----------
    name
        The file's, without its endings; names the view.
    words
        Index of each word's row in `vectors`.
    vectors
        Shape (words, dim), float32.
    lines
        Lines of the file that hold a vector, whether or not their word was wanted.
    repeated
        Wanted words that occur again; the first vector of each counts.
    digest
        Of the file.
    """

    name: str
    words: Mapping[str, int]
    vectors: Float[np.ndarray, "words dim"]
    lines: int
    repeated: int
    digest: str

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self.vectors.shape[1]

    def of(self, words: npt.ArrayLike) -> tuple[Float[np.ndarray, "known dim"], Bool[np.ndarray, " words"]]:
        """The vectors of those words that have one, in order, and which these are."""
        index = np.array([self.words.get(str(word), -1) for word in np.asarray(words)], dtype=np.int64)
        return self.vectors[index[index >= 0]], index >= 0


def read_word_vectors(path: str | Path, words: Iterable[str] | None = None) -> WordVectors:
    """Read vectors in GloVe's text format: a word and its numbers on each line, with spaces between.

    A first line of two whole numbers (rows and dimensions, as word2vec writes) is passed over. Words may contain
    spaces; they are compared in lower case, as corpora have them.

    Parameters
    ----------
    path
        A text file in UTF-8, or one packed with gzip (``.gz``).
    words
        The words whose vectors are kept; all where None.

    Raises
    ------
    MultiresError
        Where the file cannot be read, a line is not a word and as many finite numbers as the first has, or no wanted
        word has a vector.
    """
    path = Path(path).expanduser()
    wanted = None if words is None else {word.lower() for word in words}
    found: dict[str, int] = {}
    rows: list[np.ndarray] = []
    dim, lines, repeated = 0, 0, 0
    try:
        with _opened(path) as file:
            for number, line in _lines(file):
                dim = dim or line.count(" ")
                parts = line.rsplit(" ", dim)
                lines += 1
                word = parts[0].lower()
                if wanted is not None and word not in wanted and len(parts) == dim + 1:
                    continue
                vector = _numbers(parts[1:], dim, path, number)
                if word in found:
                    repeated += 1
                    continue
                found[word] = len(rows)
                rows.append(vector)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MultiresError(f"cannot read word vectors from {path}: {reason}; give a text file in UTF-8") from error
    if not rows:
        told = "no vectors" if not lines else f"{lines} vectors, and none of a word of this corpus"
        raise MultiresError(f"{path} has {told}: give a file in GloVe's text format, in the corpus's language")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return WordVectors(path.name.partition(".txt")[0], found, np.stack(rows), lines, repeated, digest)


def _opened(path: Path) -> TextIO:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _lines(file: TextIO) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers, without word2vec's header."""
    for number, line in enumerate(file, 1):
        line = line.strip()
        if number == 1 and len(line.split()) == 2 and all(part.isdigit() for part in line.split()):
            continue
        if line:
            yield number, line


def _numbers(parts: list[str], dim: int, path: Path, number: int) -> np.ndarray:
    try:
        vector = np.array(parts, dtype=np.float32)
    except ValueError:
        vector = np.empty(0, dtype=np.float32)
    if dim < 1 or len(vector) != dim or not np.isfinite(vector).all():
        raise MultiresError(f"{path}, line {number}: it is not a word and {dim or 'some'} finite numbers, as in GloVe")
    return vector
