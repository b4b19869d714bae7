"""Roles of splits: measures are fitted on some and evaluated on others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from multires.corpus.utterance import Corpus
from multires.errors import MultiresError
from multires.profiles import refuse_common_splits

TRAIN, EVALUATION = "train", "evaluation"
"""The names of the two parts that `divide_by_speaker` makes."""


@dataclass(frozen=True, slots=True)
class SharedSpeakers:
    """Speakers that occur in the training and in the evaluation splits, in order."""

    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
        return f"{len(self.names)} speakers in both the training and the evaluation splits ({named})"


def divide_by_speaker(corpus: Corpus, share: float, *, seed: int = 0) -> Corpus:
    """The corpus with its splits replaced by two, ``train`` and ``evaluation``, that have no speaker in common.

    Speakers are drawn at random until the training part holds its share of the speech; each part has at least one
    speaker. The speech of a single speaker is all training.

    Parameters
    ----------
    share
        The share of the speech to train on, between 0 and 1.
    seed
        Seed of the order in which speakers are drawn.

    Examples
    --------
    >>> from multires.corpus.utterance import Corpus, Utterance
    >>> spoken = [Utterance(f"{name}/{n}", name, "all", 1.0, read=None) for name in "abcd" for n in range(3)]
    >>> divided = divide_by_speaker(Corpus("toy", spoken), 0.5)
    >>> [len({u.speaker for u in divided if u.split == split}) for split in ("train", "evaluation")]
    [2, 2]
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise MultiresError(
            f"split_by_speaker must be a share of the speech between 0 and 1, such as 0.5, not {share!r}"
        )
    seconds: dict[str, float] = defaultdict(float)
    for utterance in corpus:
        seconds[utterance.speaker] += utterance.duration
    names = sorted(seconds)
    order = [names[place] for place in np.random.default_rng([seed, len(names)]).permutation(len(names))]
    sums = np.cumsum([seconds[name] for name in order])
    count = int(np.argmin(np.abs(sums - share * sums[-1]))) + 1
    train = set(order[: max(1, min(count, len(order) - 1))])
    divided = tuple(replace(each, split=TRAIN if each.speaker in train else EVALUATION) for each in corpus)
    return replace(corpus, utterances=divided, fingerprint=f"{corpus.fingerprint}-{share:g}-{seed}")


def check_roles(
    corpus: Corpus, train: Sequence[str], evaluation: Sequence[str], *, allow_shared_speakers: bool = False
) -> SharedSpeakers:
    """Refuse splits that would have a model evaluated on what it was fitted on.

    Parameters
    ----------
    train, evaluation
        Names of splits; those that the corpus lacks have no utterances.
    allow_shared_speakers
        Accept speakers that occur on both sides, and return them.

    Raises
    ------
    MultiresError
        If the two have a split, an utterance, the same audio or, unless it is allowed, a speaker in common.
    """
    refuse_common_splits(train, evaluation)
    parts = [[each for each in corpus if each.split in splits] for splits in (train, evaluation)]
    doubled = [
        name for name, splits in corpus.repeated.items() if set(splits) & {*train} and set(splits) & {*evaluation}
    ]
    if doubled:
        raise _overlap(f"{len(doubled)} utterances ({', '.join(sorted(doubled)[:3])})")
    heard = {each.digest: each.id for each in parts[0] if each.digest}
    same = [(heard[each.digest], each.id) for each in parts[1] if each.digest in heard]
    if same:
        raise _overlap(f"the same audio {len(same)} times ({same[0][0]} is {same[0][1]})")
    speakers = [{each.speaker for each in part} for part in parts]
    shared = SharedSpeakers(tuple(sorted(speakers[0] & speakers[1])))
    if shared.names and not allow_shared_speakers:
        raise MultiresError(
            f"there are {shared}: what is fitted to a speaker is not evaluated on the same one. Choose other splits, "
            "divide the speech with split_by_speaker=0.5, or accept it with allow_shared_speakers=True"
        )
    return shared


def _overlap(what: str) -> MultiresError:
    return MultiresError(
        f"the training and the evaluation splits both hold {what}: scores on the speech that was fitted to say nothing; "
        "choose splits that have nothing in common, or divide the speech with split_by_speaker=0.5"
    )
