"""The speech of a run: which folder, read as which kind of corpus, with which splits for which role."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from multires.analysis.plan import corpus_folder
from multires.corpus.detect import Found, default_roles, detect
from multires.corpus.files import readable
from multires.corpus.folder import WHOLE
from multires.corpus.roles import EVALUATION, TRAIN
from multires.errors import MultiresError
from multires.profiles import PROFILES, SHIPPED, Profile, get_profile, setting, text_parameter

logger = logging.getLogger(__name__)

_NONE = Found("folder", ())


def data_folder(profile: Profile, data: Any) -> Path | None:
    """The folder of a run's corpus; None for speech that comes with the package or is synthesized.

    Raises
    ------
    MultiresError
        If the profile needs a folder and none is given, or there is no such folder.
    """
    given = text_parameter("data", data)
    if not given:
        if profile.corpus in SHIPPED:
            return None
        if profile.downloads:
            return corpus_folder()
        raise MultiresError(
            f"profile {profile.name!r} reads speech from a folder: set data (make book DATA=..., --data, -p data ...)"
        )
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise MultiresError(f"data: there is no folder {readable(folder)}")
    return folder.resolve()


def speech_profile(name: str, data: Any, **overrides: Any) -> Profile:
    """A profile that reads the speech it is given.

    A folder that is given to a profile that needs none is read, with the settings that profile librispeech has for
    folders. Splits that are not named are found by their names, as in ``train`` and ``test``; a corpus without such
    splits is divided by speaker.

    Raises
    ------
    MultiresError
        As `get_profile` does, or if the folder holds no audio.
    """
    profile = get_profile(name, **overrides)
    given = text_parameter("data", data)
    if not given or profile.downloads:
        return profile
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise MultiresError(f"data: there is no folder {readable(folder)}")
    named = {setting(key) for key, value in overrides.items() if value is not None and value != ""}
    if profile.corpus in SHIPPED:
        if "corpus" in named:
            raise MultiresError(f"corpus {profile.corpus!r} reads no folder: leave data out, or the corpus")
        found = detect(folder)
        profile = _on_real_speech(profile, found, named)
        logger.info("data: %s is read as %s", readable(folder), _described(found))
    else:
        found = _found(folder, profile)
    if "split_by_speaker" in named:
        return profile
    if named & {"train", "evaluation"}:
        roles = (*profile.train, *profile.evaluation)
        in_folders = profile.corpus == "folder" and not profile.splits and WHOLE not in roles
        return replace(profile, splits=roles) if in_folders else profile
    return _with_roles(profile, found)


def _on_real_speech(profile: Profile, found: Found, named: set[str]) -> Profile:
    """The profile with the settings of profile librispeech where the caller gave none."""
    other = PROFILES["librispeech"]
    changes = {field.name: getattr(other, field.name) for field in fields(Profile) if field.name not in named}
    if "split_by_speaker" in named:
        changes.update(train=(TRAIN,), evaluation=(EVALUATION,))
    return replace(profile, **{**changes, "name": found.kind, "corpus": found.kind})


def _found(folder: Path, profile: Profile) -> Found:
    """The layout of a folder whose kind is known; without splits where it is not as expected, which reading will say."""
    try:
        found = detect(folder)
    except MultiresError:
        return _NONE
    return found if found.kind == profile.corpus else _NONE


def _with_roles(profile: Profile, found: Found) -> Profile:
    there = profile.splits or found.splits
    if not there and profile.corpus != "folder":
        return profile
    if {*profile.train, *profile.evaluation} <= set(there):
        return profile
    roles = default_roles(there)
    if roles is None:
        logger.info("the speech is divided by speaker: one half is fitted to, the other is evaluated on")
        return replace(profile, split_by_speaker=0.5, train=(TRAIN,), evaluation=(EVALUATION,))
    train, evaluation = roles
    logger.info("splits: %s to fit to, %s to evaluate on", ", ".join(train), ", ".join(evaluation))
    splits = profile.splits if profile.splits or profile.corpus == "librispeech" else (*train, *evaluation)
    return replace(profile, splits=splits, train=train, evaluation=evaluation)


def _described(found: Found) -> str:
    if found.kind == "librispeech":
        return f"LibriSpeech's layout (corpus librispeech), splits {', '.join(found.splits)}"
    return "a folder of audio files (corpus folder)" + (f", splits {', '.join(found.splits)}" if found.splits else "")
