"""Speech synthesis with espeak-ng, with phone and word times from its events."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np

from multires.corpus.phones import from_ipa
from multires.corpus.utterance import SILENCE, Segment
from multires.errors import MultiresError
from multires.runtime.processes import command

_WORD_BREAK = "\u200b "
"""A zero-width space keeps espeak-ng from reading pairs such as `of the` as one word."""

_SHORTEST_PAUSE = 0.004
"""Seconds of exact silence before a phone that count as the closure or onset that belongs to it."""

_SHORTEST_PHONE = 0.005
"""Seconds; a phone reported as shorter has no time of its own."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of espeak-ng's and its settings.

    Attributes
    ----------
    variant
        Name of a voice variant, such as ``f1``.
    rate
        Words a minute.
    pitch, range
        From 0 to 99; 50 is the variant's own.
    """

    variant: str
    rate: int
    pitch: int
    range: int


@dataclass(frozen=True, slots=True)
class Speech:
    """A synthesized sentence.

    Attributes
    ----------
    samples
        int16, shape (samples,).
    sample_rate
        Hertz.
    words, phones
        Times in seconds; phones tile the time from 0 to the end, silences included.
    problem
        Reason that the sentence cannot be used, or None.
    """

    samples: np.ndarray
    sample_rate: int
    words: tuple[Segment, ...]
    phones: tuple[Segment, ...]
    problem: str | None = None


def speak(voice: Voice, sentences: Sequence[Sequence[str]]) -> list[Speech]:
    """Speak sentences, given as words, one after another in a fresh process.

    The same voice and sentences give the same samples; a longer list begins as a shorter one does.

    Raises
    ------
    MultiresError
        Where espeak-ng cannot be run.
    """
    data = Path(espeakng_loader.get_data_path())
    if not (data / "voices" / "!v" / voice.variant).is_file():  # espeak-ng itself would quietly use another voice
        raise MultiresError(f"espeak-ng has no voice variant {voice.variant}: reinstall espeakng-loader")
    job = {
        "library": str(espeakng_loader.get_library_path()),
        "data": str(data),
        "voice": f"en-us+{voice.variant}",
        "rate": voice.rate,
        "pitch": voice.pitch,
        "range": voice.range,
        "texts": [_WORD_BREAK.join(words) for words in sentences],
    }
    script = Path(__file__).with_name("espeak_process.py")
    done = subprocess.run(
        command(str(script), "-I", "-S"), input=json.dumps(job).encode(), capture_output=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise MultiresError(f"espeak-ng failed with voice {voice.variant}: {reason}; reinstall espeakng-loader")
    line, _, pcm = done.stdout.partition(b"\n")
    header = json.loads(line)
    samples = np.frombuffer(pcm, np.int16)
    spoken, start = [], 0
    for words, text in zip(sentences, header["texts"], strict=True):
        end = start + text["samples"]
        spoken.append(timed(samples[start:end], header["sample_rate"], words, text["events"]))
        start = end
    return spoken


def timed(
    samples: np.ndarray, sample_rate: int, words: Sequence[str], events: Sequence[tuple[str, int, object]]
) -> Speech:
    """Speech with the times that espeak-ng's events give.

    A phone lasts until the next one starts. espeak-ng reports a stop where it is released; the exact silence before it
    is its closure, so the phone starts where that silence does (and so with the short pause before an initial vowel). A phone that has no
    time of its own takes half of the one before it.
    """
    positions = np.cumsum([1, *(len(word) + len(_WORD_BREAK) for word in words)])[:-1].tolist()
    if [value for kind, _, value in events if kind == "word"] != positions:
        return Speech(samples, sample_rate, (), (), "espeak-ng did not report each of its words")

    marks: list[tuple[str, int, int]] = []  # label, first sample, index of the word or -1
    word = -1
    for kind, sample, value in events:
        if kind == "word":
            word += 1
            continue
        try:
            labels = from_ipa(str(value))
        except KeyError:
            return Speech(samples, sample_rate, (), (), f"unknown IPA symbol {value!r}")
        first = sample if labels == (SILENCE,) else _onset(samples, sample, marks, sample_rate)
        marks += [(label, first if i == 0 else -1, -1 if label == SILENCE else word) for i, label in enumerate(labels)]

    starts = _shared(marks, len(samples), _SHORTEST_PHONE * sample_rate)
    pieces = [
        (label, start, end, index)
        for (label, _, index), start, end in zip(marks, starts, [*starts[1:], len(samples)], strict=True)
        if end > start
    ]
    if {index for *_, index in pieces} - {-1} != set(range(len(words))):
        return Speech(samples, sample_rate, (), (), "a word has no phone that lasts")
    spans = []
    for i, name in enumerate(words):
        inside = [piece for piece in pieces if piece[3] == i]
        spans.append(Segment(name, inside[0][1] / sample_rate, inside[-1][2] / sample_rate))
    return Speech(samples, sample_rate, tuple(spans), _joined(pieces, len(samples), sample_rate))


def _onset(samples: np.ndarray, sample: int, marks: list[tuple[str, int, int]], sample_rate: int) -> int:
    """Start of the exact silence before `sample`, not before the preceding mark; `sample` if there is none."""
    earliest = marks[-1][1] + 1 if marks else 0
    if marks and marks[-1][0] == SILENCE:
        return sample
    before = samples[max(earliest, 0) : sample]
    sounding = np.flatnonzero(before)
    silent = len(before) - (int(sounding[-1]) + 1 if len(sounding) else 0)
    return sample - silent if silent >= _SHORTEST_PAUSE * sample_rate else sample


def _shared(marks: list[tuple[str, int, int]], end: int, shortest: float) -> list[int]:
    """First samples, where a phone that has no time of its own takes half of the phone before it.

    These are the second half of a split event (-1), and the /l/ after a vowel that espeak-ng speaks as one sound with
    the vowel and reports at its end.
    """
    starts = [first for _, first, _ in marks]
    for i in range(1, len(marks)):
        after = next((start for start in starts[i + 1 :] if start >= 0), end)
        if starts[i] < 0 or (marks[i][0] != SILENCE and after - starts[i] < shortest):
            starts[i] = (starts[i - 1] + after) // 2
    return starts


def _joined(pieces: list[tuple[str, int, int, int]], end: int, sample_rate: int) -> tuple[Segment, ...]:
    """Pieces as segments that tile the time from 0 to `end`, with neighboring silences made one."""
    whole: list[tuple[str, int, int]] = []
    if pieces and pieces[0][1] > 0:
        whole.append((SILENCE, 0, pieces[0][1]))
    for label, first, last, _ in pieces:
        if whole and whole[-1][0] == label == SILENCE:
            whole[-1] = (SILENCE, whole[-1][1], last)
        else:
            whole.append((label, first, last))
    return tuple(Segment(label, first / sample_rate, last / sample_rate) for label, first, last in whole)
