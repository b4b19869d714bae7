"""Roles of LibriSpeech speakers in the controlled experiment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from multires.corpus import load_corpus
from multires.corpus.utterance import Corpus, Utterance
from multires.errors import MultiresError

TRAINING_SPEAKERS = ("19", "26", "27", "4088", "4406", "5652", "8226")
"""The speakers of train-clean-100 that models are trained on; all others of it are kept for evaluation."""

HELD_OUT_EVERY = 6
"""Of the speakers of test-clean, in numeric order, every sixth is kept from training."""

SPLITS = ("test-clean", "train-clean-100", "test-other")

TEST_SHARE, DEVELOPMENT_SHARE = 0.55, 0.13
"""Shares of the evaluation speakers of train-clean-100 that are test and development speakers; probes train on the rest."""


@dataclass(frozen=True)
class Roles:
    """Speakers by role; no speaker has two roles.

    Attributes
    ----------
    pretraining
        Speakers on whom models are pre-trained.
    fit
        Speakers to whom probes, clusters and canonical directions are fitted.
    development
        Speakers on whom layers, regularizers and units are chosen.
    test
        Speakers on whom every reported score is measured.
    """

    pretraining: tuple[str, ...]
    fit: tuple[str, ...]
    development: tuple[str, ...]
    test: tuple[str, ...]


def assign_roles(speakers: Iterable[tuple[str, str]]) -> Roles:
    """Roles of (split, speaker) pairs of LibriSpeech, a function of their names alone.

    Pre-training: `TRAINING_SPEAKERS`, and test-clean less every sixth speaker. These sixth speakers, who have many
    utterances, are for fitting; the speakers of test-other are test speakers; the other speakers of train-clean-100
    are divided among test, development and fitting by a digest of their number.
    """
    by_split: dict[str, set[str]] = {}
    for split, speaker in speakers:
        by_split.setdefault(split, set()).add(speaker)
    clean = sorted(by_split.get("test-clean", ()), key=_number)
    held_out = clean[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    train = by_split.get("train-clean-100", set())
    others = sorted(train - set(TRAINING_SPEAKERS), key=_digest)
    tests = round(TEST_SHARE * len(others))
    develop = tests + round(DEVELOPMENT_SHARE * len(others))
    return Roles(
        pretraining=tuple(sorted({*set(clean) - set(held_out), *train & set(TRAINING_SPEAKERS)}, key=_number)),
        fit=tuple(sorted({*held_out, *others[develop:]}, key=_number)),
        development=tuple(sorted(others[tests:develop], key=_number)),
        test=tuple(sorted({*others[:tests], *by_split.get("test-other", ())}, key=_number)),
    )


def assign_evaluation(speakers: Iterable[tuple[str, str]], training: Sequence[str]) -> Roles:
    """Roles of (split, speaker) pairs of a corpus with training splits: evaluation speakers are divided by a digest.

    At least one evaluation speaker has each role.

    Raises
    ------
    MultiresError
        If there are fewer than three evaluation speakers, or none to train on.
    """
    pairs = set(speakers)
    trained = {speaker for split, speaker in pairs if split in training}
    others = sorted({speaker for _, speaker in pairs} - trained, key=_digest)
    if len(others) < 3 or not trained:
        raise MultiresError(
            f"{len(trained)} training and {len(others)} evaluation speakers: an experiment needs at least one of the "
            "former and three of the latter; use more hours"
        )
    tests = max(1, round(TEST_SHARE * len(others)))
    develop = tests + max(1, round(DEVELOPMENT_SHARE * len(others)))
    develop = min(develop, len(others) - 1)
    return Roles(
        tuple(sorted(trained)), tuple(others[develop:]), tuple(others[min(tests, develop - 1) : develop]),
        tuple(others[: min(tests, develop - 1)]),
    )  # fmt: skip


def load_experiment_speech(
    folders: str | Path | Sequence[str | Path], *, progress: bool = True
) -> tuple[Corpus, Roles]:
    """Read the experiment's splits of LibriSpeech from one folder, or from several that each hold a part of them.

    Raises
    ------
    MultiresError
        If a folder is missing, an utterance is in two of them, or there are no speakers to train on.
    """
    places = [folders] if isinstance(folders, str | Path) else list(folders)
    parts: list[Corpus] = []
    for folder in places:
        base = Path(folder).expanduser()
        there = [s for s in SPLITS if (base / "LibriSpeech" / s).is_dir() or (base / s).is_dir()]
        if not there:
            raise MultiresError(f"{folder} holds none of {', '.join(SPLITS)}: give the folder that holds LibriSpeech")
        parts.append(load_corpus("librispeech", base, splits=there, progress=progress))
    utterances: dict[str, Utterance] = {}
    for part in parts:
        for utterance in part:
            if utterance.id in utterances:
                raise MultiresError(f"utterance {utterance.id} is in two of the folders: give each part once")
            utterances[utterance.id] = utterance
    ordered = tuple(utterances[key] for key in sorted(utterances))
    roles = assign_roles({(u.split, u.speaker) for u in ordered})
    if not roles.pretraining:
        raise MultiresError("none of the folders holds a speaker to train on: give test-clean or train-clean-100")
    digest = hashlib.sha256("".join(part.fingerprint for part in parts).encode()).hexdigest()[:16]
    skipped = tuple(item for part in parts for item in part.skipped)
    return replace(parts[0], utterances=ordered, skipped=skipped, fingerprint=digest), roles


def _digest(speaker: str) -> str:
    return hashlib.sha256(f"speaker {speaker}".encode()).hexdigest()


def _number(speaker: str) -> tuple[int, str]:
    return (int(speaker), "") if speaker.isdigit() else (1 << 30, speaker)
