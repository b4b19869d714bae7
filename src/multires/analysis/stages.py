"""The stages of the analysis, as notebooks and command line run them: a run in, a tidy table out, kept in the workspace."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed, parallel_config
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from multires.analysis.run import ACOUSTIC, Result, Run, Subject
from multires.corpus.utterance import Utterance
from multires.corpus.word_vectors import WordVectors, read_word_vectors
from multires.efficiency.table import efficiency_table
from multires.errors import MultiresError, choose
from multires.experiment.tables import experiment_tables
from multires.features.pooling import serves
from multires.features.segments import FRAME_PERIODS
from multires.features.store import FeatureStore
from multires.measures.bootstrap import Bootstrap, draw_weights, resampling_clusters, summarize
from multires.measures.cca import VARIANTS, cca_scores
from multires.measures.cca_result import CCAResult
from multires.measures.mutual_information import mutual_informations
from multires.measures.probe import linear_probe, weighted_sum_probe
from multires.measures.rows import Pieces
from multires.models.layers import Layer
from multires.report import verdicts as judged
from multires.results import tidy

TASKS = ("phone", "word", "speaker")
"""What probes classify."""

GROUPINGS = ("segment", "utterance", "speaker")
"""What is kept whole within one fold of CCA."""

CLUSTER_COUNTS = (25, 50, 100, 200, 400, 800)
"""Numbers of k-means clusters at which the bias of MI is shown."""


# -- what a run looks at ------------------------------------------------------------------------------------------


def corpus_summary(run: Run) -> pd.DataFrame:
    """One row a split: utterances, speakers, minutes, phones and words, utterances without alignment or transcript."""
    rows = []
    units = run.segments.groupby(["split", "unit"]).size()
    for split in run.corpus.splits:
        part = [utterance for utterance in run.corpus if utterance.split == split]
        words = run.segments[(run.segments["split"] == split) & (run.segments["unit"] == "word")]["label"]
        rows.append({
            "split": split,
            "utterances": len(part),
            "speakers": len({utterance.speaker for utterance in part}),
            "minutes": sum(utterance.duration for utterance in part) / 60,
            "phones": int(units.get((split, "phone"), 0)),
            "words": int(units.get((split, "word"), 0)),
            "different words": words.nunique(),
            "without alignment": sum(utterance.phones is None for utterance in part),
            "without transcript": sum(utterance.transcript is None for utterance in part),
        })  # fmt: skip
    return pd.DataFrame(rows)


def example_utterance(run: Run) -> Utterance:
    """The first aligned utterance of at least a second and a half."""
    for utterance in run.corpus:
        if utterance.phones and utterance.words and utterance.duration >= 1.5:
            return utterance
    return run.corpus.utterances[0]


def distinct_models(run: Run) -> list[str]:
    """The first model of each shape: others have the same layers and predict from the same ones."""
    found: dict[Any, str] = {}
    for name in run.profile.models:
        found.setdefault((tuple(run.chosen_layers(name)), tuple(run.model(name).predicts_from)), name)
    return list(found.values())


def layer_table(run: Run, models: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a layer of each model: name, label, block, depth, frame period and first centre (ms), width."""
    rows = []
    for name in run.profile.models if models is None else models:
        for layer in run.chosen_layers(name):
            rows.append({
                "model": name, "layer": layer.name, "label": layer.label, "block": layer.block, "depth": layer.index,
                "frame_period": layer.frame_period * 1000, "first_center": layer.first_center * 1000, "width": layer.dim,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _subject_columns(run: Run, subject: Subject) -> dict[str, Any]:
    return {
        "model": subject.name,
        "condition": run.condition(subject),
        "seed": subject.seed,
        "trained": run.model(subject.name, subject.seed).trained,
    }


def _layer_columns(layer: Layer) -> dict[str, Any]:
    return {
        "layer": layer.name,
        "layer_index": layer.index,
        "block": layer.block,
        "frame_period": layer.frame_period,
    }


def _layers(run: Run, subject: Subject) -> list[Layer]:
    return run.chosen_layers(subject.name, subject.seed)


Place = tuple[FeatureStore, Layer, dict[str, Any]]
"""A layer, where its vectors are, and the columns that name it."""


def _places(run: Run, subjects: list[Subject]) -> list[Place]:
    """Every layer of some models; extracts what the workspace does not hold yet."""
    return [
        (run.features(subject.name, subject.seed), layer, {**_subject_columns(run, subject), **_layer_columns(layer)})
        for subject in subjects
        for layer in _layers(run, subject)
    ]


def _gather(
    run: Run,
    stage: str,
    work: Sequence[Any],
    rows_of: Callable[[Any], list[dict[str, Any]]],
    unit: str = "layer",
    spreads: Callable[[Any], bool] = lambda piece: False,
) -> pd.DataFrame:
    """The rows of every piece of work, in order, worked on here or by the workers of a cluster.

    A piece that `spreads` is itself spread over the workers: it is started from here.
    """
    if run.engine.remote:
        rows = _gather_there(run, stage, work, rows_of, unit, spreads)
    else:
        rows = _gather_here(run, stage, work, rows_of, unit)
    if not rows:
        raise MultiresError(
            f"{stage}: corpus {run.corpus.name} has too few phones and words with times for it: give recordings with "
            "alignments, or lower word_instances"
        )
    return tidy(rows)


def _gather_here(
    run: Run, stage: str, work: Sequence[Any], rows_of: Callable[[Any], list[dict[str, Any]]], unit: str
) -> list[dict[str, Any]]:
    """Side by side with one thread each: a core for each layer is several times faster than all cores for one layer.

    Threads of Python wait for one another; where there is enough to do, processes are started, which do not.
    """
    if not work:
        return []
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            warnings.catch_warnings(),
            threadpool_limits(1),
            tqdm(total=len(work), desc=stage, unit=unit, disable=not run.progress) as bar,
        ):
            warnings.filterwarnings("ignore", message=_SAID_IN_THE_TABLE)
            began = time.perf_counter()
            rows = rows_of(work[0])
            bar.update()
            ahead = (time.perf_counter() - began) * (len(work) - 1)
            apart = cores > 1 and ahead > _WORTH_PROCESSES and run.device == "cpu"
            gathered = _in_processes if apart else _in_threads
            for found in gathered(rows_of, work[1:], min(cores, max(len(work) - 1, 1))):
                rows += found
                bar.update()
            return rows
    finally:
        torch.set_num_threads(cores)


_WORTH_PROCESSES = 6.0
"""Seconds of work on one core that are worth the few that processes take to start; they stay for the next stage."""


def _in_threads(
    rows_of: Callable[[Any], list[dict[str, Any]]], work: Sequence[Any], count: int
) -> Iterator[list[dict[str, Any]]]:
    """The rows of every piece, in order."""
    yield from Parallel(n_jobs=count, backend="threading", return_as="generator")(delayed(rows_of)(w) for w in work)


def _in_processes(
    rows_of: Callable[[Any], list[dict[str, Any]]], work: Sequence[Any], count: int
) -> Iterator[list[dict[str, Any]]]:
    """As `_in_threads`; what the processes warn of is said here, and what they cannot do is done here.

    That is a piece with a damaged shard, which only this process can extract again (another error is then raised here),
    and all that is left when a process dies, as one does that runs out of memory.
    """

    def heard(piece: Any) -> tuple[list[dict[str, Any]] | None, list[tuple[str, type[Warning]]]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                rows = rows_of(piece)
            except MultiresError:
                rows = None
        return rows, [(str(warning.message), warning.category) for warning in caught]

    with parallel_config(backend="loky", inner_max_num_threads=1, idle_worker_timeout=60):
        left = list(work)
        try:
            for rows, said in Parallel(n_jobs=count, return_as="generator")(delayed(heard)(piece) for piece in work):
                for message, category in said:
                    warnings.warn(message, category, stacklevel=2)
                piece = left.pop(0)
                yield rows_of(piece) if rows is None else rows
        except BrokenExecutor:
            print("a process died, as one does that runs out of memory: going on without", file=sys.stderr, flush=True)
    yield from map(rows_of, left)


_SAID_IN_THE_TABLE = ".* clusters were reduced to"
"""Said once for a whole table, by its columns clusters and clusters_requested and the sentence drawn from them."""


def _gather_there(
    run: Run,
    stage: str,
    work: Sequence[Any],
    rows_of: Callable[[Any], list[dict[str, Any]]],
    unit: str,
    spreads: Callable[[Any], bool],
) -> list[dict[str, Any]]:
    """By the workers, which read the vectors from the workspace; the rows come back in any order."""

    def numbered(job: _Job) -> tuple[int, list[dict[str, Any]]]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_SAID_IN_THE_TABLE)
            return job.number, rows_of(job.piece)

    jobs = [_Job(number, piece) for number, piece in enumerate(work)]
    spread = [job for job in jobs if spreads(job.piece)]
    sent = [job for job in jobs if not spreads(job.piece)]
    done = chain(run.engine.each(numbered, sent, f"{unit}s of {stage}"), map(numbered, spread))
    found = dict(tqdm(done, total=len(jobs), desc=stage, unit=unit, disable=not run.progress))
    return [row for job in jobs for row in found[job.number]]


@dataclass(frozen=True)
class _Job:
    """One piece of work and its place among the others."""

    number: int
    piece: Any

    def __str__(self) -> str:
        if not isinstance(self.piece, tuple):
            return str(self.piece)
        columns = self.piece[2]
        return " ".join(str(columns[name]) for name in ("model", "layer", "view") if name in columns)


def _acoustic_places(run: Run) -> list[Place]:
    """Log-mel and MFCC as models of one layer."""
    found = []
    for name in ACOUSTIC:
        layer = run.model(name).layers[0]
        columns = {"model": name, "condition": name, "seed": 0, "trained": False, **_layer_columns(layer)}
        found.append((run.features(name), layer, columns))
    return found


def _parameters(run: Run, *names: str) -> dict[str, Any]:
    return {
        "models": [(subject.name, subject.seed) for subject in run.subjects],
        "layers": run.layers,
        **{name: getattr(run.profile, name) for name in names},
    }


def _frequent(run: Run, labels: pd.DataFrame) -> np.ndarray:
    """Mask of the words that occur often enough in every split they are compared in, at most so many different ones."""
    counts = labels["label"].value_counts()
    kept = counts[counts >= run.profile.word_instances].index[: run.profile.word_types]
    return labels["label"].isin(kept).to_numpy()


def _at_most(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """A random sample of rows, in order, where there are more than `most`."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


# -- extraction ---------------------------------------------------------------------------------------------------


def extraction(run: Run) -> Result:
    """Vectors of every model, and what they look like: counts, participation ratio, similarity of neighbours."""

    def rows_of(place: Place) -> list[dict[str, Any]]:
        store, layer, columns = place
        counts = {unit: len(store.labels(unit)) for unit in store.units() if serves(layer, unit)}
        rows = [{**columns, "measure": "segments", "view": unit, "value": n, "n": n} for unit, n in counts.items()]
        coarse = store.vectors(layer.name, "frame80").astype(float)
        coarse -= coarse.mean(0)
        speakers = store.labels("frame80")["speaker"].to_numpy()
        rows.append({**columns, **_spread(coarse, speakers, run), "view": "frame80", "n": len(coarse)})
        if serves(layer, "frame20"):
            fine = store.vectors(layer.name, "frame20").astype(float)
            near = _similarity(fine - fine.mean(0), coarse, speakers, run)
            rows.append({**columns, **near, "view": "frame20", "n": len(fine)})
        return rows

    def compute() -> pd.DataFrame:
        return _gather(run, "layers", _places(run, run.subjects), rows_of)

    return run.table("extraction", _parameters(run), compute)


def _spread(vectors: np.ndarray, speakers: np.ndarray, run: Run) -> dict[str, Any]:
    """Participation ratio, tr(S)^2 / tr(S^2), with a bootstrap over speakers from per-speaker cross-products."""
    names, codes = np.unique(speakers, return_inverse=True)
    products = np.stack([vectors[codes == code].T @ vectors[codes == code] for code in range(len(names))])

    def ratio(weights: np.ndarray) -> float:
        covariance = np.tensordot(weights, products, axes=1)
        return float(np.trace(covariance) ** 2 / (covariance**2).sum())

    rng = np.random.default_rng(run.seed)
    draws = [
        ratio(np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)))
        for _ in range(min(run.profile.resamples, 100))
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"measure": "participation ratio", "value": ratio(np.ones(len(names))), "low": low, "high": high}


def _similarity(fine: np.ndarray, coarse: np.ndarray, speakers: np.ndarray, run: Run) -> dict[str, Any]:
    """Mean cosine of matching rows, with a bootstrap over speakers."""
    lengths = np.linalg.norm(fine, axis=1) * np.linalg.norm(coarse, axis=1)
    cosines = (fine * coarse).sum(1) / np.maximum(lengths, np.finfo(float).tiny)
    names, codes = np.unique(speakers, return_inverse=True)
    sums, counts = np.bincount(codes, cosines), np.bincount(codes)
    draws = draw_weights(len(names), run.profile.resamples, run.seed)
    interval = summarize(float(cosines.mean()), (draws @ sums) / (draws @ counts), names, run.seed)
    return {"measure": "neighbour similarity", "value": cosines.mean(), "low": interval.low, "high": interval.high}


# -- canonical correlation ----------------------------------------------------------------------------------------


def cca(run: Run, *, group_by: str = "segment", word_vectors: str = "") -> Result:
    """CCA of every layer with every view: the mean over trials with its interval, each trial, and shuffled pairs.

    Parameters
    ----------
    group_by
        What is never on both sides of a split: ``segment``, ``utterance`` or ``speaker``.
    word_vectors
        A file in GloVe's text format, compared with the vectors of words as the view ``word_vectors``; none where empty.
    """
    parameters = _cca_parameters(run, group_by, word_vectors)

    def compute() -> pd.DataFrame:
        table = cca_replicates(run, group_by=group_by, word_vectors=word_vectors).table
        return table[table["measure"] != REPLICATE].reset_index(drop=True)

    return run.table("cca", parameters, compute)


REPLICATE = "replicate"
"""The measure of a score in one resample of the clusters, numbered by its trial."""


def cca_replicates(run: Run, *, group_by: str = "segment", word_vectors: str = "") -> Result:
    """As `cca`, with the score in every resample: what paired comparisons need (`multires.analysis.comparisons`)."""
    vectors = _word_vectors(run, word_vectors)

    def rows_of(place: Place) -> list[dict[str, Any]]:
        store, layer, columns = place
        rows: list[dict[str, Any]] = []
        for views, window, x, labels in _compared(run, store, layer, run.profile.views, vectors):
            for view, result in _score(run, x, views, labels, columns, group_by=group_by).items():
                found = {**columns, "view": view, "window": window}
                rows += _cca_rows(result, found) + _replicate_rows(result.bootstrap, found)
        return rows

    def compute() -> pd.DataFrame:
        places = _places(run, run.subjects)
        if "mel" in run.profile.views:
            run.features("mel")
        if "layer" in run.profile.views:
            run.features(run.profile.reference_model)
        return _gather(run, "cca", places, rows_of)

    return run.table("cca-replicates", _cca_parameters(run, group_by, word_vectors), compute)


def _cca_parameters(run: Run, group_by: str, word_vectors: str) -> dict[str, Any]:
    names = ("views", "variant", "folds", "trials", "regularisers", "resamples", "reference_model", "word_types",
             "word_instances")  # fmt: skip
    found = {**_parameters(run, *names), "group_by": choose("group_by", group_by, GROUPINGS)}
    vectors = _word_vectors(run, word_vectors)
    return found if vectors is None else {**found, "word_vectors": [vectors.name, vectors.digest]}


def _word_vectors(run: Run, path: str) -> WordVectors | None:
    words = run.segments.loc[run.segments["unit"] == "word", "label"].unique() if path else ()
    return read_word_vectors(path, words) if path else None


def cca_variants(run: Run) -> Result:
    """Every definition of the score for one model's layers against phones (see `Run.example`)."""

    def rows_of(place: Place) -> list[dict[str, Any]]:
        store, layer, columns = place
        rows: list[dict[str, Any]] = []
        for views, window, x, labels in _compared(run, store, layer, ("phone",)):
            for variant in VARIANTS:
                result = _score(run, x, views, labels, columns, variant=variant)["phone"]
                rows += _cca_rows(result, {**columns, "view": "phone", "window": window, "variant": variant})
        return rows

    def compute() -> pd.DataFrame:
        return _gather(run, "variants", _places(run, [run.example]), rows_of)

    return run.table("cca-variants", _parameters(run, "folds", "trials", "resamples"), compute)


def cca_grouping(run: Run) -> Result:
    """The deepest layer of one model, where segments, utterances or speakers are kept on one side of a split."""

    def rows_of(grouping: str) -> list[dict[str, Any]]:
        store, layer, columns = _places(run, [run.example])[-1]
        rows: list[dict[str, Any]] = []
        for views, window, x, labels in _compared(run, store, layer, ("mel", "phone", "word")):
            if window in (None, _COARSEST):
                for view, result in _score(run, x, views, labels, columns, group_by=grouping).items():
                    rows += _cca_rows(result, {**columns, "view": view, "window": window, "grouping": grouping})
        return rows

    def compute() -> pd.DataFrame:
        _places(run, [run.example])
        run.features("mel")
        return _gather(run, "grouping", GROUPINGS, rows_of, unit="grouping")

    names = ("variant", "folds", "trials", "resamples", "word_types", "word_instances")
    return run.table("cca-grouping", _parameters(run, *names), compute)


def _compared(
    run: Run, store: FeatureStore, layer: Layer, views: tuple[str, ...], vectors: WordVectors | None = None
) -> Iterator[tuple[dict[str, np.ndarray], int | None, np.ndarray, pd.DataFrame]]:
    """Views that look at the same segments, the window (ms) of these, the layer's vectors, and the segments' labels."""
    for period in FRAME_PERIODS:
        window = round(period * 1000)
        unit = f"frame{window}"
        if serves(layer, unit):
            found = _frame_views(run, store, layer, views, unit, coarsest=window == _COARSEST)
            if found:
                yield found, window, store.vectors(layer.name, unit), store.labels(unit)
    for view, (unit, column) in _LABEL_VIEWS.items():
        if view in views:
            labels = store.labels(unit)
            mask = (labels[column] != "").to_numpy()
            if view == "word":
                mask = mask & _frequent(run, labels)
            if len(np.unique(labels.loc[mask, column].to_numpy(str))) > 1:
                found = {view: labels.loc[mask, column].to_numpy(str)}
                yield found, None, store.vectors(layer.name, unit)[mask], labels[mask]
    if vectors is not None:
        labels = store.labels("word")
        found_rows, known = vectors.of(labels["label"])
        frequent = _frequent(run, labels)
        mask = known & frequent
        if len(np.unique(labels.loc[mask, "label"].to_numpy(str))) > 1:
            y = found_rows[frequent[known]]
            yield {"word_vectors": y}, None, store.vectors(layer.name, "word")[mask], labels[mask]


_LABEL_VIEWS = {"phone": ("phone", "label"), "word": ("word", "label"), "part_of_speech": ("word", "part_of_speech")}
_COARSEST = round(FRAME_PERIODS[-1] * 1000)


def _frame_views(
    run: Run, store: FeatureStore, layer: Layer, views: tuple[str, ...], unit: str, *, coarsest: bool
) -> dict[str, np.ndarray]:
    """Log-mel in every window; the waveform encoder and the reference model's last layer in the coarsest only."""
    found = {}
    if "mel" in views:
        found["mel"] = run.features("mel").vectors("mel", unit)
    if "conv" in views and coarsest and layer.name != "conv" and "conv" in store.layer_names():
        found["conv"] = store.vectors("conv", unit)
    if "layer" in views and coarsest:
        other = run.features(run.profile.reference_model)
        if other.path != store.path:
            found["layer"] = other.vectors(other.layer_names()[-1], unit)
    return found


def _score(
    run: Run,
    x: np.ndarray,
    views: dict[str, np.ndarray],
    labels: pd.DataFrame,
    columns: dict[str, Any],
    *,
    variant: str | None = None,
    group_by: str = "segment",
) -> dict[str, CCAResult]:
    units, _ = resampling_clusters(labels["speaker"], labels["utterance"])
    return cca_scores(
        x, views,
        variant=variant or run.profile.variant, folds=run.profile.folds, trials=run.profile.trials, seed=run.seed,
        max_pairs=run.profile.regularisers, groups=None if group_by == "segment" else labels[group_by].to_numpy(),
        resample_by=units, replicates=run.profile.resamples, name=f"{columns['model']}, layer {columns['layer']}",
    )  # fmt: skip


def _cca_rows(result: CCAResult, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """The mean over trials (its trial is empty), each trial, and the shuffled baseline."""
    low, high = result.interval or (np.nan, np.nan)
    common = {**columns, "n": result.n}
    return [
        {**common, "measure": result.variant, "value": result.score, "low": low, "high": high},
        *(
            {**common, "measure": result.variant, "trial": trial, "value": score}
            for trial, score in enumerate(result.trial_scores)
        ),
        {**common, "measure": "shuffled", "value": result.baseline},
    ]


def _replicate_rows(bootstrap: Bootstrap | None, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """The score in every resample; none where there were too few clusters to resample."""
    if bootstrap is None:
        return []
    n = len(bootstrap.clusters)
    return [
        {**columns, "measure": REPLICATE, "trial": number, "value": value, "n": n}
        for number, value in enumerate(bootstrap.replicates)
    ]


# -- mutual information -------------------------------------------------------------------------------------------


def mutual_information(run: Run) -> Result:
    """MI of clusters with phones and words, at every layer and for log-mel and MFCC."""

    def compute() -> pd.DataFrame:
        table = mutual_information_replicates(run).table
        return table[table["measure"] != REPLICATE].reset_index(drop=True)

    return run.table("mutual-information", _information_parameters(run), compute)


def mutual_information_replicates(run: Run) -> Result:
    """As `mutual_information`, with the normalised figure in every resample: what paired comparisons need."""

    def rows_of(place: Place) -> list[dict[str, Any]]:
        return [
            row
            for view in ("phone", "word")
            for row in _information_rows(run, *place, view=view, seeds=run.profile.cluster_seeds, replicates=True)
        ]

    def compute() -> pd.DataFrame:
        def spreads(place: Place) -> bool:
            store, layer, _ = place
            return any(_too_many(layer, len(store.labels(view))) for view in ("phone", "word"))

        places = _places(run, run.subjects) + _acoustic_places(run)
        return _gather(run, "mutual information", places, rows_of, spreads=spreads)

    return run.table("mutual-information-replicates", _information_parameters(run), compute)


def _information_parameters(run: Run) -> dict[str, Any]:
    names = ("train", "evaluation", "phone_clusters", "word_clusters", "cluster_seeds", "resamples", "word_types",
             "word_instances")  # fmt: skip
    return _parameters(run, *names)


def mi_clusters(run: Run) -> Result:
    """MI with phones at growing numbers of clusters, for the middle layer of one model."""

    def compute() -> pd.DataFrame:
        places = _places(run, [run.example])
        middle = places[len(places) // 2]
        table = _gather(
            run, "clusters", CLUSTER_COUNTS,
            lambda clusters: _information_rows(run, *middle, view="phone", seeds=1, clusters=clusters), unit="count",
        )  # fmt: skip
        # Counts that the data cannot fill all become the same number: once is enough.
        return table.drop_duplicates(["measure", "trial", "clusters"], ignore_index=True)

    return run.table("mi-clusters", _parameters(run, "train", "evaluation", "resamples"), compute)


def _information_rows(
    run: Run,
    store: FeatureStore,
    layer: Layer,
    columns: dict[str, Any],
    *,
    view: str,
    seeds: int,
    clusters: int | None = None,
    replicates: bool = False,
) -> list[dict[str, Any]]:
    """Means over the seeds of k-means (their trial is empty), each seed, and the same with the labels shuffled.

    The interval of the normalised figure is a bootstrap over speakers; that of the others is their range over seeds.
    With `replicates`, the normalised figure in every resample follows.
    """
    labels = store.labels(view)
    train, evaluation = _split_rows(run, labels, view)
    if labels.loc[evaluation, "label"].nunique() < 2 or not train.any():
        return []
    names = labels.loc[evaluation, "label"].to_numpy(str)
    units, _ = resampling_clusters(labels.loc[evaluation, "speaker"], labels.loc[evaluation, "utterance"])
    shuffled = np.random.default_rng(run.seed).permutation(names)
    fitted, judged_on = (_held_or_read(run, store, layer, view, rows) for rows in (train, evaluation))
    results = mutual_informations(
        fitted, judged_on, {"": names, " shuffled": shuffled},
        n_clusters=clusters or (run.profile.phone_clusters if view == "phone" else run.profile.word_clusters),
        seeds=range(run.seed, run.seed + seeds), resample_by=units, replicates=run.profile.resamples,
        device=run.device, name=f"{columns['model']}, layer {layer.name}, {view}s",
    )  # fmt: skip
    rows = []
    for suffix, result in results.items():
        common = {**columns, "view": view, "n": result.n, "n_train": result.n_train, "clusters": result.n_clusters,
                  "clusters_requested": result.requested}  # fmt: skip
        for measure, attribute in _INFORMATION.items():
            values = [getattr(each, attribute) for each in result.runs]
            low, high = (result.interval if measure == "normalised" else None) or (min(values), max(values))
            rows.append({**common, "measure": measure + suffix, "value": np.mean(values), "low": low, "high": high})
            rows += [
                {**common, "measure": measure + suffix, "trial": trial, "value": value}
                for trial, value in enumerate(values)
            ]
    if replicates:
        rows += _replicate_rows(results[""].bootstrap, {**columns, "view": view})
    return rows


_HELD = 2**30
"""Bytes of one layer's vectors of phones or words that k-means holds in memory; more are read shard by shard."""


def _too_many(layer: Layer, rows: int) -> bool:
    return 4 * layer.dim * rows > _HELD


def _held_or_read(run: Run, store: FeatureStore, layer: Layer, unit: str, rows: np.ndarray) -> np.ndarray | Pieces:
    """A layer's vectors in a mask of rows, or what reads them where all of the layer's would be too many."""
    if not _too_many(layer, len(rows)):
        return _vectors(store, layer, unit, rows)
    readers = store.readers(layer.name, unit, rows)
    return Pieces(readers, [int(reader.mask.sum()) for reader in readers], layer.dim, run.engine)


def _vectors(store: FeatureStore, layer: Layer, unit: str, rows: np.ndarray) -> np.ndarray:
    """A layer's vectors in a mask of rows; others are in memory by the shard only."""
    return np.concatenate([read() for read in store.readers(layer.name, unit, rows)])


_INFORMATION = {
    "normalised": "normalised", "adjusted": "adjusted", "bits": "bits", "bits corrected": "corrected", "purity": "purity",
}  # fmt: skip


def _split_rows(run: Run, labels: pd.DataFrame, view: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training and of the evaluation splits that a view uses."""
    usable = (labels["label"] != "").to_numpy()
    if view == "word":
        usable = usable & _frequent(run, labels)
    train = usable & labels["split"].isin(run.profile.train).to_numpy()
    evaluation = usable & labels["split"].isin(run.profile.evaluation).to_numpy()
    return train, evaluation


# -- efficiency ---------------------------------------------------------------------------------------------------


def efficiency(run: Run, *, precision: str = "float32") -> Result:
    """Counted and measured cost of HuBERT, its mono-resolution control and MR-HuBERT (see `measures.efficiency`)."""

    def compute() -> pd.DataFrame:
        return efficiency_table(
            size=run.profile.efficiency_size, setting=run.profile.efficiency_setting, device=run.device, seed=run.seed,
            precision=precision, progress=run.progress,
        )  # fmt: skip

    parameters = {
        "size": run.profile.efficiency_size, "setting": run.profile.efficiency_setting, "precision": precision,
    }  # fmt: skip
    return run.table("efficiency", parameters, compute, corpus=False)


# -- probes -------------------------------------------------------------------------------------------------------


def probes(run: Run) -> Result:
    """Linear probes for phone, word and speaker on every layer, on log-mel and MFCC, and on weighted sums of layers."""

    def rows_of(work: tuple[FeatureStore, list[Layer], dict[str, Any]]) -> list[dict[str, Any]]:
        return _probe_rows(run, *work)

    def compute() -> pd.DataFrame:
        places = _places(run, run.subjects) + _acoustic_places(run)
        single = [(store, [layer], {**columns, "view": task}) for store, layer, columns in places for task in TASKS]
        summed = [
            (
                run.features(subject.name, subject.seed),
                [layer for layer in _layers(run, subject) if layer.name != "conv"],
                {**_subject_columns(run, subject), "layer": "weighted sum", "view": task},
            )
            for subject in run.subjects
            for task in TASKS
        ]
        return _gather(run, "probes", single + summed, rows_of, unit="probe")

    names = ("train", "evaluation", "probe_instances", "word_types", "word_instances")
    return run.table("probes", _parameters(run, *names), compute)


def _probe_rows(run: Run, store: FeatureStore, layers: list[Layer], columns: dict[str, Any]) -> list[dict[str, Any]]:
    """A probe on one layer, or on the weighted sum of several with the weights as rows of their own."""
    task = columns["view"]
    labels = store.labels("utterance" if task == "speaker" else task)
    if task == "speaker":
        train, test = _speaker_rows(run, labels)
        clusters = labels["utterance"].to_numpy()
    else:
        train, test = _split_rows(run, labels, task)
        clusters = labels["speaker"].to_numpy()
    chosen = [np.flatnonzero(mask) for mask in (train, test)]
    if not all(len(rows) for rows in chosen) or labels.loc[train, "label"].nunique() < 2:
        return []
    fit, judge = (_at_most(rows, run.profile.probe_instances, run.seed) for rows in chosen)
    names = labels["label"].to_numpy(str)
    unit = "utterance" if task == "speaker" else task
    first, second = (np.isin(np.arange(len(labels)), rows) for rows in (fit, judge))
    common = {
        "seed": run.seed, "clusters": clusters[judge],
        "groups": None if task == "speaker" else labels["speaker"].to_numpy()[fit],
    }  # fmt: skip
    if len(layers) == 1:
        x, test_x = (_vectors(store, layers[0], unit, rows) for rows in (first, second))
        return linear_probe(x, names[fit], test_x, names[judge], **common).rows(**columns)
    x, test_x = (np.stack([_vectors(store, layer, unit, rows) for layer in layers]) for rows in (first, second))
    result = weighted_sum_probe(x, names[fit], test_x, names[judge], **common)
    weights = [
        {**columns, **_layer_columns(layer), "measure": "layer weight", "value": weight, "n": result.n_train}
        for layer, weight in zip(layers, result.weights or (), strict=True)
    ]
    return result.rows(**columns) + weights


def _speaker_rows(run: Run, labels: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Of every speaker with five utterances or more, every third utterance is tested and the others train."""
    order = labels.groupby("speaker").cumcount().to_numpy()
    enough = labels.groupby("speaker")["utterance"].transform("size").to_numpy() >= 5
    return enough & (order % 3 != 2), enough & (order % 3 == 2)


def agreement(run: Run) -> Result:
    """Beside every layer's probe accuracy, its CCA and MI with the same labels."""

    def compute() -> pd.DataFrame:
        keys = ["model", "seed", "layer", "view"]
        probed = probes(run).table
        accuracy = probed[(probed["measure"] == "accuracy") & probed["layer_index"].notna()]
        found = []
        correlation, shared = cca(run).table, mutual_information(run).table
        for name, table, measure in (("CCA", correlation, run.profile.variant), ("MI", shared, "adjusted")):
            rows = table[(table["measure"] == measure) & table["trial"].isna() & table["view"].isin(["phone", "word"])]
            rows = rows[~rows["model"].isin(ACOUSTIC)]
            rows = rows.merge(accuracy[[*keys, "value"]].rename(columns={"value": "accuracy"}), on=keys)
            found.append(rows.assign(measure=name))
        return tidy([{str(key): value for key, value in row.items()} for row in pd.concat(found).to_dict("records")])

    names = tuple(name for name in vars(run.profile) if name not in ("name", "description", "models"))
    return run.table("agreement", _parameters(run, *names), compute)


# -- claims -------------------------------------------------------------------------------------------------------


def claims(run: Run, experiment: str | Path | None = None) -> Result:
    """The verdict on each of the paper's claims, from the tables of the other stages and of the controlled experiment.

    `experiment` is the folder of one's own experiment, or None for the one that comes with the package.
    """
    switched = experiment_tables(experiment)
    tables = {
        "cca": cca(run).table,
        "mutual_information": mutual_information(run).table,
        "probes": probes(run).table,
        "efficiency": efficiency(run).table,
    }
    names = tuple(name for name in vars(run.profile) if name not in ("name", "description", "models"))

    def compute() -> pd.DataFrame:
        found = [judged.judge_experiment(each) for each in switched]
        return pd.concat([judged.judge(**tables), *found], ignore_index=True)

    told = [(each.title, each.source.get("table_sha256")) for each in switched]
    return run.table("claims", {**_parameters(run, *names), "experiment": told}, compute)
