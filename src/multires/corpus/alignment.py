"""Times of words and phones: read from TextGrid and TIMIT files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from multires.corpus.files import BadFile, read_text
from multires.corpus.phones import CLOSURE_RELEASES, SILENCES, from_arpabet
from multires.corpus.utterance import SILENCE, Segment

WORD_TIERS = ("words", "word", "wrd", "orthography", "ort")
PHONE_TIERS = ("phones", "phone", "phn", "phonemes", "phoneme")
"""Names of tiers, in lower case; a name may stand after a speaker's, as in ``ann - words``."""

END_TOLERANCE = 0.05
"""Seconds that an alignment may run past the audio, since aligners round to their frames; the excess is cut."""

OVERLAP_TOLERANCE = 0.001
"""Seconds by which neighbours may overlap through rounding; the later one is made to start where the earlier ends."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Words and phones in order of time, each None where it is not known, and what was wrong with it.

    Attributes
    ----------
    words
        Without silences.
    phones
        In the inventory of `multires.corpus.phones`, silences included.
    problems
        Why a tier that should be there is not.
    """

    words: tuple[Segment, ...] | None = None
    phones: tuple[Segment, ...] | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tier:
    """An interval tier of a TextGrid as it stands in the file: (start, end, label) in seconds."""

    name: str
    intervals: tuple[tuple[float, float, str], ...]


_TOKEN = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"'
    r"|(?<!\S)(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\S)"
    r"|(?<!\S)<(?P<flag>\w+)>(?!\S)"
    r"|(?<!\S)!.*"
)
"""What carries meaning in Praat's text format: quoted text, numbers and flags that stand alone; the rest is comment."""


