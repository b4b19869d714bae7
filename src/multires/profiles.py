"""Profiles: named settings of the corpus, models and sample sizes that a run of the book uses."""

from __future__ import annotations

import logging
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from multires.errors import MultiresError, choose

View = Literal["mel", "conv", "phone", "word", "part_of_speech", "layer"]
VIEWS: tuple[str, ...] = get_args(View)
"""Views that CCA compares a layer with."""

Variant = Literal["mean", "svcca", "pwcca", "layerwise-analysis", "cka"]
Kind = Literal["librispeech-sample", "synthetic", "librispeech", "folder"]
Size = Literal["small", "base", "large", "xlarge"]
Setting = Literal["quick", "thorough"]

ALIASES: dict[str, str] = {"embedded": "synthetic"}
"""Former names of profiles and corpora, by which they can still be opened, and their present ones."""

_ALSO = {"train_splits": "train", "evaluation_splits": "evaluation"}
"""Further names of settings, as the command line and the notebooks have them."""

_NAMES = {"efficiency_setting": "setting", "efficiency_size": "size", "views": "view"}
"""Names of settings in messages, where they differ from those of the fields."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Profile:
    """Everything a run depends on besides its seed, device and folders.

    Attributes
    ----------
    name, description
        The name and one line about the profile.
    corpus
        librispeech-sample, synthetic, librispeech or folder.
    hours
        Of synthetic speech in all.
    splits
        The splits to read; all if empty.
    utterances
        Maximum utterances per split, spread over its speakers; all if None.
    downloads
        Whether the corpus is downloaded from its publishers if no folder is given.
    train, evaluation
        The splits that clusters and probes are fitted on and evaluated on; no speaker is in both.
    split_by_speaker
        Divide the speech into ``train`` and ``evaluation`` by speaker, with this share of it for training; None leaves
        the corpus's own splits.
    allow_shared_speakers
        Accept speakers that are both in the training and in the evaluation splits; results say so.
    models
        Names that `multires.models.load_model` knows.
    model_seeds
        The seeds of untrained models; each is a model of its own.
    frames
        Frames sampled from each split, at each frame period.
    phones_each, words_each
        Maximum segments of each phone, and of each word, in each split, drawn at random; all if None.
    views
        What CCA compares each layer with.
    reference_model
        The model whose last layer is the view ``layer``.
    variant
        Of CCA: mean, svcca, pwcca, layerwise-analysis or cka.
    folds, trials, regularizers
        Of CCA; the last is the number of pairs of regularizers that each trial chooses from.
    word_types
        Maximum number of different words, the most frequent ones, in CCA, MI and probes.
    word_instances
        Minimum occurrences of a word in a split; rarer words are left out there, and counted.
    phone_clusters, word_clusters
        Of k-means for MI; fewer, with a warning, where the data cannot fill them.
    cluster_seeds
        Number of seeds that k-means is repeated with.
    resamples
        Number of resamples of every bootstrap.
    probe_instances
        Maximum segments of a kind in a split that train or test a probe.
    frame_utterances
        Maximum aligned utterances of each split whose frames are read whole, for ABX and comparisons at equal frame rates.
    matched_instances
        Maximum phones, and maximum words, of each split in comparisons at equal frame rates.
    grid_frames
        Maximum windows of each split in units, maps of similarity, and the geometry of layers.
    unit_clusters
        Numbers of clusters of units that are compared with phones frame by frame.
    efficiency_size, efficiency_setting
        The model size that is timed, and quick or thorough.
    """

    name: str
    description: str
    corpus: Kind
    train: tuple[str, ...]
    evaluation: tuple[str, ...]
    models: tuple[str, ...]
    hours: float | None = None
    splits: tuple[str, ...] = ()
    utterances: int | None = None
    downloads: bool = False
    split_by_speaker: float | None = None
    allow_shared_speakers: bool = False
    model_seeds: tuple[int, ...] = (0,)
    frames: int = 10_000
    phones_each: int | None = None
    words_each: int | None = None
    views: tuple[View, ...] = get_args(View)
    reference_model: str = "untrained/hubert-small"
    variant: Variant = "pwcca"
    folds: int = 10
    trials: int = 3
    regularizers: int = 6
    word_types: int = 500
    word_instances: int = 8
    phone_clusters: int = 500
    word_clusters: int = 500
    cluster_seeds: int = 3
    resamples: int = 200
    probe_instances: int = 8_000
    frame_utterances: int = 150
    matched_instances: int = 1_500
    grid_frames: int = 6_000
    unit_clusters: tuple[int, ...] = (50, 200)
    efficiency_size: Size = "base"
    efficiency_setting: Setting = "quick"


_CONDITIONS = ("hubert", "mono", "mono+aux", "multi", "multi+aux")
DEFAULT = "librispeech-sample"
"""The profile of a run that names none."""

SHIPPED = ("librispeech-sample", "synthetic")
"""Corpora that need no folder: recordings in the package, and speech that is synthesized."""

_UNTRAINED = ("untrained/hubert-mel", "untrained/mono-mel", "untrained/multi-mel")


def _small() -> tuple[str, ...]:
    """One model of each condition of the controlled experiment on read speech, and untrained ones."""
    return (*(f"librispeech/{condition}-0" for condition in _CONDITIONS), *_UNTRAINED)


_ON_TWO_CORES: dict[str, Any] = {
    "frames": 4_000, "regularizers": 2, "cluster_seeds": 2, "probe_instances": 3_000, "frame_utterances": 45,
    "matched_instances": 600, "grid_frames": 4_000, "train": ("train",), "evaluation": ("evaluation",), "models": _small(),
    "reference_model": "librispeech/hubert-0",
}  # fmt: skip
"""Settings of the speech that needs no folder. All six regularizers give scores within 2e-8 of two."""

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="librispeech-sample",
            description="read speech, half an hour of LibriSpeech that comes with the package, small models",
            corpus="librispeech-sample",
            views=("mel", "phone", "word", "layer"),  # log-mel models have no waveform encoder, and words no tags here
            **_ON_TWO_CORES,
        ),
        Profile(
            name="synthetic",
            description="speech synthesized by espeak-ng, small models trained on read speech; runs anywhere",
            corpus="synthetic",
            hours=0.18,
            **_ON_TWO_CORES,
        ),
        Profile(
            name="librispeech",
            description="read speech from a folder in LibriSpeech's layout, small models",
            corpus="librispeech",
            train=("train-clean-100",),
            evaluation=("test-other",),
            models=_small(),
            reference_model="librispeech/hubert-0",
        ),
        Profile(
            name="paper",
            description="the published checkpoints on LibriSpeech, at the sample sizes of layer-wise analysis",
            corpus="librispeech",
            downloads=True,
            splits=("train-clean-100", "dev-clean"),
            train=("train-clean-100",),
            evaluation=("dev-clean",),
            models=("hubert_base", "mono_base", "b4-a", "b5-a"),
            reference_model="hubert_base",
            frames=45_000,  # as many windows of 80 ms as 500 utterances of dev-clean have
            phones_each=3_000,
            words_each=600,
            variant="layerwise-analysis",
            word_instances=15,
            word_clusters=5_000,
            probe_instances=50_000,
            matched_instances=5_000,
            grid_frames=50_000,
            unit_clusters=(100, 500, 2_000),
            efficiency_setting="thorough",
        ),
    )
}


_FIXED = ("name", "description", "downloads")
"""Fields that belong to a profile and cannot be set."""


def get_profile(name: str, **overrides: Any) -> Profile:
    """A profile by name, with some of its fields replaced; None or empty text keeps the profile's own value.

    Raises
    ------
    MultiresError
        For an unknown profile or field, or a value of the wrong type or range.

    Examples
    --------
    >>> get_profile("synthetic", models="mel, mfcc", frames="500").models
    ('mel', 'mfcc')
    """
    profile = PROFILES[choose("profile", present_name("profile", name), list(PROFILES))]
    hints = get_type_hints(Profile)
    given: dict[str, Any] = {}
    for key, value in overrides.items():
        key = setting(key)
        if key not in hints:
            raise MultiresError(f"profiles have no setting {key!r}: choose one of {', '.join(sorted(hints))}")
        if value is not None and value != "":
            if key in _FIXED:
                raise MultiresError(f"{key} belongs to the profile and cannot be set")
            value = present_name(key, value) if key == "corpus" else value
            given[key] = _converted(key, hints[key], value)
    profile = replace(profile, **given)
    refuse_common_splits(profile.train, profile.evaluation)
    if profile.split_by_speaker is not None:
        if {"train", "evaluation"} & given.keys():
            raise MultiresError(
                "split_by_speaker makes the splits train and evaluation itself: give either it or these"
            )
        profile = replace(profile, train=("train",), evaluation=("evaluation",))
    return profile


def present_name(what: str, name: Any) -> Any:
    """The present name of a profile or corpus, with a notice if the one given is a former one; others are returned."""
    if not isinstance(name, str) or name not in ALIASES:
        return name
    logger.warning("%s %r is now called %r", what, name, ALIASES[name])
    return ALIASES[name]


def setting(key: str) -> str:
    """The field of a profile that a name of a setting stands for."""
    return _ALSO.get(key, key)


def _converted(key: str, hint: Any, value: Any) -> Any:
    """`value` as the type of a field: lists and comma-separated strings become tuples, numbers are checked."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is tuple:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple) or not value:
            raise MultiresError(f"{key} must be a list or a comma-separated string, not {value!r}")
        return once(key, [_converted(key, get_args(hint)[0], part) for part in value])
    if get_origin(hint) is Literal:
        return choose(_NAMES.get(key, key), value, get_args(hint))
    if hint is bool:
        return _truth(key, value)
    if hint is int:
        return positive_integer(key, value, 0 if key == "model_seeds" else 1)
    if hint is float:
        return _amount(key, value, *((1000, "hours") if key == "hours" else (1, "share")))
    if not isinstance(value, str):
        raise MultiresError(f"{key} must be a string, not {value!r}")
    return value


