"""Word vectors from a text file in the format of GloVe, word2vec and fastText."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

from multires.corpus.files import BadFile, opened
from multires.errors import MultiresError

_LONGEST_LINE = 1 << 20
"""Characters; no published vector takes more."""


@dataclass(frozen=True)
class WordVectors:
    """Vectors by word.

    Attributes
    ----------
    name
        The file's name without suffixes; it names the view.
    words
        Index of each word's row in `vectors`.
    vectors
        Shape (words, dim), float32.
    lines
        Number of lines that hold a vector, wanted or not.
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
        """Dimension of the vectors."""
        return self.vectors.shape[1]

    def of(self, words: npt.ArrayLike) -> tuple[Float[np.ndarray, "known dim"], Bool[np.ndarray, " words"]]:
        """The vectors of those words that have one, in order, and a mask of these words."""
        index = np.array([self.words.get(str(word), -1) for word in np.asarray(words)], dtype=np.int64)
        return self.vectors[index[index >= 0]], index >= 0


def read_word_vectors(path: str | Path, words: Iterable[str] | None = None) -> WordVectors:
    """Read vectors in GloVe's text format: a word and its numbers on each line, with spaces between.

    A first line of two whole numbers (rows and dimensions, as word2vec and fastText write) is skipped. Words may
    contain spaces, or be a character that counts as one, as in the published files; they are compared in lower case, as
    corpora have them. Of several lines of a word, the first one counts that is written in lower case, else the first.

    Parameters
    ----------
    path
        A text file in UTF-8, or one packed with gzip (``.gz``).
    words
        The words whose vectors are kept; all if None.

    Raises
    ------
    MultiresError
        If the file cannot be read, a line is not a word and the number of finite numbers that the first line has, or no
        wanted word has a vector.
    """
    path = Path(path).expanduser()
    wanted = None if words is None else {word.lower() for word in words}
    found: dict[str, int] = {}
    other_case: set[str] = set()
    rows: list[np.ndarray] = []
    dim, lines, repeated = 0, 0, 0
    try:
        with _opened(path) as file:
            for number, line in _lines(file):
                dim = dim or _dimensions(line)
                parts = line.rsplit(" ", dim)
                lines += 1
                word = parts[0].lower()
                if wanted is not None and word not in wanted and len(parts) == dim + 1:
                    continue
                vector = _numbers(parts[1:], dim, path, number)
                if word in found:
                    repeated += 1
                    if parts[0] == word and word in other_case:  # "us" is not "US", which may come first
                        rows[found[word]] = vector
                        other_case.remove(word)
                    continue
                if parts[0] != word:
                    other_case.add(word)
                found[word] = len(rows)
                rows.append(vector)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, BadFile) as error:
        reason = getattr(error, "reason" if isinstance(error, BadFile) else "strerror", None) or error
        raise MultiresError(f"cannot read word vectors from {path}: {reason}; give a text file in UTF-8") from error
    if not rows:
        found_only = "no vectors" if not lines else f"{lines} vectors, and none of a word of this corpus"
        raise MultiresError(f"{path} has {found_only}: give a file in GloVe's text format, in the corpus's language")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return WordVectors(path.name.partition(".txt")[0], found, np.stack(rows), lines, repeated, digest)


def _opened(path: Path) -> TextIO:
    """The file as text, without a byte-order mark; only line ends that every format has end a line."""
    raw: BinaryIO = opened(path)
    if path.suffix == ".gz":
        raw = cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="\n")


def _lines(file: TextIO) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers, without the header of word2vec and fastText.

    Only line ends and trailing spaces are removed: a word may be a character that Python takes for white space, such as
    U+0085 in GloVe's vectors of tweets.
    """
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise OSError(f"line {number} has more than {_LONGEST_LINE} characters")
        line = line.rstrip("\r\n").rstrip(" ")
        if number == 1 and len(line.split()) == 2 and all(part.isdecimal() for part in line.split()):
            continue
        if line:
            yield number, line


def _dimensions(line: str) -> int:
    """The number of numbers at the end of a line, after at least one word."""
    parts = line.split(" ")
    for place, part in enumerate(reversed(parts)):
        try:
            float(part)
        except ValueError:
            return place
    return len(parts) - 1


def _numbers(parts: list[str], dim: int, path: Path, number: int) -> np.ndarray:
    try:
        vector = np.array(parts, dtype=np.float32)
    except ValueError:
        vector = np.empty(0, dtype=np.float32)
    if dim < 1 or len(vector) != dim or not np.isfinite(vector).all():
        raise MultiresError(f"{path}, line {number}: it is not a word and {dim or 'some'} finite numbers, as in GloVe")
    return vector
