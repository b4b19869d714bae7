"""Times of words and phones, checked: from TextGrid and TIMIT files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from multires.corpus.files import BadFile, read_text
from multires.corpus.phones import CLOSURE_RELEASES, from_arpabet, is_silence
from multires.corpus.textgrid import Tier, parse_textgrid
from multires.corpus.utterance import Segment

Interval = tuple[float, float, str]
"""Start and end in seconds, and the label as the file has it."""

WORD_TIERS = ("words", "word", "wrd", "orthography", "ort")
PHONE_TIERS = ("phones", "phone", "phn", "phonemes", "phoneme")
"""Names of tiers, in lower case, the preferred first; a speaker's name may precede, as in ``ann - words``."""

MOST_PER_SECOND = 1_000
"""Intervals in a tier for each second of audio; no aligner has so fine a step."""

END_TOLERANCE = 0.05
"""Seconds that an alignment may run past the audio, since aligners round to their frames; the excess is cut."""

OVERLAP_TOLERANCE = 0.001
"""Seconds by which neighbors may overlap through rounding; the later one is made to start where the earlier ends."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Words and phones in order of time, each None where it is not known, and problems with them.

    Attributes
    ----------
    words
        Without silences.
    phones
        In the inventory of `multires.corpus.phones`, silences included.
    problems
        The reason for each tier that should be there and is not.
    """

    words: tuple[Segment, ...] | None = None
    phones: tuple[Segment, ...] | None = None
    problems: tuple[str, ...] = ()


def read_textgrid(path: Path, duration: float) -> Alignment:
    """Words and phones from a TextGrid's tiers, checked against the audio's duration in seconds.

    Phones that are missing, bad or not ARPAbet leave the words usable. Labels in brackets, such as ``[laughter]`` or
    ``<cutoff>``, are no words; they count as silence.

    Raises
    ------
    BadFile
        If the file is not a TextGrid, holds neither tier or those of several speakers, or if its words overlap, have no
        or negative length, or lie outside the audio.
    """
    tiers = parse_textgrid(path)
    words, phones = _chosen(path, tiers)
    if words is None and phones is None:
        names = ", ".join(repr(tier.name[:40]) for tier in tiers[:8]) or "none"
        raise BadFile(path, f"has neither a tier 'words' nor a tier 'phones' (its interval tiers: {names})")
    return _alignment(
        path,
        None if words is None else words.intervals,
        None if phones is None else phones.intervals,
        duration,
        keep_words=words is not None,
    )


