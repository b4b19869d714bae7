from collections import Counter

import numpy as np

from multires.corpus.grammar import INTENTS, PARTS_OF_SPEECH, SEMANTIC_CLASSES, sentences


def made(count, seed=0):
    return sentences(count, np.random.default_rng(seed))


def test_every_word_has_one_part_of_speech_and_one_semantic_class():
    words = {word for sentence in made(2000) for word in sentence.words}
    assert words == set(PARTS_OF_SPEECH) == set(SEMANTIC_CLASSES)


def test_a_longer_list_begins_as_a_shorter_one_and_the_seed_decides():
    assert made(200)[:50] == made(50)
    assert made(50, seed=1) != made(50)


def test_intents_and_the_words_of_a_class_are_balanced():
    listed = made(900)
    intents = Counter(sentence.intent for sentence in listed)
    assert set(intents) == set(INTENTS)
    assert max(intents.values()) - min(intents.values()) <= 1
    counts = Counter(word for sentence in listed for word in sentence.words)
    animals = [counts[word] for word, name in SEMANTIC_CLASSES.items() if name == "animal"]
    assert max(animals) - min(animals) <= 2


def test_the_words_of_the_synthetic_evaluation_split():
    listed = made(450)  # 0.3 hours
    counts = Counter(word for sentence in listed for word in sentence.words)
    assert len(counts) >= 200
    assert min(counts.values()) >= 7
    assert sum(count >= 10 for count in counts.values()) >= 120
    assert sum(count >= 15 for count in counts.values()) >= 50
    counts = Counter(word for sentence in made(900) for word in sentence.words)
    assert sum(count >= 15 for count in counts.values()) >= 200
