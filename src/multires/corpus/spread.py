"""Selection of a few utterances from many speakers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar


class _Spoken(Protocol):
    @property
    def speaker(self) -> str: ...

    @property
    def split(self) -> str: ...


Item = TypeVar("Item", bound=_Spoken)


def spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """At most `limit` items of each split, taken in turn from its speakers, in their first order; all where None."""
    if limit is None:
        return list(items)
    turns: Counter[tuple[str, str]] = Counter()
    ranked = []
    for place, item in enumerate(items):
        ranked.append((turns[item.split, item.speaker], place))
        turns[item.split, item.speaker] += 1
    taken: Counter[str] = Counter()
    kept = []
    for _, place in sorted(ranked):
        if taken[items[place].split] < limit:
            taken[items[place].split] += 1
            kept.append(place)
    return [items[place] for place in sorted(kept)]