def read_timit(phn: Path | None, wrd: Path | None, sample_rate: int, duration: float) -> Alignment:
    """Words and phones from TIMIT's ``.wrd`` and ``.phn`` files, whose times are samples at the audio file's rate.

    The 61 phones are folded to 39 (`multires.corpus.phones.from_arpabet`); a closure and the release after it are one
    stop, as they are in ARPAbet alignments. Words may overlap in TIMIT; the later one then starts where the earlier
    ends.

    Raises
    ------
    BadFile
        If a line is not a start, an end and a label, or the times are not those of this audio.
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


def _parse_timit(path: Path, sample_rate: int) -> list[Interval]:
    intervals = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d{1,12})\s+(\d{1,12})\s+(\S{1,1000})\s*", line, flags=re.ASCII)
        if match is None:
            raise BadFile(path, f"line {number} is not a start, an end and a label")
        intervals.append((int(match[1]) / sample_rate, int(match[2]) / sample_rate, match[3]))
    return intervals


def _join_closures(intervals: list[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for start, end, label in intervals:
        if joined and label.lower() in CLOSURE_RELEASES.get(joined[-1][2].lower(), ()) and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end, label)
        else:
            joined.append((start, end, label))
    return joined


def _chosen(path: Path, tiers: Sequence[Tier]) -> tuple[Tier | None, Tier | None]:
    """The tiers of words and of phones of the one speaker that the file is about; tiers without labels do not count."""
    found: dict[bool, dict[str, list[tuple[int, Tier]]]] = {True: {}, False: {}}
    for tier in tiers:
        speaker, _, name = tier.name.rpartition(" - ")
        for words, names in ((True, WORD_TIERS), (False, PHONE_TIERS)):
            if name.strip().lower() in names:
                rank = names.index(name.strip().lower())
                found[words].setdefault(speaker.strip(), []).append((rank, tier))
    speaking = {
        speaker: None
        for by_speaker in found.values()
        for speaker, ranked in by_speaker.items()
        if any(_labeled(tier) for _, tier in ranked)
    }
    if len(speaking) > 1:
        listed = ", ".join(repr(speaker[:40]) for speaker in list(speaking)[:8])
        raise BadFile(path, f"has tiers of {len(speaking)} speakers ({listed}): cut the recording into one for each")
    chosen = []
    for by_speaker in found.values():
        ranked = [
            entry for speaker, entries in by_speaker.items() if not speaking or speaker in speaking for entry in entries
        ]
        full = [entry for entry in ranked if _labeled(entry[1])] or ranked
        first = min((rank for rank, _ in full), default=0)
        best = [tier for rank, tier in full if rank == first]
        if len(best) > 1 and _labeled(best[0]):
            raise BadFile(path, f"has {len(best)} tiers that are named {best[0].name[:40]!r}: keep one of them")
        chosen.append(best[0] if best else None)
    return chosen[0], chosen[1]


def _labeled(tier: Tier) -> bool:
    return any(label for *_, label in tier.intervals)


def _alignment(
    path: Path,
    words: Sequence[Interval] | None,
    phones: Sequence[Interval] | None,
    duration: float,
    *,
    keep_words: bool = False,
) -> Alignment:
    """Checked intervals with labels in this package's forms; with `keep_words`, bad phones cost the phones only."""
    problems = []
    spoken = labeled = None
    if words is None:
        problems.append("has no tier of words")
    else:
        spoken = tuple(
            Segment(label.lower(), start, end)
            for start, end, label in _checked(path, "words", words, duration)
            if not is_silence(label)
        )
    if phones is None:
        problems.append("has no tier of phones")
    else:
        try:
            labeled = _phones(path, phones, duration)
        except BadFile as error:
            if not keep_words:
                raise
            problems.append(f"is used for its words only: {error.reason}")
        except _Unknown as error:
            if spoken and all(from_arpabet(word.label) for word in spoken):
                raise BadFile(path, "has phones in its tier of words and none in that of phones: swap them") from error
            problems.append(f"has phones that are not ARPAbet: {error}")
    return Alignment(spoken, labeled, tuple(problems))


class _Unknown(Exception):
    """Labels that are no phones."""


def _phones(path: Path, phones: Sequence[Interval], duration: float) -> tuple[Segment, ...]:
    made, unknown = [], set()
    for start, end, label in _checked(path, "phones", phones, duration):
        phone = from_arpabet(label)
        if phone is None:
            unknown.add(label)
        else:
            made.append(Segment(phone, start, end))
    if unknown:
        raise _Unknown(", ".join(repr(label[:40]) for label in sorted(unknown)[:5]))
    return tuple(made)


def _checked(path: Path, tier: str, intervals: Sequence[Interval], duration: float) -> Iterator[Interval]:
    """The intervals, cut to the audio, if they are in order and inside it; silence may have any length and end."""
    if len(intervals) > MOST_PER_SECOND * max(1.0, duration):
        raise BadFile(path, f"has {len(intervals)} intervals in {tier} for {duration:.1f} s of audio")
    before = 0.0
    for start, end, label in intervals:
        silent = is_silence(label)
        where = f"the interval {label[:40]!r} from {start:g} to {end:g} s in {tier}"
        if end == start and silent:
            continue
        if end <= start:
            raise BadFile(path, f"{where} has no length or a negative one")
        if start < -OVERLAP_TOLERANCE:
            raise BadFile(path, f"{where} starts before 0")
        if start < before - OVERLAP_TOLERANCE:
            raise BadFile(path, f"{where} overlaps the one before it, which ends at {before:g} s")
        if end > duration + END_TOLERANCE and not silent:
            raise BadFile(path, f"{where} ends after the audio does, at {duration:g} s")
        start, end = max(start, before), min(end, duration)
        if end > start:
            before = end
            yield start, end, label
