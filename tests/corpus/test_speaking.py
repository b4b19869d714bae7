import numpy as np
import pytest
from scipy.signal import resample_poly

from multires.corpus.forced import align
from multires.corpus.speaking import Voice, speak, timed
from multires.errors import MultiresError

RATE = 1_000
TEXT = ["to", "me"]
EVENTS = [
    ("word", 0, 1), ("phone", 100, "t"), ("phone", 200, "ə"), ("word", 300, 5), ("phone", 300, "m"),
    ("phone", 400, "ˈiː"), ("phone", 600, ""), ("phone", 650, ""),
]  # fmt: skip


def heard(events=EVENTS, silent=slice(0, 0), words=TEXT):
    samples = np.full(700, 1_000, np.int16)
    samples[silent] = 0
    return timed(samples, RATE, words, events)


def test_a_phone_lasts_until_the_next_and_silences_are_joined():
    speech = heard()
    assert [(p.label, p.start, p.end) for p in speech.phones] == [
        ("sil", 0, 0.1), ("t", 0.1, 0.2), ("ah", 0.2, 0.3), ("m", 0.3, 0.4), ("iy", 0.4, 0.6), ("sil", 0.6, 0.7),
    ]  # fmt: skip
    assert [(w.label, w.start, w.end) for w in speech.words] == [("to", 0.1, 0.3), ("me", 0.3, 0.6)]


def test_the_exact_silence_before_a_phone_is_its_closure():
    speech = heard(silent=slice(260, 300))
    assert [p.start for p in speech.phones if p.label == "m"] == [0.26]
    assert speech.words[1].start == 0.26


def test_a_rhotic_event_is_split_at_its_middle():
    events = [("word", 0, 1), ("phone", 0, "k"), ("phone", 100, "ˈɑːɹ"), ("phone", 300, "")]
    speech = heard(events, words=["car"])
    assert [(p.label, p.start) for p in speech.phones] == [("k", 0), ("aa", 0.1), ("r", 0.2), ("sil", 0.3)]


def test_a_phone_without_time_takes_half_of_the_one_before():
    events = [("word", 0, 1), ("phone", 0, "ɪ"), ("phone", 198, "l"), ("phone", 200, "k"), ("phone", 300, "")]
    speech = heard(events, words=["ilk"])
    assert [(p.label, p.start) for p in speech.phones] == [("ih", 0), ("l", 0.1), ("k", 0.2), ("sil", 0.3)]


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([*EVENTS[:4], ("phone", 400, "ɮ")], "unknown IPA symbol 'ɮ'"),
        (EVENTS[:3], "each of its words"),
        ([*EVENTS[:4]], "no phone"),
    ],
)
def test_what_cannot_be_used_says_why(events, problem):
    assert problem in heard(events).problem


def test_words_that_espeak_would_join_are_told_apart():
    [speech] = speak(
        Voice("m1", 160, 50, 50), [["some", "of", "the", "tea", "in", "the", "box", "is", "not", "for", "the", "cat"]]
    )
    assert speech.problem is None
    assert len(speech.words) == 12


def test_an_unknown_voice_is_an_error():
    with pytest.raises(MultiresError, match="nobody"):
        speak(Voice("nobody", 160, 50, 50), [["tea"]])


def test_word_times_agree_with_a_forced_aligner():
    """PocketSphinx knows nothing of the events; its frames are 10 ms."""
    texts = [
        "please start the yellow radio in your bedroom today".split(),  # noqa: SIM905
        "my sister washed the sheep near the bicycle".split(),  # noqa: SIM905
    ]
    differences = []
    for variant in ("m1", "f1", "m5", "adam"):
        for speech in speak(Voice(variant, 170, 50, 50), texts):
            audio = np.pad(resample_poly(speech.samples / 32_768, 320, 441), 3_200)
            audio += np.random.default_rng(0).normal(0, 1e-4, len(audio))
            aligned = align(audio, " ".join(word.label for word in speech.words))
            for word, reference in zip(speech.words, aligned.words, strict=True):
                differences += [reference.start - 0.2 - word.start, reference.end - 0.2 - word.end]
    assert abs(np.median(differences)) < 0.010
    assert np.median(np.abs(differences)) < 0.015
    assert np.mean(np.abs(differences) < 0.05) > 0.9
