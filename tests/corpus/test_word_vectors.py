import gzip

import numpy as np
import pytest

from multires.corpus.word_vectors import read_word_vectors
from multires.errors import MultiresError

TEXT = "the 0.1 -0.2 3e-1\nCat 1 2 3\n. . . 4 5 6\nthe 9 9 9\n"


def written(tmp_path, text, name="tiny.3d.txt"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["tiny.3d.txt", "tiny.3d.txt.gz"])
@pytest.mark.parametrize("header", ["", "4 3\n"])
def test_every_line_is_read(tmp_path, name, header):
    found = read_word_vectors(written(tmp_path, header + TEXT, name))
    assert (found.name, found.dim, found.lines, found.repeated) == ("tiny.3d", 3, 4, 1)
    np.testing.assert_allclose(found.vectors, [[0.1, -0.2, 0.3], [1, 2, 3], [4, 5, 6]], rtol=1e-6)
    assert set(found.words) == {"the", "cat", ". . ."}


def test_only_wanted_words_are_kept_and_rows_find_their_vectors(tmp_path):
    found = read_word_vectors(written(tmp_path, TEXT), ["cat", "dog"])
    vectors, known = found.of(np.array(["dog", "cat", "cat"]))
    assert known.tolist() == [False, True, True]
    assert vectors.tolist() == [[1, 2, 3], [1, 2, 3]]


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("", None, "no vectors"),
        ("the 1 2\n", ["cat"], "1 vectors, and none of a word"),
        ("the 1 2\ncat 1\n", None, "line 2"),
        ("the 1 2\ncat 1 x\n", None, "line 2"),
        ("the 1 2\ncat 1 nan\n", None, "line 2"),
        ("the\n", None, "line 1"),
    ],
)
def test_other_files_are_refused(tmp_path, text, words, message):
    with pytest.raises(MultiresError, match=message):
        read_word_vectors(written(tmp_path, text), words)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MultiresError, match="cannot read word vectors"):
        read_word_vectors(tmp_path / "missing.txt")
    (tmp_path / "latin.txt").write_bytes("caf\xe9 1 2\n".encode("latin-1"))
    with pytest.raises(MultiresError, match="UTF-8"):
        read_word_vectors(tmp_path / "latin.txt")