class _Tokens:
    """The values of a Praat text file in order; long and short format hold the same ones."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._matches: Iterator[re.Match[str]] = _TOKEN.finditer(text)

    def take(self, kind: str, what: str) -> str:
        for match in self._matches:
            if match.lastgroup is None:  # a comment
                continue
            if match.lastgroup != kind:
                break
            return match[kind]
        raise BadFile(self._path, f"is not a whole TextGrid: {what} is missing")

    def number(self, what: str) -> float:
        value = float(self.take("number", what))
        if not math.isfinite(value):
            raise BadFile(self._path, f"{what} is not a finite number")
        return value

    def count(self, what: str) -> int:
        value = self.number(what)
        if value < 0 or value != int(value):
            raise BadFile(self._path, f"{what} is not a count: {value:g}")
        return int(value)

    def text(self, what: str) -> str:
        return self.take("text", what).replace('""', '"').strip()


def parse_textgrid(path: Path) -> tuple[Tier, ...]:
    """The interval tiers of a TextGrid in Praat's long or short text format.

    Raises
    ------
    BadFile
        Where the file is not a whole TextGrid.
    """
    tokens = _Tokens(path, read_text(path))
    if not tokens.take("text", "the file type").startswith("ooTextFile") or tokens.text("the class") != "TextGrid":
        raise BadFile(path, "is not a TextGrid in Praat's text format")
    tokens.number("the start time")
    tokens.number("the end time")
    if tokens.take("flag", "the mark that tiers exist") != "exists":
        return ()
    tiers = []
    for number in range(1, tokens.count("the number of tiers") + 1):
        kind, name = tokens.text(f"the class of tier {number}"), tokens.text(f"the name of tier {number}")
        tokens.number(f"the start of tier {name!r}")
        tokens.number(f"the end of tier {name!r}")
        entries = range(1, tokens.count(f"the size of tier {name!r}") + 1)
        if kind == "IntervalTier":
            tiers.append(Tier(name, tuple(_interval(tokens, name, entry) for entry in entries)))
        elif kind == "TextTier":
            for entry in entries:
                tokens.number(f"the time of point {entry} of tier {name!r}")
                tokens.text(f"the mark of point {entry} of tier {name!r}")
        else:
            raise BadFile(path, f"tier {name!r} is of the unknown class {kind!r}")
    return tuple(tiers)


def _interval(tokens: _Tokens, tier: str, entry: int) -> tuple[float, float, str]:
    what = f"of interval {entry} of tier {tier!r}"
    return tokens.number(f"the start {what}"), tokens.number(f"the end {what}"), tokens.text(f"the text {what}")


def read_textgrid(path: Path, duration: float) -> Alignment:
    """Words and phones from a TextGrid's tiers, checked against the audio's duration in seconds.

    A tier that is missing, or whose phones are not ARPAbet, leaves the other one usable.

    Raises
    ------
    BadFile
        Where the file is not a TextGrid, holds neither tier, or has intervals that overlap, have no or negative length,
        or lie outside the audio.
    """
    tiers = parse_textgrid(path)
    words, phones = _named(tiers, WORD_TIERS), _named(tiers, PHONE_TIERS)
    if words is None and phones is None:
        names = ", ".join(repr(tier.name) for tier in tiers) or "none"
        raise BadFile(path, f"has neither a tier 'words' nor a tier 'phones' (its interval tiers: {names})")
    return _alignment(
        path,
        None if words is None else list(words.intervals),
        None if phones is None else list(phones.intervals),
        duration,
    )


def read_timit(phn: Path | None, wrd: Path | None, sample_rate: int, duration: float) -> Alignment:
    """Words and phones from TIMIT's ``.wrd`` and ``.phn`` files, whose times are samples at the audio file's rate.

    The 61 phones are folded to 39 (`multires.corpus.phones.from_arpabet`); a closure and the release after it are one
    stop, as they are in ARPAbet alignments. Words may overlap in TIMIT; the later one then starts where the earlier
    ends.

    Raises
    ------
    BadFile
        Where a line is not a start, an end and a label, or the times are not those of this audio.
    """
    words = None if wrd is None else _parse_timit(wrd, sample_rate)
    phones = None if phn is None else _join_closures(_parse_timit(phn, sample_rate))
    if words is not None:
        for i in range(1, len(words)):
            start, end, label = words[i]
            if start < words[i - 1][1] < end:
                words[i] = (words[i - 1][1], end, label)
    path = phn or wrd
    assert path is not None, "one of the two files is given"
    return _alignment(path, words, phones, duration)


def _parse_timit(path: Path, sample_rate: int) -> list[tuple[float, float, str]]:
    intervals = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d{1,12})\s+(\d{1,12})\s+(\S+)\s*", line, flags=re.ASCII)
        if match is None:
            raise BadFile(path, f"line {number} is not a start, an end and a label")
        intervals.append((int(match[1]) / sample_rate, int(match[2]) / sample_rate, match[3]))
    return intervals


def _join_closures(intervals: list[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    joined: list[tuple[float, float, str]] = []
    for start, end, label in intervals:
        if joined and label.lower() in CLOSURE_RELEASES.get(joined[-1][2].lower(), ()) and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end, label)
        else:
            joined.append((start, end, label))
    return joined


def _named(tiers: tuple[Tier, ...], names: tuple[str, ...]) -> Tier | None:
    for tier in tiers:
        if tier.name.lower().rpartition(" - ")[2].strip() in names:
            return tier
    return None


def _alignment(
    path: Path,
    words: list[tuple[float, float, str]] | None,
    phones: list[tuple[float, float, str]] | None,
    duration: float,
) -> Alignment:
    """Checked intervals with labels in this package's forms."""
    problems = []
    spoken = labelled = None
    if words is None:
        problems.append("has no tier of words")
    else:
        spoken = tuple(
            Segment(label.lower(), start, end)
            for start, end, label in _checked(path, "words", words, duration)
            if label.lower() not in SILENCES
        )
    if phones is None:
        problems.append("has no tier of phones")
    else:
        checked = [
            (from_arpabet(label), start, end, label) for start, end, label in _checked(path, "phones", phones, duration)
        ]
        unknown = sorted({label for phone, *_, label in checked if phone is None})
        if unknown:
            problems.append(f"has phones that are not ARPAbet: {', '.join(map(repr, unknown[:5]))}")
        else:
            labelled = tuple(Segment(phone or SILENCE, start, end) for phone, start, end, _ in checked)
    return Alignment(spoken, labelled, tuple(problems))


def _checked(
    path: Path, tier: str, intervals: list[tuple[float, float, str]], duration: float
) -> Iterator[tuple[float, float, str]]:
    """The intervals, cut to the audio, where they are in order and inside it."""
    before = 0.0
    for start, end, label in intervals:
        where = f"the interval {label!r} from {start:g} to {end:g} s in {tier}"
        if end <= start:
            raise BadFile(path, f"{where} has no length or a negative one")
        if start < 0:
            raise BadFile(path, f"{where} starts before 0")
        if start < before - OVERLAP_TOLERANCE:
            raise BadFile(path, f"{where} overlaps the one before it, which ends at {before:g} s")
        if end > duration + END_TOLERANCE:
            raise BadFile(path, f"{where} ends after the audio does, at {duration:g} s")
        start, end = max(start, before), min(end, duration)
        if end > start:
            before = end
            yield start, end, label
