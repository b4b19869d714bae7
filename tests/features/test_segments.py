"""The segment table against its corpus."""

import pandas as pd
import pytest

from multires.corpus.utterance import Corpus
from multires.errors import MultiresError
from multires.features.segments import segment_table


def test_segment_table_holds_every_phone_and_word_once(corpus):
    table = segment_table(corpus, frames=12, seed=0)
    counts = table["unit"].value_counts()
    assert counts["phone"] == 6  # silence is no phone
    assert counts["word"] == 4
    assert counts["utterance"] == 4
    assert set(table[table["unit"] == "phone"]["word"]) == {"cat", "sat"}
    assert table[(table["unit"] == "word") & (table["label"] == "cat")]["part_of_speech"].eq("noun").all()
    assert list(dict.fromkeys(table["utterance"])) == [u.id for u in corpus]


def test_frames_are_nested_windows_of_their_utterance(corpus):
    table = segment_table(corpus, frames=12, seed=0)
    fine, middle, coarse = (table[table["unit"] == unit].reset_index() for unit in ("frame20", "frame40", "frame80"))
    assert len(fine) == len(middle) == len(coarse) > 0
    assert (fine["start"] >= middle["start"] - 1e-9).all()
    assert (fine["end"] <= middle["end"] + 1e-9).all()
    assert (middle["start"] >= coarse["start"] - 1e-9).all()
    assert (middle["end"] <= coarse["end"] + 1e-9).all()
    durations = {u.id: u.duration for u in corpus}
    assert (coarse["end"] <= coarse["utterance"].map(durations)).all()
    assert not coarse.duplicated(["utterance", "start"]).any()
    assert "d1" not in set(coarse["utterance"])  # too short for a window


def test_segment_table_is_the_same_for_the_same_seed_only(corpus):
    first = segment_table(corpus, frames=9, seed=1)
    pd.testing.assert_frame_equal(first, segment_table(corpus, frames=9, seed=1))
    assert not first.equals(segment_table(corpus, frames=9, seed=2))


def test_a_corpus_too_short_for_anything_is_refused():
    with pytest.raises(MultiresError, match="no utterance"):
        segment_table(Corpus("empty", []), frames=4, seed=0)
