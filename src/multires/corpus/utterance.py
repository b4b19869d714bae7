"""Utterances, with audio that is read on demand and timed words and phones where known; every corpus gives these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

SAMPLE_RATE = 16_000
"""Hertz; the rate of all audio after reading."""

SILENCE = "sil"
"""The label of silence, pauses and noise in phone tiers, whatever the source calls it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A labeled stretch of time.

    Attributes
    ----------
    label
        A phone (ARPAbet without stress, lower case, or `SILENCE`) or a word (lower case).
    start, end
        Seconds from the start of the utterance; ``0 <= start < end <= duration``.
    """

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech by one speaker.

    Attributes
    ----------
    id
        Unique in its corpus.
    speaker, split
        The speaker, and the part of the corpus that the utterance belongs to.
    duration
        Seconds.
    read
        Returns the audio: mono float32 in [-1, 1] at 16 kHz, shape (samples,).
    transcript
        The text, lower case, or None where unknown.
    words, phones
        In order of time, or None where there is no alignment. `phones` includes silences.
    attributes
        Further facts by name, such as the intent of a synthetic sentence.
    digest
        Of the audio file's bytes; empty for speech that is not read from a file of its own.
    """

    id: str
    speaker: str
    split: str
    duration: float
    read: Callable[[], np.ndarray] = field(repr=False, compare=False)
    transcript: str | None = None
    words: tuple[Segment, ...] | None = None
    phones: tuple[Segment, ...] | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    @property
    def audio(self) -> np.ndarray:
        """The samples, shape (samples,), read from the source at each access."""
        return self.read()

    def blocks(self) -> Iterator[np.ndarray]:
        """The samples in consecutive blocks; a recording in a file of its own is never held as a whole."""
        in_blocks = getattr(self.read, "blocks", None)
        if in_blocks is None:
            yield self.read()
        else:
            yield from in_blocks()


@dataclass(frozen=True)
class Corpus:
    """Utterances in a stable order, and a record of what could not be used.

    Attributes
    ----------
    name
        Such as ``synthetic`` or ``librispeech``; every figure shows it.
    utterances
        All that can be read, aligned or not.
    skipped
        One (file, reason) for each thing left out; counted in the provenance of results.
    parts_of_speech
        The part of speech of each word, where known.
    semantic_classes
        The semantic class of each word, where known.
    fingerprint
        Changes whenever the audio, the labels or the record of what was left out do; part of the key of everything
        cached.
    repeated
        The splits of each id that occurs several times; only its first occurrence is among the utterances.
    """

    name: str
    utterances: Sequence[Utterance]
    skipped: Sequence[tuple[str, str]] = ()
    parts_of_speech: Mapping[str, str] = field(default_factory=dict)
    semantic_classes: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    repeated: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the parts, in order of first appearance."""
        return tuple(dict.fromkeys(utterance.split for utterance in self.utterances))
