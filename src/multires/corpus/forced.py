"""Forced alignment of text that has no times, offline, with PocketSphinx."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from multires.corpus.alignment import Alignment
from multires.corpus.phones import SILENCES, from_arpabet
from multires.corpus.utterance import SAMPLE_RATE, SILENCE, Segment
from multires.errors import MultiresError
from multires.runtime.storage import replace_file

_FRAMES_PER_SECOND = 100


def require_pocketsphinx() -> None:
    """Raise if PocketSphinx is not installed.

    Raises
    ------
    MultiresError
        With the command that installs it.
    """
    try:
        import pocketsphinx  # noqa: F401
    except ImportError as error:
        raise MultiresError("forced alignment needs PocketSphinx: pip install 'multires[align]'") from error


def kept_alignment(store: Path, key: str, make: Callable[[], Alignment]) -> Alignment:
    """An alignment from a folder, or made and kept there.

    The file holds the digest of its content: one that was altered or cut off is made again.

    Parameters
    ----------
    key
        Everything that the alignment depends on.
    """
    file = store / f"aligned-{hashlib.sha256(key.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}.json"
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["digest"] == _digest(key, stored["tiers"]):
            words, phones = (tuple(Segment(*one) for one in stored["tiers"][tier]) for tier in ("words", "phones"))
            return Alignment(words, phones)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    made = make()
    tiers = {
        name: [[one.label, one.start, one.end] for one in tier or ()]
        for name, tier in (("words", made.words), ("phones", made.phones))
    }
    text = json.dumps({"digest": _digest(key, tiers), "tiers": tiers})
    replace_file(file, lambda partial: partial.write_text(text, encoding="utf-8"))
    return made


def _digest(key: str, tiers: object) -> str:
    return hashlib.sha256(json.dumps([key, tiers]).encode()).hexdigest()


def align(audio: np.ndarray, transcript: str) -> Alignment:
    """Words and phones of a transcript in audio (mono at 16 kHz, shape (samples,)), to 10 ms.

    Uses the American English model that comes with PocketSphinx.

    Raises
    ------
    MultiresError
        If PocketSphinx is missing, a word is not in its dictionary, or the text does not fit the audio.
    """
    require_pocketsphinx()
    decoder, means = _decoder()
    words = re.findall(r"[a-z']+", transcript.lower().replace("’", "'"))
    if not words:
        raise MultiresError("the transcript holds no words")
    unknown = sorted({word for word in words if decoder.lookup_word(word) is None})
    if unknown:
        raise MultiresError(f"PocketSphinx's dictionary does not hold {', '.join(unknown[:5])}")
    pcm = np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16).tobytes()
    try:
        # Noise statistics and cepstral means are those of a new decoder, not of the utterances before.
        decoder.start_stream()
        decoder.set_cmn(means)
        decoder.set_align_text(" ".join(words))
        _decode(decoder, pcm)
        decoder.set_alignment()
        _decode(decoder, pcm)
        aligned = decoder.get_alignment()
    except RuntimeError as error:
        raise MultiresError(f"PocketSphinx cannot align the text with the audio ({error})") from error
    if aligned is None:
        raise MultiresError("PocketSphinx cannot align the text with the audio")
    made = _read(aligned, len(audio) / SAMPLE_RATE)
    if [word.label for word in made.words or ()] != words:
        raise MultiresError("PocketSphinx cannot fit all of the text to the audio")
    return made


@cache
def _decoder() -> tuple[Any, str]:
    """The decoder, and its cepstral means before any utterance."""
    import pocketsphinx

    decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL")
    return decoder, decoder.get_cmn(False)


def _decode(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def _read(aligned: Any, duration: float) -> Alignment:
    """PocketSphinx's alignment in this package's forms."""
    words, phones = [], []
    for word in aligned:
        name = re.sub(r"\(\d+\)$", "", word.name).lower()
        silent = name in SILENCES or (not name[0].isalpha() and name[0] != "'")
        if not silent:
            words.append(_segment(name, word, duration))
        for phone in word:
            label = SILENCE if silent else from_arpabet(phone.name) or SILENCE
            phones.append(_segment(label, phone, duration))
    return Alignment(tuple(words), tuple(phones))


def _segment(label: str, entry: Any, duration: float) -> Segment:
    start = entry.start / _FRAMES_PER_SECOND
    return Segment(label, start, min(start + entry.duration / _FRAMES_PER_SECOND, duration))
