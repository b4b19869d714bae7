import gzip
import os

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


@pytest.mark.parametrize("word", ["\x85", "\xa0", "\u2028", "\u3000", "\x1c", ". . .", "at name@domain.com", "7"])
def test_words_of_published_files_that_look_like_no_words(tmp_path, word):
    text = f"the 0.1 0.2 0.3\ncat 1 2 3\n{word} 0.7 0.8 0.9\nsat 4 5 6\n"
    found = read_word_vectors(written(tmp_path, text), ["cat", "sat"])
    assert (dict(found.words), found.lines, found.dim) == ({"cat": 0, "sat": 1}, 4, 3)
    first = read_word_vectors(written(tmp_path, f"{word} 0.7 0.8 0.9\ncat 1 2 3\n"), ["cat"])
    assert first.vectors.tolist() == [[1, 2, 3]]


def test_trailing_spaces_other_line_ends_and_a_byte_order_mark(tmp_path):
    for text in ("3 3\nthe 1 1 1 \ncat 1 2 3 \n", "\ufeffcat 1 2 3\nthe 1 1 1\n", "cat 1 2 3\r\nthe 1 1 1\r\n"):
        assert read_word_vectors(written(tmp_path, text), ["cat"]).vectors.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_line_without_end_is_refused(tmp_path, name):
    with pytest.raises(MultiresError, match="line 2 has more than"):
        read_word_vectors(written(tmp_path, "cat 1 2 3\n" + "x" * (1 << 21), name))


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(MultiresError, match="not a regular file"):
        read_word_vectors(tmp_path / "pipe.txt")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MultiresError, match="cannot read word vectors"):
        read_word_vectors(tmp_path / "missing.txt")
    (tmp_path / "latin.txt").write_bytes("caf\xe9 1 2\n".encode("latin-1"))
    with pytest.raises(MultiresError, match="UTF-8"):
        read_word_vectors(tmp_path / "latin.txt")


def test_a_word_in_lower_case_counts_before_another_case_and_the_first_of_two_lines(tmp_path):
    (tmp_path / "v.txt").write_text("US 1 1\nus 2 2\nus 3 3\nCat 4 4\nCAT 5 5\nsat 6 6\nSat 7 7\n")
    found = read_word_vectors(tmp_path / "v.txt")
    vectors, known = found.of(["us", "cat", "sat"])
    assert known.all()
    assert vectors.tolist() == [[2, 2], [4, 4], [6, 6]]
    assert found.repeated == 4
