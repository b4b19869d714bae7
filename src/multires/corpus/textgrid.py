"""TextGrids in Praat's long and short text format."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from multires.corpus.files import BadFile, read_text

# praatio, which the tests compare this reader with, is not used here: it takes as many intervals as it finds, whatever
# number the file states, so a file that was cut off passes as a whole one, and other damage ends in an IndexError.

LONGEST_LABEL = 1_000
"""Characters; a longer label is no word and no phone, and would fill every table and message that names it."""

_NUMBER = re.compile(r"[-+]?(?:\d{1,40}(?:\.\d{0,60})?|\.\d{1,60})(?:[eE][-+]?\d{1,5})?", re.ASCII)
_FLAG = re.compile(r"<(\w{1,40})>", re.ASCII)
_WORD = re.compile(r'[^\s"]+')
_QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')
"""Two quotes are one quote inside a text. Possessive, so that a text without an end costs no second look."""

_GAP = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Tier:
    """An interval tier as the file has it: (start, end, label) in seconds."""

    name: str
    intervals: tuple[tuple[float, float, str], ...]


def parse_textgrid(path: Path) -> tuple[Tier, ...]:
    """The interval tiers of a TextGrid in Praat's long or short text format.

    Raises
    ------
    BadFile
        If the file is not a whole TextGrid.
    """
    tokens = _Tokens(path, read_text(path))
    if not tokens.take("text", "the file type").startswith("ooTextFile") or tokens.text("the class") != "TextGrid":
        raise BadFile(path, "is not a TextGrid in Praat's text format")
    tokens.number("the start time")
    tokens.number("the end time")
    if tokens.take("flag", "the flag that tiers exist") != "exists":
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
            raise BadFile(path, f"tier {name!r} is of the unknown class {kind[:40]!r}")
    return tuple(tiers)


def _interval(tokens: _Tokens, tier: str, entry: int) -> tuple[float, float, str]:
    what = f"of interval {entry} of tier {tier!r}"
    return tokens.number(f"the start {what}"), tokens.number(f"the end {what}"), tokens.text(f"the text {what}")


class _Tokens:
    """The values of a Praat text file in order; the long and the short format hold the same ones.

    What carries meaning is quoted text, and numbers and flags that stand alone; the rest is comment.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._values = _values(text)

    def take(self, kind: str, what: str) -> str:
        found, value = next(self._values, ("", ""))
        if found != kind:
            raise BadFile(self._path, f"is not a whole TextGrid: {what} is missing")
        return value

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
        value = self.take("text", what).replace('""', '"').strip()
        if len(value) > LONGEST_LABEL:
            raise BadFile(self._path, f"{what} has {len(value)} characters: a label has at most {LONGEST_LABEL}")
        return value


def _values(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each value, in time proportional to the length of the file."""
    place = _end_of(_GAP, text, 0)
    while place < len(text):
        if text[place] == '"':
            quoted = _QUOTED.match(text, place)
            if quoted is None:
                return
            yield "text", quoted[1]
            place = quoted.end()
        elif text[place] == "!":
            line = text.find("\n", place)
            place = len(text) if line < 0 else line
        else:
            end = _end_of(_WORD, text, place)
            word = text[place:end]
            if len(word) <= 128 and (end == len(text) or text[end].isspace()):
                if _NUMBER.fullmatch(word):
                    yield "number", word
                elif flag := _FLAG.fullmatch(word):
                    yield "flag", flag[1]
            place = end
        place = _end_of(_GAP, text, place)


def _end_of(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return match.end() if match else place
