"""The synthetic corpus: speech by many speakers, with exact times, made from a seed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from multires.corpus.cache import cache_folder
from multires.corpus.channel import Conditions, microphone, record
from multires.corpus.grammar import PARTS_OF_SPEECH, SEMANTIC_CLASSES, Sentence, sentences
from multires.corpus.manifest import LAYOUT, read_manifest, write_manifest
from multires.corpus.speaking import Speech, Voice, speak
from multires.corpus.utterance import SAMPLE_RATE, SILENCE, Corpus, Segment, Utterance
from multires.errors import MultiresError, choose
from multires.runtime.progress import step_bar
from multires.runtime.temporary import remove_abandoned, temporary_folder

VERSION = 3
"""Raised whenever the same seed would give other samples or labels."""

SPLITS = ("train", "evaluation")

DEFAULT_HOURS = 0.6

EVALUATION_HOURS = 0.6
"""The evaluation split takes half of the hours, but no more than this."""

_SECONDS_PER_SENTENCE = 2.4
"""Mean duration of an utterance; how `hours` becomes a number of sentences."""

CONDITIONS = Conditions()

_TRAIN_VARIANTS = """
Alex Andrea Andy Annie AnxiousAndy Denis Diogo Gene Gene2 Henrique Hugo Jacky Marco Mario Michael Mike
Nguyen RicishayMax RicishayMax2 RicishayMax3 Storm Tweaky UniRobot adam anika anikaRobot announcer aunty
belinda boris croak david f1 grandma iven iven2 iven3 iven4 john linda m1 m2 m4 m5 m7 m8 max miguel mike2
norbert paul pedro robosoft robosoft2 robosoft3 robosoft4 robosoft5 robosoft6 robosoft7 robosoft8 travis
fast
"""
_EVALUATION_VARIANTS = """
antonio benjamin ed edward edward2 f4 grandpa gustave klatt klatt2 klatt3 klatt4 klatt5 klatt6 m3 m6 marcelo
michel pablo quincy rob robert steph steph2 steph3
"""
TRAIN_VARIANTS, EVALUATION_VARIANTS = tuple(_TRAIN_VARIANTS.split()), tuple(_EVALUATION_VARIANTS.split())
"""Voice variants by split. Variants that share a family name stay in one split, whatever the seed.

Left out: those in which espeak-ng uses random numbers or memory that it has not set, so that the same text does not
give the same samples (`Alicia`, `Demonic`, `Reed`, `caleb`, `f2`, `f3`, `f5`, `sandro`, `victor`, `whisper`,
`whisperf`); those that cannot be understood (`Lee`, `ian`, `kaukovalta`, `shelby`, `zac`: a classifier of clean phones
trained on the other voices gets fewer than 4 in 10 right); and `Mr serious`, which is the voice without a variant.
"""


@dataclass(frozen=True, slots=True)
class _Speaker:
    name: str
    split: str
    number: int
    variant: str


def load_synthetic(
    *,
    splits: Sequence[str] | None = None,
    seed: int = 0,
    hours: float | None = None,
    cache: str | Path | None = None,
    progress: bool = True,
) -> Corpus:
    """Synthetic speech by speakers that no two splits share, synthesized once and kept on disk."""
    chosen = tuple(choose("split", split, SPLITS) for split in (splits or SPLITS))
    total = DEFAULT_HOURS if hours is None else hours
    _check(seed, total)
    folder = cache_folder(cache)
    evaluation = min(total / 2, EVALUATION_HOURS)
    utterances: list[Utterance] = []
    skipped: list[tuple[str, str]] = []
    prints = []
    for split in dict.fromkeys(chosen):
        amount = evaluation if split == "evaluation" else total - evaluation
        made = _find_or_make(split, seed, max(1, round(amount * 3600 / _SECONDS_PER_SENTENCE)), folder, progress)
        manifest = read_manifest(made)
        utterances += [_utterance(entry, made) for entry in manifest["utterances"]]
        skipped += [(name, reason) for name, reason in manifest["skipped"]]
        prints.append(manifest["fingerprint"])
    return Corpus(
        name="synthetic",
        utterances=tuple(utterances),
        skipped=tuple(skipped),
        parts_of_speech=PARTS_OF_SPEECH,
        semantic_classes=SEMANTIC_CLASSES,
        fingerprint=hashlib.sha256("".join(prints).encode()).hexdigest()[:16],
    )


def _check(seed: object, hours: object) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise MultiresError(f"seed {seed!r} is not a whole number from 0 up: give one such as 0")
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours <= 1000:
        raise MultiresError(f"hours {hours!r} is not an amount of speech: give a number above 0, such as 0.6")


def _speakers(split: str) -> list[_Speaker]:
    variants = TRAIN_VARIANTS if split == "train" else EVALUATION_VARIANTS
    return [_Speaker(f"{split}-{variant}", split, number, variant) for number, variant in enumerate(variants)]


def _find_or_make(split: str, seed: int, count: int, folder: Path, progress: bool) -> Path:
    """The folder that holds a split's shards and manifest; it is made if it is not there yet."""
    key = f"v{VERSION}-{LAYOUT}-espeak{metadata.version('espeakng-loader')}-{split}-seed{seed}-{count}"
    target = folder / f"synthetic-{key}"
    if (target / "manifest.json").exists():
        return target
    try:
        remove_abandoned(folder)
        with temporary_folder(target) as work:
            _make(split, seed, count, work, progress)
            try:
                os.replace(work, target)
            except OSError:
                if not (target / "manifest.json").exists():  # else another process was faster
                    raise
    except OSError as error:
        raise MultiresError(f"cannot write to the cache {folder}: {error}; choose another cache") from error
    return target


