"""Phone error rates of repeated frames: an effect of the frame rate that looks like one of downsampling.

Toolkits such as SUPERB (Yang et al., 2021) bring layers of different frame periods to the shortest one by repeating frames,
and put a head without context on their weighted sum. The same models on a common 40 ms grid show what the repetition adds.

From a shell, on the speech that comes with the package::

    python -m multires.experiment.frame_rates
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from multires.corpus import load_corpus
from multires.corpus.sample import NAME
from multires.corpus.utterance import SILENCE, Utterance
from multires.errors import MultiresError
from multires.experiment.conditions import SIZES, condition_config
from multires.experiment.plan import INPUT_BLOCKS, PLAN
from multires.measures.bootstrap import ratio_bootstrap
from multires.measures.ctc import edit_counts, transcribe
from multires.measures.resolution import Frames, match_resolution
from multires.models import load_model
from multires.models.layers import LayeredModel
from multires.models.mr_hubert import MultiResHubert
from multires.results import provenance, read_table, write_table

Manner = Literal["repeated", "grid"]

MANNERS: tuple[Manner, ...] = ("repeated", "grid")
"""Treatments of layers: each frame repeated to the shortest frame period, or every layer averaged to the plan's grid."""

EDITS = ("insertions", "deletions", "substitutions")

SHIPPED = Path(__file__).parents[1] / "data" / "experiment" / "frame_rates.parquet"


def frame_rate_table(
    train: Sequence[Utterance],
    test: Sequence[Utterance],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    size: str = "cpu",
    trained: Sequence[str] = (),
    steps: int = 600,
    progress: bool = True,
) -> pd.DataFrame:
    """Edits of phone recognition in both manners, of the control and the downsampling model.

    Parameters
    ----------
    train, test
        Utterances with phones, by different speakers.
    seeds
        Of the initial values of the untrained models; each also seeds the head.
    size
        One of `multires.experiment.conditions.SIZES`.
    trained
        Names of trained models that `load_model` takes; the last part up to ``-`` is their condition.
    steps
        Of the head.

    Returns
    -------
        A row for each model, manner and test speaker: condition, seed, trained, manner, speaker, insertions, deletions,
        substitutions, total (reference phones).

    Raises
    ------
    MultiresError
        If no training or test utterance has phones.
    """
    parts = [[each for each in utterances if _phones(each)] for utterances in (train, test)]
    if not all(parts):
        raise MultiresError("no utterance to train on or to test has phones: give speech with aligned phones")
    models: list[tuple[str, int, bool, LayeredModel]] = [
        (condition, seed, False, MultiResHubert(condition_config(condition, SIZES[size]), seed=seed).eval())
        for seed in seeds
        for condition in ("mono", "multi")
    ]
    for name in trained:
        condition, _, seed = name.rpartition("/")[2].rpartition("-")
        models.append((condition, int(seed), True, load_model(name)))
    rows: list[dict[str, object]] = []
    for condition, seed, known, model in tqdm(models, desc="frame rates", unit="model", disable=not progress):
        for manner in MANNERS:
            fitted, scored = ([_layers(model, each, manner) for each in utterances] for utterances in parts)
            found = transcribe(fitted, [_phones(each) for each in parts[0]], scored, seed=seed, steps=steps)
            for utterance, guess in zip(parts[1], found.of[0], strict=True):
                truth = _phones(utterance)
                edits = dict(zip(EDITS, edit_counts(truth, guess), strict=True))
                rows.append({
                    "condition": condition, "seed": seed, "trained": known, "manner": manner,
                    "speaker": utterance.speaker, **edits, "total": len(truth),
                })  # fmt: skip
    keys = ["condition", "seed", "trained", "manner", "speaker"]
    return pd.DataFrame(rows).groupby(keys, as_index=False, sort=False).sum()


def frame_rate_effects(table: pd.DataFrame) -> pd.DataFrame:
    """The downsampling model less the control: edits per reference phone, with 95 % bootstrap intervals over speakers.

    Parameters
    ----------
    table
        What `frame_rate_table` returns.

    Returns
    -------
        A row for each manner, kind of models and kind of edit (``all`` for their sum): trained, manner, edit, mono and
        multi (rates), value (their difference), low, high, speakers, seeds.
    """
    rows = []
    table = table.assign(all=table[list(EDITS)].sum(axis=1))
    for (known, manner), part in table.groupby(["trained", "manner"], sort=False):
        sums = part.groupby(["condition", "speaker"])[[*EDITS, "all", "total"]].sum()
        if {"mono", "multi"} - set(sums.index.get_level_values("condition")):
            continue
        mono, multi = sums.loc["mono"], sums.loc["multi"]
        for edit in (*EDITS, "all"):
            difference = (multi[edit] - mono[edit]).to_numpy(float)
            totals = mono["total"].to_numpy(float)
            found = ratio_bootstrap(difference, totals, np.arange(len(totals)), seed=0)
            low, high = found.interval
            rows.append({
                "trained": bool(known), "manner": manner, "edit": edit, "mono": mono[edit].sum() / totals.sum(),
                "multi": multi[edit].sum() / totals.sum(), "value": difference.sum() / totals.sum(), "low": low,
                "high": high, "speakers": len(totals), "seeds": part["seed"].nunique(),
            })  # fmt: skip
    return pd.DataFrame(rows)


def shipped_frame_rates() -> pd.DataFrame:
    """The table that comes with the package: three untrained models and one trained of each kind, on its speech."""
    return read_table(SHIPPED)[0]


def _layers(model: LayeredModel, utterance: Utterance, manner: Manner) -> np.ndarray:
    """All transformer layers of an utterance at one frame rate, shape (layers, frames, dim)."""
    layers = [layer for layer in model.layers if layer.block not in INPUT_BLOCKS]
    with torch.inference_mode():
        outputs = model(torch.from_numpy(utterance.audio)[None]).utterance(0)
    native = [Frames(outputs[each.name].float().numpy(), each.frame_period, each.first_center) for each in layers]
    if manner == "grid":
        found = [match_resolution(each, "grid", PLAN.grid / 1000).values for each in native]
    else:
        shortest = min(each.period for each in native)
        found = [np.repeat(each.values, round(each.period / shortest), axis=0) for each in native]
    frames = min(map(len, found))
    return np.stack([each[:frames] for each in found]).astype(np.float32)


def _phones(utterance: Utterance) -> list[str]:
    return [phone.label for phone in utterance.phones or () if phone.label != SILENCE]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.experiment.frame_rates``."""
    parser = argparse.ArgumentParser(prog="python -m multires.experiment.frame_rates", description=frame_rate_table.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=600)
    given = parser.parse_args(arguments)
    try:
        corpus = load_corpus(NAME)
        parts = [[each for each in corpus if each.split == split] for split in ("train", "evaluation")]
        trained = ("librispeech/mono-0", "librispeech/multi-0")
        table = frame_rate_table(*parts, seeds=given.seeds, trained=trained, steps=given.steps)
        parameters = {"seeds": given.seeds, "steps": given.steps, "trained": list(trained), "size": "cpu"}
        source = provenance(
            NAME, parameters, corpus_fingerprint=corpus.fingerprint, table="frame_rates", rows=len(table)
        )
        write_table(table, given.out, source)
        print(frame_rate_effects(table).to_string(index=False, float_format="{:+.3f}".format))
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error


if __name__ == "__main__":
    main()
