from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multires.corpus import load_corpus
from multires.corpus.spread import spread
from multires.errors import MultiresError


def test_an_unknown_kind_lists_the_known_ones():
    with pytest.raises(MultiresError, match="librispeech-sample, synthetic, librispeech, folder"):
        load_corpus("timit")


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3"])
def test_a_limit_that_is_no_number_is_named(limit, tmp_path):
    with pytest.raises(MultiresError, match="limit"):
        load_corpus(limit=limit, cache=tmp_path)


def test_a_limit_takes_from_many_speakers_and_changes_the_fingerprint(tmp_path):
    corpus = load_corpus("synthetic", hours=0.01, limit=5, cache=tmp_path, progress=False)
    assert Counter(u.split for u in corpus) == {"train": 5, "evaluation": 5}
    assert len({u.speaker for u in corpus}) == 10
    assert corpus.fingerprint != load_corpus("synthetic", hours=0.01, cache=tmp_path, progress=False).fingerprint


@dataclass(frozen=True)
class Item:
    split: str
    speaker: str
    number: int


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"))), st.integers(1, 10))
def test_spread_is_even_over_speakers_and_keeps_the_order(pairs, limit):
    items = [Item(split, speaker, number) for number, (split, speaker) in enumerate(pairs)]
    kept = spread(items, limit)
    assert kept == sorted(kept, key=lambda item: item.number)
    for split in "ab":
        there = Counter(item.speaker for item in items if item.split == split)
        taken = Counter(item.speaker for item in kept if item.split == split)
        assert sum(taken.values()) == min(limit, sum(there.values()))
        for speaker in there:  # one who gave fewer than another had no more to give
            assert taken[speaker] == there[speaker] or taken[speaker] >= max(taken.values()) - 1
    assert spread(items, None) == items