def _make(split: str, seed: int, count: int, folder: Path, progress: bool) -> None:
    """Synthesize a split: one shard of int16 samples a speaker, and a manifest."""
    index = SPLITS.index(split)
    texts = sentences(count, np.random.default_rng([seed, index, 0]))
    speakers = _speakers(split)
    with (
        ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool,
        step_bar(f"synthesizing {split}", count, "utterance", shown=progress) as bar,
    ):

        def one(speaker: _Speaker) -> tuple[list[dict[str, Any]], list[tuple[str, str]], str]:
            mine = list(enumerate(texts))[speaker.number :: len(speakers)]
            result = _speak_all(speaker, mine, seed, folder)
            bar.update(len(mine))
            return result

        made = list(pool.map(one, speakers))
    digest = hashlib.sha256()
    entries: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    for mine, left_out, print_ in made:
        entries += mine
        skipped += left_out
        digest.update(print_.encode())
    digest.update(json.dumps(entries).encode())
    entries.sort(key=lambda entry: entry["id"])
    write_manifest(folder, {"fingerprint": digest.hexdigest(), "utterances": entries, "skipped": skipped})


def _speak_all(
    speaker: _Speaker, texts: Sequence[tuple[int, Sentence]], seed: int, folder: Path
) -> tuple[list[dict[str, Any]], list[tuple[str, str]], str]:
    """One speaker's utterances: manifest entries, what was left out, and a digest of the samples."""
    base = [seed, SPLITS.index(speaker.split), 1 + speaker.number]
    rng = np.random.default_rng(base)
    voice = Voice(
        speaker.variant,
        rate=int(rng.integers(150, 211)),
        pitch=int(rng.integers(25, 76)),
        range=int(rng.integers(20, 81)),
    )
    tract = int(rng.integers(36, 45))  # fortieths: how far formants and pitch are moved together
    response = microphone(rng, CONDITIONS)
    spoken = speak(voice, [sentence.words for _, sentence in texts]) if texts else []
    entries, skipped, waves, start = [], [], [], 0
    for (number, sentence), speech in zip(texts, spoken, strict=True):
        name = f"{speaker.split}-{number:05d}-{speaker.variant}"
        if speech.problem:
            skipped.append((name, speech.problem))
            continue
        wave, words, phones = _recorded(speech, tract, response, np.random.default_rng([*base, number]))
        waves.append(wave)
        entries.append(
            {
                "id": name,
                "speaker": speaker.name,
                "split": speaker.split,
                "shard": f"{speaker.variant}.npy",
                "start": start,
                "samples": len(wave),
                "transcript": " ".join(sentence.words),
                "intent": sentence.intent,
                "words": words,
                "phones": phones,
            }
        )
        start += len(wave)
    shard = np.concatenate(waves) if waves else np.zeros(0, np.int16)
    np.save(folder / f"{speaker.variant}.npy", shard)
    return entries, skipped, hashlib.sha256(shard.tobytes()).hexdigest()


def _recorded(
    speech: Speech, tract: int, response: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[str, float, float]], list[tuple[str, float, float]]]:
    """Samples as recorded (int16 at 16 kHz), and words and phones as (label, start, end), with a pause at each end."""
    up, down = 8 * tract, 441  # 22,050 Hz to 16 kHz, stretched by tract / 40
    stretch = up * speech.sample_rate / (down * SAMPLE_RATE)
    from scipy.signal import resample_poly  # takes half a second to load, and most runs find their speech kept

    clean = resample_poly(speech.samples / 32768, up, down)
    lead, tail = (int(SAMPLE_RATE * rng.uniform(0.08, 0.25)) for _ in range(2))
    wave = record(np.pad(clean, (lead, tail)), response, rng, CONDITIONS)
    samples = np.round(wave * 32767).astype(np.int16)
    duration = len(samples) / SAMPLE_RATE

    def moved(time: float) -> float:
        return min(round(time * stretch + lead / SAMPLE_RATE, 6), duration)

    words = [(word.label, moved(word.start), moved(word.end)) for word in speech.words]
    phones = [(phone.label, moved(phone.start), moved(phone.end)) for phone in speech.phones]
    for place, edge in ((0, 0.0), (len(phones) - 1, duration)):
        label, start, end = phones[place]
        if label == SILENCE:
            phones[place] = (label, min(start, edge), max(end, edge))
    if phones[-1][0] != SILENCE:
        phones.append((SILENCE, phones[-1][2], duration))
    if phones[0][0] != SILENCE:
        phones.insert(0, (SILENCE, 0.0, phones[0][1]))
    return samples, words, phones


@dataclass(frozen=True, slots=True)
class _Clip:
    """Reads a stretch of a shard; a plain value, so that utterances can be sent to other processes."""

    shard: Path
    start: int
    samples: int

    def __call__(self) -> np.ndarray:
        try:
            stored = np.load(self.shard, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise MultiresError(
                f"cannot read {self.shard}: delete {self.shard.parent} to have it made again"
            ) from error
        return stored[self.start : self.start + self.samples].astype(np.float32) / 32768


def _utterance(entry: dict[str, Any], folder: Path) -> Utterance:
    return Utterance(
        id=entry["id"],
        speaker=entry["speaker"],
        split=entry["split"],
        duration=entry["samples"] / SAMPLE_RATE,
        read=_Clip(folder / entry["shard"], entry["start"], entry["samples"]),
        transcript=entry["transcript"],
        words=tuple(Segment(*segment) for segment in entry["words"]),
        phones=tuple(Segment(*segment) for segment in entry["phones"]),
        attributes={"intent": entry["intent"]},
    )
