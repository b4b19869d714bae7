from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multires.corpus.roles import check_roles, divide_by_speaker
from multires.corpus.utterance import Corpus, Utterance
from multires.errors import MultiresError


def corpus_of(seconds, split="all"):
    """One utterance for each (speaker, seconds)."""
    return Corpus(
        "toy",
        [
            Utterance(f"{place}", speaker, split, duration, read=None, digest=f"d{place}")
            for place, (speaker, duration) in enumerate(seconds)
        ],
        fingerprint="toy",
    )


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0.1, 100)), min_size=1, max_size=40),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
)
def test_a_division_shares_no_speaker_and_keeps_every_utterance(seconds, share, seed):
    corpus = corpus_of(seconds)
    divided = divide_by_speaker(corpus, share, seed=seed)
    assert [u.id for u in divided] == [u.id for u in corpus]
    speakers = defaultdict(set)
    for utterance in divided:
        speakers[utterance.split].add(utterance.speaker)
    assert not speakers["train"] & speakers["evaluation"]
    assert speakers["train"]
    assert bool(speakers["evaluation"]) == (len({u.speaker for u in corpus}) > 1)
    assert not check_roles(divided, ["train"], ["evaluation"]).names
    assert divided.fingerprint != corpus.fingerprint
    assert divide_by_speaker(corpus, share, seed=seed).utterances == divided.utterances


def test_the_share_is_one_of_the_speech():
    corpus = corpus_of([(f"speaker {n}", 10.0) for n in range(20)])
    divided = divide_by_speaker(corpus, 0.25)
    assert sum(u.duration for u in divided if u.split == "train") == 50


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5, float("nan"), True, "half", None])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(MultiresError, match="split_by_speaker must be a share"):
        divide_by_speaker(corpus_of([("a", 1.0)]), share)


def two_splits(**changes):
    """A speaker in each of two splits; `changes` are made to the utterance that is evaluated on."""
    first, second = corpus_of([("ann", 1.0), ("bob", 1.0)]).utterances
    return Corpus("toy", [replace(first, split="a"), replace(second, **{"split": "b", **changes})])


def test_splits_that_have_nothing_in_common_pass():
    assert check_roles(two_splits(), ["a"], ["b"]).names == ()


def test_what_is_fitted_to_is_not_evaluated_on():
    with pytest.raises(MultiresError, match="both in train and in evaluation"):
        check_roles(two_splits(), ["a"], ["a", "b"])
    with pytest.raises(MultiresError, match="the same audio 1 times"):
        check_roles(two_splits(digest="d0"), ["a"], ["b"], allow_shared_speakers=True)
    repeated = replace(two_splits(), repeated={"x": ("a", "b")})
    with pytest.raises(MultiresError, match="both hold 1 utterances"):
        check_roles(repeated, ["a"], ["b"], allow_shared_speakers=True)
    assert not check_roles(replace(repeated, repeated={"x": ("a", "a")}), ["a"], ["b"]).names


def test_shared_speakers_are_refused_unless_they_are_asked_for():
    with pytest.raises(MultiresError, match=r"1 speakers in both .*ann.*split_by_speaker=0.5.*allow_shared_speakers"):
        check_roles(two_splits(speaker="ann"), ["a"], ["b"])
    assert check_roles(two_splits(speaker="ann"), ["a"], ["b"], allow_shared_speakers=True).names == ("ann",)


def test_speech_without_a_digest_is_not_taken_for_the_same():
    corpus = Corpus("toy", [replace(u, digest="") for u in two_splits()])
    assert check_roles(corpus, ["a"], ["b"]).names == ()
