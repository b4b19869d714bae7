"""Names for readers: conditions, layers, models and speech in plain words instead of the keys of tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from multires.report.escape import visible

UNTRAINED = "untrained "
"""Prefix of a condition whose weights are random."""

_ARCHITECTURES = {
    "hubert": "HuBERT",
    "mono": "20 ms control",
    "multi": "MR-HuBERT",
    "multi3": "three resolutions",
}
_WITHOUT_LOSS = ("multi", "multi3")
"""Architectures that are named after the models with the auxiliary loss."""

_ACOUSTIC = {"mel": "log-mel", "mfcc": "MFCC"}
_INPUTS = {"conv": "waveform encoder", "input": "input frames"}
_SHIPPED = {"synthetic": "synthetic speech", "librispeech": "LibriSpeech"}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def condition_name(condition: object) -> str:
    """The name of a condition for figures and sentences.

    Examples
    --------
    >>> [condition_name(key) for key in ("mono", "mono+aux", "multi", "multi+aux")]
    ['20 ms control', '20 ms control + aux. loss', 'MR-HuBERT without aux. loss', 'MR-HuBERT']
    >>> condition_name("untrained multi"), condition_name("mfcc"), condition_name("wavlm")
    ('untrained MR-HuBERT', 'MFCC', 'wavlm')
    """
    key = str(condition)
    if key.startswith(UNTRAINED):
        base = key.removeprefix(UNTRAINED).removesuffix("+aux")
        return UNTRAINED + _ARCHITECTURES.get(base, visible(base))
    base, auxiliary = key.removesuffix("+aux"), key.endswith("+aux")
    if base not in _ARCHITECTURES:
        return _ACOUSTIC.get(key, visible(key))
    name = _ARCHITECTURES[base]
    if base in _WITHOUT_LOSS:
        return name if auxiliary else f"{name} without aux. loss"
    return f"{name} + aux. loss" if auxiliary else name


def architecture_name(architecture: str) -> str:
    """The name of an architecture, whatever its training, such as ``20 ms control`` for ``mono``."""
    return _ARCHITECTURES.get(architecture, visible(architecture))


def pair_name(effect: str) -> str:
    """An effect whose name holds keys of conditions, in words.

    Examples
    --------
    >>> pair_name("multi+aux less hubert"), pair_name("downsampling")
    ('MR-HuBERT less HuBERT', 'downsampling')
    """
    first, less, second = effect.partition(" less ")
    known = {f"{base}{end}" for base in _ARCHITECTURES for end in ("", "+aux")}
    return f"{condition_name(first)} less {condition_name(second)}" if less and {first, second} <= known else effect


def layer_name(layer: object, index: Any = None) -> str:
    """The one name of a layer on a page: its number, as on the axes of the figures.

    Parameters
    ----------
    layer
        Its stable name, such as ``encoder.0.1``.
    index
        Its depth; none for acoustic features and weighted sums, which keep their names.

    Examples
    --------
    >>> layer_name("encoder.0.1", 2), layer_name("conv", 0), layer_name("weighted sum")
    ('layer 2', 'waveform encoder', 'weighted sum')
    """
    if str(layer) in _INPUTS:
        return _INPUTS[str(layer)]
    if index is None or pd.isna(index):
        return _ACOUSTIC.get(str(layer), visible(layer))
    return f"layer {int(index)}"


def transformer_layers(table: pd.DataFrame) -> pd.DataFrame:
    """The rows without those of the waveform encoder or the input frames; all rows where there are no others."""
    inside = ~table["layer"].astype(str).isin(list(_INPUTS))
    return table[inside] if inside.any() else table


def depth_label(table: pd.DataFrame) -> str:
    """The label of an axis of layers, with the meaning of 0 where the table has it."""
    names = set(table["layer"].dropna().astype(str)) if "layer" in table else set()
    zero = [_INPUTS[name] for name in _INPUTS if name in names]
    return f"layer (0: {' or '.join(zero)})" if zero else "layer"


def speech_name(corpus: str) -> str:
    """The speech of a corpus in words.

    Examples
    --------
    >>> speech_name("synthetic"), speech_name("LibriSpeech dev-clean"), speech_name("toy")
    ('synthetic speech', 'LibriSpeech dev-clean', 'toy speech')
    """
    if corpus == "synthetic":
        return "synthetic speech"
    if not corpus:
        return ""
    shown = visible(corpus)
    return shown if "speech" in shown.lower() else f"{shown} speech"


def capitalized(text: str) -> str:
    """The text with its first letter in upper case and the rest as it is."""
    return text[:1].upper() + text[1:]


def number_name(count: int) -> str:
    """A count in words up to twelve."""
    return _NUMBERS[count] if 0 <= count < len(_NUMBERS) else f"{count:,}"


def models_name(table: pd.DataFrame) -> str:
    """The models of a table and their training in words.

    Parameters
    ----------
    table
        Columns model, trained and, where there is one, condition. Acoustic features are not counted.

    Examples
    --------
    >>> table = pd.DataFrame({"model": ["synthetic/mono-0", "synthetic/multi-0", "untrained/mono-small"],
    ...                       "trained": [True, True, False]})
    >>> models_name(table)
    'two small models trained on synthetic speech, one untrained'
    """
    rows = table[~table["model"].isin(list(_ACOUSTIC)) & table["model"].notna()].drop_duplicates("model")
    trained = rows["trained"].fillna(False).astype(bool)
    untrained = int((~trained).sum())
    if not trained.any():
        return f"{number_name(untrained)} untrained model{'s' * (untrained != 1)}" if untrained else "no models"
    found: dict[str, list[str]] = {}
    for row in rows[trained].to_dict("records"):
        shipped = re.fullmatch(r"(synthetic|librispeech)/.*", str(row["model"]))
        found.setdefault(_SHIPPED[shipped[1]] if shipped else "", []).append(_name(row))
    parts = [
        f"{number_name(len(names))} small model{'s' * (len(names) != 1)} trained on {speech}"
        for speech, names in found.items()
        if speech
    ]
    if names := found.get(""):
        listed = ", ".join(names) if len(names) <= 4 else f"{number_name(len(names))} models"
        parts.append(listed)
    text = " and ".join(parts)
    return f"{text}, {number_name(untrained)} untrained" if untrained else text


def _name(row: dict[Any, Any]) -> str:
    """A model that does not come with the package by its own name, with its condition where that says more."""
    name, condition = visible(row["model"]), str(row.get("condition") or "")
    readable = condition_name(condition)
    return f"{name} ({readable})" if readable != condition and readable.lower() not in name.lower() else name


def seed_count(counts: Sequence[int]) -> str:
    """The number of seeds, or its range, in words."""
    low, high = min(counts), max(counts)
    if low == high:
        return f"{low} seed{'s' if low != 1 else ''}"
    return f"{low} to {high} seeds"


def listed(names: Sequence[str]) -> str:
    """Names with commas and a final "and".

    Examples
    --------
    >>> listed(["one"]), listed(["one", "two", "three"])
    ('one', 'one, two and three')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
