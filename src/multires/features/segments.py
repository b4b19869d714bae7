"""The table of segments: utterances, words, phones and a sample of frames."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from multires.corpus.utterance import SILENCE, Corpus, Segment, Utterance
from multires.errors import MultiresError

FRAME_PERIODS = (0.02, 0.04, 0.08)
"""Seconds; the grids on which frames are compared."""

UNITS = ("phone", "word", "utterance", "frame20", "frame40", "frame80")
"""Kinds of segment. ``frameN`` is one window of N milliseconds."""

_COARSEST = FRAME_PERIODS[-1]


def segment_table(corpus: Corpus, *, frames: int, seed: int) -> pd.DataFrame:
    """Every utterance, word and phone of a corpus, and a sample of its frames.

    Frames are sampled in nested windows: a random 80 ms window of the utterance, a random 40 ms half of it, and a
    random 20 ms half of that. Row i of ``frame20``, ``frame40`` and ``frame80`` therefore looks at the same place,
    and layers of different frame periods can be compared like with like on any of them.

    Parameters
    ----------
    corpus
        Utterances without alignment give frames only.
    frames
        How many frames to sample from each split, in proportion to duration.
    seed
        Of the sample of frames.

    Returns
    -------
    pandas.DataFrame
        A row a segment, utterances in corpus order, with columns unit, utterance, speaker, split, label, start, end
        (seconds), word (the word a phone or frame is in), part_of_speech and semantic_class (of that word). The label
        of an utterance is its speaker, that of a frame the phone at its center. Unknown entries are empty strings.
    """
    tags = corpus.parts_of_speech
    total = {split: sum(u.duration for u in corpus if u.split == split) for split in corpus.splits}
    rows: list[tuple[str, str, str, str, str, float, float, str, str, str]] = []
    for position, utterance in enumerate(corpus):
        share = frames * utterance.duration / total[utterance.split]
        rng = np.random.default_rng([seed, position])
        windows = _sample_windows(utterance.duration, share, rng)
        for unit, label, start, end, word in _segments(utterance, windows):
            rows.append(
                (unit, utterance.id, utterance.speaker, utterance.split, label, start, end,
                 word, tags.get(word, ""), corpus.semantic_classes.get(word, ""))
            )  # fmt: skip
    columns = [
        "unit",
        "utterance",
        "speaker",
        "split",
        "label",
        "start",
        "end",
        "word",
        "part_of_speech",
        "semantic_class",
    ]
    table = pd.DataFrame(rows, columns=columns)
    if table.empty:
        raise MultiresError(f"corpus {corpus.name}: no utterance is long enough for a single 80 ms frame")
    return table


def _sample_windows(duration: float, share: float, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Start times of nested 80, 40 and 20 ms windows, in order of time; `share` may be fractional."""
    available = int(duration / _COARSEST) - 1  # the last frames of an utterance may lack a full receptive field
    wanted = min(max(available, 0), int(share) + int(rng.random() < share % 1))
    chosen = np.sort(rng.choice(available, wanted, replace=False)) if wanted else np.empty(0)
    halves = rng.integers(0, 2, size=(wanted, 2))
    return [
        (start, start + 0.04 * half, start + 0.04 * half + 0.02 * quarter)
        for start, (half, quarter) in zip(chosen * _COARSEST, halves, strict=True)
    ]


def _segments(
    utterance: Utterance, windows: Sequence[tuple[float, float, float]]
) -> Iterator[tuple[str, str, float, float, str]]:
    """Unit, label, start, end and word of each segment of one utterance."""
    words, phones = utterance.words or (), utterance.phones or ()
    yield "utterance", utterance.speaker, 0.0, utterance.duration, ""
    for phone in phones:
        if phone.label != SILENCE:
            yield "phone", phone.label, phone.start, phone.end, _label_at(words, (phone.start + phone.end) / 2)
    for word in words:
        yield "word", word.label, word.start, word.end, word.label
    for column, period in enumerate(reversed(FRAME_PERIODS)):
        for starts in windows:
            start, center = starts[column], starts[column] + period / 2
            unit = f"frame{round(period * 1000)}"
            yield unit, _label_at(phones, center), start, start + period, _label_at(words, center)


def _label_at(segments: Sequence[Segment], time: float) -> str:
    position = bisect_right(segments, time, key=lambda segment: segment.start) - 1
    return segments[position].label if position >= 0 and time < segments[position].end else ""
