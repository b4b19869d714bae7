"""Named sets of choices: which corpus, models and sample sizes a run of the book uses."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from multires.errors import MultiresError, choose

VIEWS = ("mel", "conv", "phone", "word", "part_of_speech", "layer")
"""What CCA compares a layer with."""


@dataclass(frozen=True)
class Profile:
    """Everything a run depends on besides its seed, device and folders.

    Attributes
    ----------
    name, description
        For people; `description` is one line.
    corpus
        embedded, librispeech or folder.
    hours
        Of embedded speech in all.
    splits
        The splits to read; all there are where empty.
    utterances
        At most so many utterances a split, spread over its speakers; all where None.
    downloads
        Whether the corpus is fetched from its publishers where no folder is named.
    train, evaluation
        The splits that clusters and probes are fitted on and judged on; no speaker is in both.
    models
        Names that `multires.models.load_model` knows.
    model_seeds
        The seeds of untrained models; each is a model of its own.
    frames
        Frames sampled from each split, at each frame period.
    phones_each, words_each
        At most so many segments of each phone, and of each word, in each split, drawn at random; all where None.
    views
        What CCA compares each layer with.
    reference_model
        The model whose last layer is the view ``layer``.
    variant
        Of CCA: mean, svcca, pwcca, layerwise-analysis or cka.
    folds, trials, regularisers
        Of CCA; the last is how many pairs of regularisers each trial chooses from.
    word_types
        At most this many different words, the most frequent ones, in CCA, MI and probes.
    word_instances
        A word that occurs less often in a split is left out there (and counted).
    phone_clusters, word_clusters
        Of k-means for MI; fewer, with a warning, where the data cannot fill them.
    cluster_seeds
        k-means is repeated with so many seeds.
    resamples
        Of every bootstrap.
    probe_instances
        At most this many segments a split and unit train or test a probe.
    efficiency_size, efficiency_setting
        The model size that is timed, and quick or thorough.
    """

    name: str
    description: str
    corpus: str
    train: tuple[str, ...]
    evaluation: tuple[str, ...]
    models: tuple[str, ...]
    hours: float | None = None
    splits: tuple[str, ...] = ()
    utterances: int | None = None
    downloads: bool = False
    model_seeds: tuple[int, ...] = (0,)
    frames: int = 10_000
    phones_each: int | None = None
    words_each: int | None = None
    views: tuple[str, ...] = VIEWS
    reference_model: str = "untrained/hubert-small"
    variant: str = "pwcca"
    folds: int = 10
    trials: int = 3
    regularisers: int = 6
    word_types: int = 500
    word_instances: int = 8
    phone_clusters: int = 500
    word_clusters: int = 500
    cluster_seeds: int = 3
    resamples: int = 200
    probe_instances: int = 8_000
    efficiency_size: str = "base"
    efficiency_setting: str = "quick"


_CONDITIONS = ("hubert", "mono", "mono+aux", "multi", "multi+aux")
_UNTRAINED = ("untrained/hubert-small", "untrained/mono-small", "untrained/multi-small")


def _small(corpus: str) -> tuple[str, ...]:
    """One model of each condition of the controlled experiment, and untrained ones of the same shapes."""
    return (*(f"{corpus}/{condition}-0" for condition in _CONDITIONS), *_UNTRAINED)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="embedded",
            description="synthetic speech spoken by espeak-ng, small models; runs anywhere",
            corpus="embedded",
            hours=0.18,
            frames=4_000,
            regularisers=2,  # all six give scores within 2e-8 of these
            cluster_seeds=2,
            probe_instances=3_000,
            train=("train",),
            evaluation=("evaluation",),
            models=_small("embedded"),
            reference_model="embedded/hubert-0",
        ),
        Profile(
            name="librispeech",
            description="read speech from a folder in LibriSpeech's layout, small models",
            corpus="librispeech",
            train=("train-clean-100",),
            evaluation=("test-other",),
            models=_small("librispeech"),
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
            efficiency_setting="thorough",
        ),
    )
}


def get_profile(name: str, **overrides: Any) -> Profile:
    """A profile by name, with some of its fields replaced; an override of None keeps the profile's own value.

    Raises
    ------
    MultiresError
        For an unknown profile or field, or a value of the wrong kind or range.
    """
    profile = PROFILES[choose("profile", name, list(PROFILES))]
    known = {field.name for field in fields(Profile)}
    given = {key: value for key, value in overrides.items() if value is not None}
    for key, value in given.items():
        if key not in known:
            raise MultiresError(f"profiles have no setting {key!r}: choose one of {', '.join(sorted(known))}")
        given[key] = _as_kind_of(getattr(profile, key), key, value)
    profile = replace(profile, **given)
    _check(profile)
    return profile


def _as_kind_of(example: Any, key: str, value: Any) -> Any:
    """`value` as a profile holds it: lists and comma-separated strings become tuples; numbers are checked."""
    if isinstance(example, tuple):
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple) or not value:
            raise MultiresError(f"{key} must be a list or a comma-separated string, not {value!r}")
        return tuple(positive_integer(key, part, 0) if key == "model_seeds" else part for part in value)
    if isinstance(example, bool):
        raise MultiresError(f"{key} belongs to the profile and cannot be set")
    if isinstance(example, int) or key in ("utterances", "phones_each", "words_each"):
        return positive_integer(key, value)
    if key == "hours":
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
            raise MultiresError(f"hours must be a number of hours above 0, not {value!r}")
        return float(value)
    if not isinstance(value, str):
        raise MultiresError(f"{key} must be a string, not {value!r}")
    return value


def positive_integer(key: str, value: Any, lowest: int = 1) -> int:
    """`value` as an integer of at least `lowest`, or an error that names `key`."""
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise MultiresError(f"{key} must be a whole number of at least {lowest}, not {value!r}")
    return value


def _check(profile: Profile) -> None:
    for view in profile.views:
        choose("view", view, VIEWS)
    choose("corpus", profile.corpus, ("embedded", "librispeech", "folder"))
    choose("variant", profile.variant, ("mean", "svcca", "pwcca", "layerwise-analysis", "cka"))
    choose("setting", profile.efficiency_setting, ("quick", "thorough"))
    choose("size", profile.efficiency_size, ("small", "base", "large", "xlarge"))
