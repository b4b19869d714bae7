"""Audio and text files, with errors that say what is wrong with a bad one."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from multires.corpus.containers import Content, ContentReader, contents
from multires.corpus.resampling import Resampler
from multires.corpus.utterance import SAMPLE_RATE
from multires.errors import MultiresError

SHORTEST = 0.025
"""Seconds; shorter audio holds not one frame of a speech model."""

LONGEST = 12 * 3600
"""Seconds; longer audio is refused: a few megabytes of compressed silence can hold days."""

LOWEST_RATE, HIGHEST_RATE = 8_000, 384_000
"""Hertz; below, too little of speech is left, and no recorder writes more."""

FORMATS = frozenset({"AIFF", "AU", "CAF", "FLAC", "HTK", "MP3", "NIST", "OGG", "RF64", "W64", "WAV", "WAVEX"})
"""The formats, in libsndfile's names, that are read: those of speech corpora in which a missing end shows."""

LARGEST_TEXT = 32 << 20
"""Bytes; no transcript or alignment of one recording is larger."""

_BLOCK = 1 << 18
"""Values that are decoded at a time, over all channels."""

_CANCELLED = 0.05
"""Power of a mix, relative to that of independent channels, below which its channels cancel each other out."""


class BadFile(MultiresError):
    """A file that cannot be used; the message starts with its path, `reason` is the rest."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{readable(path)}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """Properties of an audio file that has been read.

    Attributes
    ----------
    duration
        Seconds after reading.
    sample_rate, channels
        Of the file, before it is made mono 16 kHz.
    digest
        Of the file's bytes.
    peak
        The largest magnitude of the mono signal before it is scaled to fit [-1, 1].
    """

    duration: float
    sample_rate: int
    channels: int
    digest: str
    peak: float = 1.0


@dataclass(frozen=True, slots=True)
class AudioFile:
    """Reads one file when called; a plain value, so that utterances can be sent to other processes.

    Attributes
    ----------
    path
        The file.
    peak
        As in `AudioFacts`; with it the file can be read in blocks in one pass.
    """

    path: Path
    peak: float | None = None

    def __call__(self) -> np.ndarray:
        """Mono float32 at 16 kHz, shape (samples,)."""
        return read_audio(self.path)[0]

    def blocks(self) -> Iterator[np.ndarray]:
        """The same samples in consecutive blocks, so that a long recording is never held as a whole."""
        peak = audio_facts(self.path).peak if self.peak is None else self.peak
        for block in _Decoder(self.path).blocks():
            yield block / np.float32(max(1.0, peak))


def read_audio(path: Path) -> tuple[np.ndarray, AudioFacts]:
    """Samples (mono float32 in [-1, 1] at 16 kHz, shape (samples,)) and facts of an audio file (see `FORMATS`).

    The file is decoded to its end, whatever length its header gives. Channels are averaged and the rate changed with a
    polyphase filter. Samples beyond [-1, 1], which float formats can hold, scale the whole file down so that it fits.

    Raises
    ------
    BadFile
        If the file is missing, no regular file, empty, not audio, cut off, shorter than 25 ms, longer than 12 hours,
        sampled below 8 kHz or above 384 kHz, holds values that are not numbers, or has channels that cancel each other
        out.

    Examples
    --------
    >>> import numpy, pathlib, soundfile, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "noise.flac"
    >>> soundfile.write(path, numpy.random.default_rng(0).normal(0, 0.1, (44100, 2)), 44100)
    >>> samples, facts = read_audio(path)
    >>> samples.shape, facts.duration, facts.channels
    ((16000,), 1.0, 2)
    """
    decoder = _Decoder(path)
    blocks = list(decoder.blocks())
    mono = np.concatenate(blocks)
    mono /= np.float32(max(1.0, decoder.peak))
    return mono, decoder.facts()


def audio_facts(path: Path) -> AudioFacts:
    """The facts of an audio file, decoded to its end in constant memory; raises as `read_audio` does."""
    decoder = _Decoder(path)
    for _ in decoder.blocks():
        pass
    return decoder.facts()


class _Stream(soundfile.SoundFile):
    """A file read from its start to its end.

    soundfile seeks after each read in files that can be sought in, which fails for FLAC of unknown length and for GSM.
    """

    def seekable(self) -> bool:
        return False


class _Decoder:
    """Decodes one file in blocks, and gathers its facts meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rate = self.channels = 0
        self.peak = 0.0
        self._frames = self._samples = 0
        self._power = self._mixed = 0.0
        self._digest = ""

    def blocks(self) -> Iterator[np.ndarray]:
        """Mono float32 at 16 kHz, not yet scaled; raises `BadFile` at the end at the latest."""
        with opened(self.path) as file:
            if not file.read(1):
                raise BadFile(self.path, "is empty")
            file.seek(0)
            self._digest = hashlib.file_digest(file, "sha256").hexdigest()
            resampler: Resampler | None = None
            for block in self._decoded(file):
                self._check_and_count(block)
                mono = block.mean(axis=1)
                self._mixed += float(np.square(mono, dtype=np.float64).sum())
                resampler = resampler or Resampler(self.rate, SAMPLE_RATE)
                yield from self._given(resampler.push(mono))
            if resampler is not None:
                yield from self._given(resampler.finish())
        self._check_whole()

    def facts(self) -> AudioFacts:
        return AudioFacts(self._samples / SAMPLE_RATE, self.rate, self.channels, self._digest, max(1.0, self.peak))

    def _decoded(self, file: BinaryIO) -> Iterator[np.ndarray]:
        """Blocks of shape (frames, channels) of all recordings in the file."""
        found = contents(file)
        if any(content.cut for content in found):
            raise BadFile(self.path, "is cut off: it holds less audio than its header says")
        for content in found:
            yield from self._of(content, file)

    def _of(self, content: Content, file: BinaryIO) -> Iterator[np.ndarray]:
        """Blocks of one recording; decoded as its header says from where decoding beyond it fails."""
        count, problem = 0, ""
        for attempt in (content, replace(content, patches=())) if content.frames else (content,):
            passed, problem = 0, ""
            try:
                for block in self._read(attempt, file):
                    new = block[max(0, count - passed) :]
                    passed += len(block)
                    count += len(new)
                    if len(new):
                        yield new
            except BadFile:
                raise
            except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, MemoryError, OSError) as error:
                problem = _one_line(error)
            if content.frames and count >= content.frames:
                return
            if not problem:
                break
        if content.frames and count < content.frames:
            raise BadFile(self.path, "is cut off or damaged: it holds less audio than its header says")
        if problem and self.rate:
            raise BadFile(self.path, f"cannot be decoded to its end ({problem}): it is damaged or cut off")
        if problem:
            raise BadFile(self.path, f"is not audio that can be read ({problem})")

    def _read(self, content: Content, file: BinaryIO) -> Iterator[np.ndarray]:
        with _Stream(ContentReader(file, content)) as stream:
            if stream.format not in FORMATS:
                raise BadFile(
                    self.path, f"is of the format {stream.format}, which is not read: convert it to FLAC or WAV"
                )
            self._check_format(stream.samplerate, stream.channels, content.frames)
            buffer = np.empty((max(1, _BLOCK // stream.channels), stream.channels), np.float32)
            left = content.frames if content.frames and not content.patches else 1 << 62
            while len(block := stream.read(out=buffer[:left])):
                left -= len(block)
                yield block

    def _check_format(self, rate: int, channels: int, frames: int | None) -> None:
        if rate < LOWEST_RATE:
            raise BadFile(self.path, f"is sampled at {rate} Hz: at least {LOWEST_RATE} Hz is needed")
        if rate > HIGHEST_RATE:
            raise BadFile(self.path, f"is sampled at {rate} Hz: at most {HIGHEST_RATE} Hz is read")
        if self.rate and (rate, channels) != (self.rate, self.channels):
            raise BadFile(self.path, "joins recordings of different sample rates or channels: split it into files")
        self.rate, self.channels = rate, channels
        if frames is not None and frames > LONGEST * rate:
            raise self._too_long()

    def _check_and_count(self, block: np.ndarray) -> None:
        self._frames += len(block)
        if self._frames > LONGEST * self.rate:
            raise self._too_long()
        power = float(np.square(block, dtype=np.float64).sum())
        if not np.isfinite(power):
            raise BadFile(self.path, "holds samples that are not numbers (NaN or infinity)")
        self._power += power / block.shape[1]

    def _given(self, block: np.ndarray) -> Iterator[np.ndarray]:
        if len(block):
            self._samples += len(block)
            self.peak = max(self.peak, float(np.abs(block).max()))
            yield block

    def _check_whole(self) -> None:
        if not self._frames:
            raise BadFile(self.path, "holds no samples")
        if self._frames < SHORTEST * self.rate:
            length = 1000 * self._frames / self.rate
            raise BadFile(self.path, f"lasts {length:.0f} ms: at least {1000 * SHORTEST:.0f} ms is needed")
        if self.channels > 1 and self._mixed * self.channels < _CANCELLED * self._power:
            raise BadFile(
                self.path, f"has {self.channels} channels that cancel each other out when they are averaged (opposite "
                "phases): keep one of them",
            )  # fmt: skip

    def _too_long(self) -> BadFile:
        return BadFile(self.path, f"lasts more than {LONGEST // 3600} hours: cut it into shorter recordings")


def opened(path: Path) -> io.BufferedReader:
    """A regular file, open for reading; a pipe or a device, which may never end, is refused.

    Raises
    ------
    BadFile
        If it cannot be opened or is not a regular file.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        if regular:
            return path.open("rb")
    except (OSError, ValueError) as error:
        raise BadFile(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    raise BadFile(path, "is not a regular file (a pipe, a device or a folder)")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or, failing these, Windows-1252 or Latin-1.

    Raises
    ------
    BadFile
        If it cannot be read, is not text, or is larger than 32 MiB.
    """
    with opened(path) as file:
        try:
            data = file.read(LARGEST_TEXT + 1)
        except OSError as error:
            raise BadFile(path, f"cannot be read: {error.strerror}") from error
    if len(data) > LARGEST_TEXT:
        raise BadFile(path, f"is larger than {LARGEST_TEXT >> 20} MiB: it is not the text of one recording")
    for encoding in _encodings(data):
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if "\0" not in text:
            return text
    raise BadFile(path, "is not text in UTF-8, UTF-16 or Latin-1: save it as UTF-8")


def readable(name: str | os.PathLike[str]) -> str:
    r"""A name for messages and tables: bytes that are not UTF-8 and control characters are escaped.

    Examples
    --------
    >>> readable("caf\udce9\n.wav")
    'caf\\xe9\\n.wav'
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _encodings(data: bytes) -> tuple[str, ...]:
    """Encodings to try, in order."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    if b"\0" in data[:2]:
        return ("utf-16-be", "utf-16-le") if data[:1] == b"\0" else ("utf-16-le",)
    return ("utf-8-sig", "cp1252", "latin-1")


def _one_line(error: Any) -> str:
    """An error's text without the address of the object that was read, which differs at each run."""
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    return " ".join(text.split()).rstrip(".")[-80:] or type(error).__name__
