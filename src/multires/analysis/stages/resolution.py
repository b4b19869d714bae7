"""Layers and blocks at equal frame rates, by four measures of what they say about phones and words."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from multires.analysis.run import ACOUSTIC, INPUTS, Run, Subject
from multires.analysis.stages.correlation import REPLICATE
from multires.analysis.stages.gather import gather_rows, layer_columns
from multires.analysis.stages.grid import framed_columns
from multires.analysis.stages.matched import EQUAL, MatchedFrames, chosen_items, match_frames, matchings_of
from multires.analysis.stages.rows import run_parameters
from multires.errors import MultiresError, TooLittleSpeech
from multires.features.frames import FrameStore
from multires.measures.abx import abx
from multires.measures.anisotropy import standardize
from multires.measures.bootstrap import Bootstrap, ratio_bootstrap
from multires.measures.cca import cca_scores
from multires.measures.folds import feasible_folds
from multires.measures.kmeans import fit_kmeans
from multires.measures.probe import predict_labels
from multires.measures.units import unit_scores
from multires.models.layers import Layer
from multires.results import Result

MEASURES = ("cca", "adjusted mi", "probe accuracy", "abx accuracy")
"""Measures at equal frame rates; all grow with what a layer says about the label."""

VIEWS = ("word", "phone")
"""Labels."""

SHUFFLED = " (shuffled)"
"""Suffix of the measure of a score with shuffled labels."""

DEVELOPMENT = "development"
"""Suffix of the measure of a score on the training speakers, by which the layer of a block is chosen."""

TRANSFORMS = ("whitened", "mean of the word")
"""Changes of the frames, with which the measures that depend on distances are computed once more."""

_DECAY = (1e-2,)
"""Weight decay of the probes: one for all layers and resolutions, so that they differ in nothing else."""

_MOST = 2
"""Limit of the items of a cell and of X in ABX."""

_PHONE_MATCHINGS = ("native", EQUAL)
"""Matchings of phones, which are the check on words."""

_FEWEST = 30
"""Triples, at least, of ABX: fewer say nothing."""

_HELD_OUT = 3
"""Every third of the training speakers is held out to choose layers."""


@dataclass(frozen=True)
class _Block:
    """One block of a model: a piece of work."""

    store: FrameStore
    layers: tuple[Layer, ...]
    columns: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.columns['model']} {self.layers[0].block}"


def resolution(run: Run) -> Result:
    """Information of every layer about words and phones, natively and at equal frame rates, by `MEASURES`.

    Frames are decimated, averaged or put on a common grid (`multires.measures.match_resolution`), and words and phones
    are read from them: their means for CCA, mutual information and probes, their frames for ABX (words across
    speakers, phones in triphones across speakers, left out below 30 triples). Phones are compared natively and on a grid
    of 40 ms only. For each block, view and measure the layer with the highest score
    on training speakers, on a grid of 40 ms, is marked in the column ``chosen``; scores are those of other speakers, and
    each has a row with shuffled labels beside it on the grid of 40 ms (suffix `SHUFFLED`).
    Log-mel and MFCC are references; models of one block are left out where others have several. ``word, whitened`` and ``word, mean of the word`` are views for the measures that
    depend on distances (see `TRANSFORMS`).
    """

    def compute() -> pd.DataFrame:
        table = resolution_replicates(run).table
        return table[table["measure"] != REPLICATE].drop(columns="of").reset_index(drop=True)

    return run.table("resolution", _parameters(run), compute)


def resolution_replicates(run: Run) -> Result:
    """As `resolution`, with the scores of the chosen layers in every resample: what paired comparisons need.

    The column ``of`` names the measure of a replicate.
    """

    def rows_of(block: _Block) -> list[dict[str, Any]]:
        return _block_rows(run, block)

    def compute() -> pd.DataFrame:
        table = gather_rows(run, "resolution", _blocks(run), rows_of, unit="block")
        return table if "of" in table else table.assign(of=pd.NA)

    return run.table("resolution-replicates", _parameters(run), compute)


def _parameters(run: Run) -> dict[str, Any]:
    names = ("train", "evaluation", "variant", "folds", "trials", "regularizers", "phone_clusters", "word_clusters",
             "word_types", "word_instances", "frame_utterances", "matched_instances", "resamples")  # fmt: skip
    return run_parameters(run, *names)


def _blocks(run: Run) -> list[_Block]:
    """Every block of every model but its input, and the acoustic features.

    Models of one block, such as HuBERT, are left out where others have several: no block of theirs is compared.
    """
    blocks = {subject: _layers_by_block(run.chosen_layers(subject.name, subject.seed)) for subject in run.subjects}
    most = max(map(len, blocks.values()))
    kept = {subject: each for subject, each in blocks.items() if len(each) > 1 or most == 1}
    kept |= {Subject(name, 0): _layers_by_block(run.model(name).layers) for name in ACOUSTIC}
    return [
        _Block(run.frames(subject.name, subject.seed), members, framed_columns(run, subject))
        for subject, each in kept.items()
        for members in each.values()
    ]


def _layers_by_block(layers: Sequence[Layer]) -> dict[str, tuple[Layer, ...]]:
    """Layers by block, without the input unless there is nothing else."""
    found: dict[str, tuple[Layer, ...]] = {}
    for layer in layers:
        found[layer.block] = (*found.get(layer.block, ()), layer)
    return {name: members for name, members in found.items() if name not in INPUTS} or found


@dataclass(frozen=True)
class _Split:
    """Rows that are fitted to and judged on, in a table of segments sorted by utterance."""

    fit: np.ndarray
    judge: np.ndarray


def _block_rows(run: Run, block: _Block) -> list[dict[str, Any]]:
    items = block.store.items()
    rows: list[dict[str, Any]] = []
    for view in VIEWS:
        table = chosen_items(run, items, view)
        train = table["split"].isin(run.profile.train).to_numpy()
        evaluation = table["split"].isin(run.profile.evaluation).to_numpy()
        if min(table.loc[part, "label"].nunique() for part in (train, evaluation)) < 2:
            continue
        speakers = np.unique(table.loc[train, "speaker"])
        if len(speakers) < 2 and len(block.layers) > 1:
            raise TooLittleSpeech(
                f"resolution: a block's layer is chosen on some of the training speakers after fitting to the others, and "
                f"corpus {run.corpus.name} has {len(speakers)}: give recordings of more speakers"
            )
        held = train & table["speaker"].isin(speakers[::_HELD_OUT]).to_numpy()
        chosen = _chosen(run, block, view, table, _Split(train & ~held, held), rows)
        for layer in block.layers:
            rows += _layer_rows(run, block, layer, view, table, _Split(train, evaluation), chosen.get(layer.name, ()))
    return rows


def _chosen(
    run: Run, block: _Block, view: str, table: pd.DataFrame, split: _Split, rows: list[dict[str, Any]]
) -> dict[str, tuple[str, ...]]:
    """Measures by which each layer is the block's best on held-out training speakers; appends these scores to `rows`."""
    if len(block.layers) == 1:
        return {block.layers[0].name: MEASURES}
    scores = {}
    for layer in block.layers:
        frames = _Reader(block, layer, view, table)
        scores[layer.name] = _scores(run, frames(EQUAL), view, table, split, replicates=0, name=str(block))
        rows += [
            {
                **_columns(block, layer, view, EQUAL),
                "measure": f"{measure}, {DEVELOPMENT}",
                "value": value,
                "n": n,
                "chosen": False,
            }
            for measure, (value, _, n) in scores[layer.name].items()
        ]
    best: dict[str, tuple[str, ...]] = {}
    for measure in MEASURES:
        known = {name: found[measure][0] for name, found in scores.items() if measure in found}
        name = max(known, key=known.__getitem__) if known else block.layers[-1].name
        best[name] = (*best.get(name, ()), measure)
    return best