def _truth(key: str, value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        value = value.strip().lower() == "true"
    if not isinstance(value, bool):
        raise MultiresError(f"{key} must be True or False, not {value!r}")
    return value


def _amount(key: str, value: Any, most: int, what: str) -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 < number <= most or (what == "share" and number == 1):
        wanted = "a number of hours above 0" if what == "hours" else "a share between 0 and 1, such as 0.5"
        raise MultiresError(f"{key} must be {wanted}, not {value!r}")
    return number


Item = TypeVar("Item")


def once(key: str, values: Iterable[Item]) -> tuple[Item, ...]:
    """Each value once, in order; a value that is given several times is reported."""
    values = tuple(values)
    kept = tuple(dict.fromkeys(values))
    for value in kept:
        if (count := values.count(value)) > 1:
            logger.warning("%s: %s is given %d times and counts once", key, value, count)
    return kept


def refuse_common_splits(train: Sequence[str], evaluation: Sequence[str]) -> None:
    """Raise `MultiresError` if a split is to be fitted on and evaluated on."""
    common = [split for split in train if split in evaluation]
    if common:
        raise MultiresError(
            f"split {common[0]!r} is both in train and in evaluation: scores on the speech that was fitted to say nothing; "
            "choose two different splits, or divide one by speaker with split_by_speaker=0.5"
        )


def positive_integer(key: str, value: Any, lowest: int = 1) -> int:
    """`value` as an integer of at least `lowest`, or an error that names `key`."""
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise MultiresError(f"{key} must be a whole number of at least {lowest}, not {value!r}")
    return value


def text_parameter(key: str, value: Any) -> str:
    """`value` as text: papermill's ``-p`` makes a number of a name such as 2024, and an empty one stays empty.

    Raises
    ------
    MultiresError
        If it is neither text, a path nor a whole number.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, bool | float) or not (
        isinstance(value, str) or hasattr(value, "__fspath__") or hasattr(value, "fs")
    ):
        raise MultiresError(
            f"{key} must be text, not {value!r}: in papermill, give it with -r {key} instead of -p {key}"
        )
    return str(value)
