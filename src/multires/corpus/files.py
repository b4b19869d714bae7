"""Reads audio and text files, and says plainly what is wrong with a bad one."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from multires.corpus.utterance import SAMPLE_RATE
from multires.errors import MultiresError

SHORTEST = 0.025
"""Seconds; shorter audio holds not one frame of a speech model."""

LOWEST_RATE = 8_000
"""Hertz; audio sampled more slowly holds too little of speech to be used."""


class BadFile(MultiresError):
    """A file that cannot be used; the message starts with its path, `reason` is the rest."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What is known of an audio file once it has been read.

    Attributes
    ----------
    duration
        Seconds after reading.
    sample_rate, channels
        Of the file, before it is made mono 16 kHz.
    digest
        Of the file's bytes.
    """

    duration: float
    sample_rate: int
    channels: int
    digest: str


@dataclass(frozen=True, slots=True)
class AudioFile:
    """Reads one file when called; a plain value, so that utterances can be sent to other processes."""

    path: Path

    def __call__(self) -> np.ndarray:
        """Mono float32 at 16 kHz, shape (samples,)."""
        return read_audio(self.path)[0]


def read_audio(path: Path) -> tuple[np.ndarray, AudioFacts]:
    """Samples (mono float32 in [-1, 1] at 16 kHz, shape (samples,)) and facts of any file that soundfile reads.

    Channels are averaged and the rate changed with a polyphase filter. Samples beyond [-1, 1], which float formats can
    hold, bring the whole file down so that it fits.

    Raises
    ------
    BadFile
        Where the file is missing, empty, not audio, cut off, shorter than 25 ms, sampled below 8 kHz, or holds values
        that are not numbers.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(path, f"cannot be read: {error.strerror}") from error
    if not data:
        raise BadFile(path, "is empty")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, channels, expected = file.samplerate, file.channels, file.frames
            wave = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise BadFile(path, f"is not audio that can be read ({_one_line(error)})") from error
    if len(wave) < expected or _cut_off(data):
        raise BadFile(path, "is cut off: it holds less audio than its header says")
    if not len(wave):
        raise BadFile(path, "holds no samples")
    if not np.isfinite(wave).all():
        raise BadFile(path, "holds samples that are not numbers (NaN or infinity)")
    if rate < LOWEST_RATE:
        raise BadFile(path, f"is sampled at {rate} Hz: at least {LOWEST_RATE} Hz is needed")
    if len(wave) < SHORTEST * rate:
        raise BadFile(path, f"lasts {1000 * len(wave) / rate:.0f} ms: at least {1000 * SHORTEST:.0f} ms is needed")
    mono = wave.mean(axis=1)
    if rate != SAMPLE_RATE:
        shared = math.gcd(rate, SAMPLE_RATE)
        from scipy.signal import resample_poly  # takes half a second to load, and most corpora are at 16 kHz

        mono = resample_poly(mono, SAMPLE_RATE // shared, rate // shared).astype(np.float32)
    mono /= max(1.0, float(np.abs(mono).max()))
    facts = AudioFacts(len(mono) / SAMPLE_RATE, rate, channels, hashlib.sha256(data).hexdigest())
    return mono, facts


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or, failing these, Windows-1252 or Latin-1.

    Raises
    ------
    BadFile
        Where it cannot be read or is not text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(path, f"cannot be read: {error.strerror}") from error
    for encoding in _encodings(data):
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if "\0" not in text:
            return text
    raise BadFile(path, "is not text in UTF-8, UTF-16 or Latin-1: save it as UTF-8")


def _encodings(data: bytes) -> tuple[str, ...]:
    """Encodings to try, in order."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    if b"\0" in data[:2]:
        return ("utf-16-be", "utf-16-le") if data[:1] == b"\0" else ("utf-16-le",)
    return ("utf-8-sig", "cp1252", "latin-1")


def _cut_off(data: bytes) -> bool:
    """Whether a RIFF or AIFF file is shorter than its header says; libsndfile reads such a file without complaint."""
    if data[:4] == b"RIFF":
        size = int.from_bytes(data[4:8], "little")
    elif data[:4] == b"FORM":
        size = int.from_bytes(data[4:8], "big")
    else:
        return False
    streamed = size in (0, 0xFFFFFFFF)
    return not streamed and len(data) < 8 + size - size % 2


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".").replace("Error opening <_io.BytesIO object at ", "")[-80:]