def _layer_rows(
    run: Run, block: _Block, layer: Layer, view: str, table: pd.DataFrame, split: _Split, chosen: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Scores of one layer in every matching, and replicates of the measures that it is chosen for."""
    frames = _Reader(block, layer, view, table)
    computed: dict[str, dict[str, _Score]] = {}
    rows = []
    matchings = matchings_of(layer)
    for matching, same in matchings.items():
        if view == "phone" and matching not in _PHONE_MATCHINGS:
            continue
        if same not in computed:
            computed[same] = _scores(
                run, frames(same), view, table, split, run.profile.resamples, name=str(block),
                shuffled=chosen if same == matchings.get(EQUAL) else (),
            )  # fmt: skip
        found = computed[same]
        if matching != EQUAL:
            found = {measure: score for measure, score in found.items() if not measure.endswith(SHUFFLED)}
        rows += _score_rows(found, _columns(block, layer, view, matching), chosen)
    distances = [measure for measure in chosen if measure in ("adjusted mi", "abx accuracy")]
    if view == "word" and block.layers[0].block.startswith("middle") and distances:
        for transform in TRANSFORMS:
            changed = _changed(frames(EQUAL), transform, split.fit)
            found = _scores(run, changed, view, table, split, run.profile.resamples, name=str(block), only=distances)
            rows += _score_rows(found, _columns(block, layer, f"{view}, {transform}", EQUAL), chosen)
    return rows


_Score = tuple[float, Bootstrap | None, int]


def _score_rows(found: Mapping[str, _Score], where: dict[str, Any], chosen: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for measure, (value, bootstrap, n) in found.items():
        low, high = bootstrap.interval if bootstrap else (np.nan, np.nan)
        mine = measure.removesuffix(SHUFFLED) in chosen
        rows.append({**where, "measure": measure, "value": value, "low": low, "high": high, "n": n, "chosen": mine})
        if mine and bootstrap:
            rows += [
                {**where, "measure": REPLICATE, "of": measure, "trial": number, "value": drawn, "chosen": True,
                 "n": len(bootstrap.clusters)}
                for number, drawn in enumerate(bootstrap.replicates)
            ]  # fmt: skip
    return rows


def _columns(block: _Block, layer: Layer, view: str, matching: str) -> dict[str, Any]:
    return {**block.columns, **layer_columns(layer), "view": view, "matching": matching}


class _Reader:
    """Matched frames of a layer with the spans of some segments; the layer is read once."""

    def __init__(self, block: _Block, layer: Layer, view: str, table: pd.DataFrame) -> None:
        self._values, self._lengths = block.store.frames(layer.name)
        self._layer, self._view, self._table = layer, view, table

    def __call__(self, matching: str) -> tuple[MatchedFrames, MatchedFrames | None]:
        """Of the segments, and for phones also of their triphones (the phone itself where it has no two neighbors)."""
        own = match_frames(self._values, self._lengths, self._layer, matching, self._table)
        if self._view != "phone":
            return own, None
        outer = self._table.assign(
            outer_start=self._table["outer_start"].fillna(self._table["start"]),
            outer_end=self._table["outer_end"].fillna(self._table["end"]),
        )
        times = ("outer_start", "outer_end")
        return own, match_frames(self._values, self._lengths, self._layer, matching, outer, times)


def _changed(
    frames: tuple[MatchedFrames, MatchedFrames | None], transform: str, fit: np.ndarray
) -> tuple[MatchedFrames, None]:
    """Frames whitened by those of the training segments, or one frame for each segment: its mean."""
    own = frames[0]
    if transform == "whitened":
        inside = own.means()[fit].astype(np.float64)
        mean = inside.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov((inside - mean).T))
        kept = values > 1e-4 * values[-1]
        turned = ((own.values - mean) @ vectors[:, kept]).astype(np.float32)
        return MatchedFrames(standardize(turned, np.zeros(kept.sum()), np.sqrt(values[kept])), own.spans), None
    count = len(own.spans)
    return MatchedFrames(own.means(), np.stack([np.arange(count), np.arange(1, count + 1)], axis=1)), None


def _scores(
    run: Run,
    frames: tuple[MatchedFrames, MatchedFrames | None],
    view: str,
    table: pd.DataFrame,
    split: _Split,
    replicates: int,
    *,
    name: str,
    only: list[str] | tuple[str, ...] = MEASURES,
    shuffled: tuple[str, ...] = (),
) -> dict[str, _Score]:
    """Measures of the judged segments, some also with shuffled labels; one for which there is too little is left out."""
    own, triphones = frames
    x = own.means()
    labels, speakers = table["label"].to_numpy(str), table["speaker"].to_numpy(str)
    fit, judge = split.fit, split.judge
    y, who, n = labels[judge], speakers[judge], int(judge.sum())
    draws = max(replicates, 2)
    found: dict[str, _Score] = {}
    whole = judge if replicates else fit | judge  # CCA divides rows itself: a layer is chosen on all that there are
    folds = feasible_folds(run.profile.folds, run.profile.trials, int(whole.sum()) // 2)  # two rows a fold
    if "cca" in only and folds is not None:
        result = cca_scores(
            x[whole], {"label": labels[whole]}, variant=run.profile.variant, folds=folds[0], trials=folds[1],
            seed=run.seed, max_pairs=min(run.profile.regularizers, 2), resample_by=speakers[whole], replicates=draws,
            baseline="cca" in shuffled, name=name,
        )["label"]  # fmt: skip
        found["cca"] = result.score, result.bootstrap, result.n
        if result.baseline is not None:
            found["cca" + SHUFFLED] = result.baseline, None, result.n
    if "adjusted mi" in only:
        clusters = run.profile.word_clusters if view == "word" else run.profile.phone_clusters
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* clusters were reduced to")
            units = fit_kmeans(x[fit], clusters, seed=run.seed, name=name).predict(x[judge], name=name)
        if len(np.unique(units)) > 1:
            scored = unit_scores(units, y, who, seed=run.seed, replicates=draws, name=name)
            found["adjusted mi"] = scored.values["adjusted mi"], scored.bootstrap["adjusted mi"], n
            if "adjusted mi" in shuffled:
                unrelated = np.random.default_rng([run.seed, n]).permutation(y)
                found["adjusted mi" + SHUFFLED] = float(adjusted_mutual_info_score(unrelated, units)), None, n
    if "probe accuracy" in only:
        right = predict_labels(x[fit], labels[fit], x[judge], seed=run.seed, groups=speakers[fit], decays=_DECAY) == y
        drawn = ratio_bootstrap(right.astype(float), np.ones(n), who, seed=run.seed, replicates=draws)
        found["probe accuracy"] = float(right.mean()), drawn, n
        if "probe accuracy" in shuffled:
            unrelated = np.random.default_rng([run.seed, n]).permutation(labels[fit])
            guess = predict_labels(x[fit], unrelated, x[judge], seed=run.seed, groups=speakers[fit], decays=_DECAY)
            found["probe accuracy" + SHUFFLED] = float((guess == y).mean()), None, n
    if "abx accuracy" in only:
        spans = own if triphones is None else triphones
        context = None
        if triphones is not None:
            context = table["triphone"].to_numpy(str)
            judge = judge & (context != "")
            context = context[judge]
        try:
            error = abx(
                spans.values, spans.spans[judge], labels[judge], speakers[judge], context, speakers="across",
                seed=run.seed, replicates=draws, name=name, max_size=_MOST, max_x=_MOST,
                baseline="abx accuracy" in shuffled,
            )  # fmt: skip
        except MultiresError:
            return found  # no two speakers say the same triphone
        if error.n < _FEWEST:
            return found
        flipped = error.bootstrap
        drawn = Bootstrap(
            flipped.clusters, 1 - flipped.replicates, flipped.seed, 1 - flipped.high, 1 - flipped.low, flipped.level
        )
        found["abx accuracy"] = error.score, drawn, error.n
        if error.baseline is not None:
            found["abx accuracy" + SHUFFLED] = 1 - error.baseline, None, error.n
    return found
