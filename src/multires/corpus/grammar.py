"""Sentences for the synthetic corpus: a small grammar of household English with controlled word counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_CLASSES = {
    # semantic class: (part of speech, words)
    "room": ("noun", "kitchen bedroom bathroom hallway garage office"),
    "appliance": ("noun", "lamp heater oven radio television camera"),
    "food": ("noun", "apples bread cheese rice chicken soup pasta potatoes carrots mushrooms"),
    "drink": ("noun", "coffee tea milk juice water cocoa"),
    "container": ("noun", "bottle bag box cup bowl basket"),
    "animal": ("noun", "dog cat horse rabbit tiger monkey pigeon sheep"),
    "person": ("noun", "mother father sister brother teacher doctor neighbor farmer uncle captain"),
    "place": ("noun", "station airport hospital library museum market school beach village bridge"),
    "vehicle": ("noun", "bus train taxi bicycle airplane boat"),
    "clothing": ("noun", "jacket shirt shoes gloves sweater"),
    "music": ("noun", "jazz opera symphony ballad melody lullaby"),
    "instrument": ("noun", "piano guitar violin trumpet drum"),
    "day": ("noun", "monday tuesday wednesday thursday friday saturday sunday"),
    "color": ("adjective", "red blue green yellow purple brown white"),
    "size": ("adjective", "small large tiny huge narrow heavy"),
    "weather": ("adjective", "sunny cloudy rainy windy foggy cold warm"),
    "condition": ("adjective", "old fresh cheap broken wooden noisy usual"),
    "number": ("number", "two three four five six seven eight nine ten"),
    "control": ("verb", "switch start stop check"),
    "cooking": ("verb", "cook bake boil fry chop serve"),
    "trade": ("verb", "buy sell order borrow return choose"),
    "motion": ("verb", "walk drive travel fly sail hurry"),
    "communication": ("verb", "call ask visit thank remind invite"),
    "performing": ("verb", "play sing practice record"),
    "happening": ("verb", "chased watched followed carried noticed washed"),
    "time": ("adverb", "today tomorrow tonight soon later again"),
    "manner": ("adverb", "slowly quickly quietly carefully gently loudly"),
    "determiner": ("determiner", "the a my your our their some"),
    "preposition": ("preposition", "in on to for from with at near of"),
    "pronoun": ("pronoun", "you we they it"),
    "auxiliary": ("auxiliary", "will can is was turn"),
    "particle": ("particle", "please and"),
}

_TEMPLATES = {
    # intent: sentences, where <class> is any word of that class and <possessive> is my, your, our or their
    "device": (
        "please <control> the <color> <appliance> in <possessive> <room> <time>",
        "<control> <possessive> <condition> <appliance> near the <room> <manner>",
        "can you <control> the <condition> <room> <appliance> <time>",
        "the <size> <appliance> in the <room> is <condition>",
    ),
    "cooking": (
        "<cooking> the <size> <food> and <number> <food> <manner>",
        "please <cooking> <condition> <food> with <condition> <food>",
        "we will <cooking> <food> for <possessive> <person> <time>",
        "<cooking> some <food> in a <color> <container>",
    ),
    "shopping": (
        "<trade> <number> <color> <clothing> at the <size> <place>",
        "<trade> a <container> of <drink> and <number> <food> <time>",
        "<trade> a <size> <color> <clothing> for <person>",
        "they will <trade> <condition> <clothing> on <day>",
    ),
    "travel": (
        "<motion> from the <place> to <possessive> <place> <time>",
        "the <color> <vehicle> to the <place> will <motion> on <day>",
        "they <motion> from <day> to <day> with <possessive> <vehicle>",
        "please <motion> <manner> near the <size> <vehicle>",
    ),
    "weather": (
        "it is <weather> and <weather> at the <place>",
        "<time> it will turn <weather> near <possessive> <place>",
        "it was <weather> at the <condition> <place> on <day>",
    ),
    "people": (
        "<communication> <possessive> <person> at <number> on <day>",
        "please <communication> the <condition> <person> from the <place>",
        "can you <communication> <possessive> <person> and <person> <time>",
    ),
    "music": (
        "<performing> <possessive> <condition> <music> on the <instrument> <manner>",
        "please <performing> a <size> <music> in the <room>",
        "they <performing> <music> with <instrument> and <instrument>",
        "we will <performing> the <music> <time>",
    ),
    "story": (
        "the <color> <animal> <happening> <number> <size> <animal>",
        "a <size> <animal> <happening> the <person> <manner>",
        "<possessive> <person> <happening> the <animal> near the <vehicle>",
        "the <condition> <vehicle> <happening> <animal> and <person>",
    ),
    "drinks": (
        "<number> <container> of <weather> <drink> for the <person>",
        "some <color> <drink> in a <condition> <container>",
        "<possessive> <drink> is <weather> and <condition>",
    ),
}  # fmt: skip

_FILLERS = {f"<{name}>": words.split() for name, (_, words) in _CLASSES.items()}
_FILLERS["<possessive>"] = ["my", "your", "our", "their"]

SEMANTIC_CLASSES: dict[str, str] = {word: name for name, (_, words) in _CLASSES.items() for word in words.split()}
"""The semantic class of each word."""

PARTS_OF_SPEECH: dict[str, str] = {word: _CLASSES[name][0] for word, name in SEMANTIC_CLASSES.items()}
"""The part of speech of each word."""

INTENTS = tuple(_TEMPLATES)
"""The semantic classes of sentences."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the grammar.

    Attributes
    ----------
    words
        In order, lower case.
    intent
        One of `INTENTS`.
    """

    words: tuple[str, ...]
    intent: str


def sentences(count: int, rng: np.random.Generator) -> list[Sentence]:
    """Sentences in which intents, templates and the words of each class are used equally often.

    Each choice is drawn among those used least so far. A longer list from the same generator state begins with the
    shorter one.
    """
    used: dict[str, Counter[str]] = defaultdict(Counter)

    def least_used(group: str, options: Sequence[str], avoid: Sequence[str] = ()) -> str:
        counts = used[group]
        left = [option for option in options if option not in avoid]
        fewest = min(counts[option] for option in left)
        chosen = str(rng.choice([option for option in left if counts[option] == fewest]))
        counts[chosen] += 1
        return chosen

    made = []
    for _ in range(count):
        intent = least_used("intent", INTENTS)
        words: list[str] = []
        for token in least_used(f"templates of {intent}", _TEMPLATES[intent]).split():
            if token.startswith("<"):
                words.append(least_used(token, _FILLERS[token], avoid=words))
            else:
                words.append(token)
        made.append(Sentence(tuple(words), intent))
    return made
