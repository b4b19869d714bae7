"""Scores of one model on every outcome of the plan, by speaker."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import adjusted_mutual_info_score

from multires.corpus.utterance import SILENCE, Segment, Utterance
from multires.errors import MultiresError
from multires.experiment.analysis import SCORE_COLUMNS
from multires.experiment.plan import INPUT_BLOCKS, PLAN, Outcome, Plan
from multires.experiment.statistics import pseudo_values
from multires.measures.abx import abx
from multires.measures.ctc import edit_counts, transcribe
from multires.measures.directions import TrainedView, canonical_directions, cross
from multires.measures.kmeans import fit_kmeans
from multires.measures.probe import predict_labels
from multires.measures.resolution import Frames, Matching, frame_spans, match_resolution
from multires.measures.statistics import CCAStatistics
from multires.measures.variates import VariateSums
from multires.models.layers import Layer, LayeredModel

_LOG = logging.getLogger(__name__)

ROLES = ("fit", "development", "test")
"""Whose utterances are used: to fit probes, to choose layers, and to score."""

_REGULARIZER = 1e-4
"""Of both views of CCA, relative to their largest variance."""


@dataclass(frozen=True)
class Settings:
    """Sample sizes of scoring.

    Attributes
    ----------
    windows
        Windows of the fitting speakers that the phone probe is fitted to, at most.
    clusters
        Clusters of word vectors.
    steps
        Numbers of steps of the CTC head that are tried in turn, each from the start.
    gain
        The share of the error on development speakers that more steps must save, for still more to be tried.
    """

    windows: int = 12_000
    clusters: int = 200
    steps: tuple[int, ...] = (300, 600, 1_200)
    gain: float = 0.01


@dataclass(frozen=True)
class _Speech:
    """Utterances of one role and their frames on the common grid.

    Attributes
    ----------
    utterances
        With phones.
    frames
        By layer: one array for each utterance.
    words
        By layer and form: vectors of the words in `word_labels`.
    """

    utterances: Sequence[Utterance]
    frames: Mapping[str, list[np.ndarray]]
    words: Mapping[tuple[str, str], np.ndarray]
    word_labels: np.ndarray
    word_speakers: np.ndarray


def score_model(
    model: LayeredModel,
    speech: Mapping[str, Sequence[Utterance]],
    *,
    condition: str,
    seed: int,
    folder: str | Path,
    middle: Sequence[int] = (),
    settings: Settings = Settings(),
    plan: Plan = PLAN,
    device: str = "cpu",
) -> pd.DataFrame:
    """Scores of one model on every outcome, in the form that `multires.experiment.analysis.analyze` takes.

    Parameters
    ----------
    model
        Any model; layers before the first transformer layer are left out, unless there is no other.
    speech
        Utterances by role (see `ROLES`); those without phones or words are left out.
    condition, seed
        Name the model in the table.
    folder
        Keeps a table for each outcome. Those that are there are not computed again.
    middle
        Depths that are candidates of the outcomes of the middle block, for models without one.
    settings
        Sample sizes.
    plan
        The outcomes.
    device
        Of the model and of the CTC head.

    Raises
    ------
    MultiresError
        Where a role has no utterance with phones and words.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    paths = {each.key: place / f"{condition}-{seed}-{each.key}.parquet" for each in plan.outcomes}
    if missing := [each for each in plan.outcomes if not paths[each.key].exists()]:
        layers = [layer for layer in model.layers if layer.block not in INPUT_BLOCKS] or list(model.layers)
        heard = _listen(model.to(device).eval(), layers, speech, plan, device)
        for outcome in missing:
            rows = _score(outcome, layers, heard, middle, seed, settings, device)
            if not rows:
                _LOG.warning("%s: too little aligned speech to score %s; it is left out", condition, outcome.name)
            table = pd.DataFrame(rows, columns=None if rows else list(SCORE_COLUMNS)).assign(
                outcome=outcome.key, condition=condition, seed=seed
            )
            table = table[[*SCORE_COLUMNS, *(name for name in table if name not in SCORE_COLUMNS)]]
            written = paths[outcome.key].with_name(f".{paths[outcome.key].name}.{os.getpid()}")
            table.to_parquet(written)
            written.replace(paths[outcome.key])
    return pd.concat([pd.read_parquet(path) for path in paths.values()], ignore_index=True)


def _listen(
    model: LayeredModel, layers: Sequence[Layer], speech: Mapping[str, Sequence[Utterance]], plan: Plan, device: str
) -> dict[str, _Speech]:
    """Every layer on the common grid, and word vectors in both forms. Speech is read an utterance at a time."""
    known = {role: [each for each in speech[role] if each.phones and each.words] for role in ROLES}
    if empty := [role for role, utterances in known.items() if not utterances]:
        raise MultiresError(f"no utterance of the {empty[0]} speakers has phones and words: give aligned speech")
    labels = pd.Series([word.label for each in known["fit"] for word in each.words or ()])
    counts = labels.value_counts()
    types = set(counts.index[counts >= plan.word_occurrences]) - {SILENCE, ""}
    heard = {}
    for role, utterances in known.items():
        frames: dict[str, list[np.ndarray]] = {layer.name: [] for layer in layers}
        vectors: dict[tuple[str, str], list[np.ndarray]] = {}
        chosen: list[tuple[str, str]] = []
        for utterance in utterances:
            words = [word for word in utterance.words or () if word.label in types]
            chosen += [(word.label, utterance.speaker) for word in words]
            with torch.inference_mode():
                outputs = model(torch.from_numpy(utterance.audio)[None].to(device)).utterance(0)
            for layer in layers:
                native = Frames(outputs[layer.name].float().cpu().numpy(), layer.frame_period, layer.first_center)
                for form in _forms(layer, plan):
                    on_grid = _on_grid(native, form, plan)
                    vectors.setdefault((layer.name, form), []).append(_pool(on_grid, words, plan))
                    if form != "decimated":
                        frames[layer.name].append(on_grid.astype(np.float16))
        joined = {key: np.concatenate(parts) for key, parts in vectors.items()}
        names, speakers = (np.array([pair[i] for pair in chosen], dtype=object) for i in (0, 1))
        heard[role] = _Speech(utterances, frames, joined, names, speakers)
    return heard


def _forms(layer: Layer, plan: Plan) -> tuple[Matching, ...]:
    return ("averaged", "decimated") if layer.frame_period < plan.grid / 1000 - 1e-6 else ("native",)


def _on_grid(frames: Frames, form: Matching, plan: Plan) -> np.ndarray:
    period = plan.grid / 1000
    if form == "decimated":
        frames = match_resolution(frames, "decimated", period)
    return match_resolution(frames, "grid", period).values


def _pool(frames: np.ndarray, words: Sequence[Segment], plan: Plan) -> np.ndarray:
    """Mean of the windows that overlap each word."""
    period = plan.grid / 1000
    rows = []
    for word in words:
        first = min(int(word.start / period + 1e-6), len(frames) - 1)
        rows.append(frames[first : max(int(np.ceil(word.end / period - 1e-6)), first + 1)].mean(0))
    return np.stack(rows) if rows else np.empty((0, frames.shape[1]), frames.dtype)


def _score(
    outcome: Outcome,
    layers: Sequence[Layer],
    heard: Mapping[str, _Speech],
    middle: Sequence[int],
    seed: int,
    settings: Settings,
    device: str,
) -> list[dict[str, Any]]:
    about_words = outcome.group == "words" or outcome.key == "word_classification"
    if about_words and len(set(heard["fit"].word_labels)) < 2:
        return []
    if outcome.candidates == "weighted sum":
        return _recognition(layers, heard, seed, settings, device)
    functions: dict[str, Callable[[Layer, str], list[dict[str, Any]]]] = {
        "phone_classification": lambda layer, form: _windows(layer, heard, settings),
        "word_classification": lambda layer, form: _words(layer, form, heard),
        "phone_abx": lambda layer, form: _triples(layer, heard, "across"),
        "phone_abx_within": lambda layer, form: _triples(layer, heard, "within"),
        "word_cca": lambda layer, form: _correlation(layer, form, heard),
        "word_information": lambda layer, form: _information(layer, form, heard, settings),
    }
    rows = []
    for layer in layers:
        inside = layer.block.startswith("middle") or layer.index in middle or len(layers) == 1
        forms = [form for role in ("fit",) for name, form in heard[role].words if name == layer.name]
        for form in forms if outcome.group == "words" else forms[:1]:
            candidate = inside if outcome.candidates == "middle block" else True
            rows += [
                {**row, "layer": layer.name, "form": form, "candidate": candidate, "layer_index": layer.index,
                 "block": layer.block, "frame_period": layer.frame_period}
                for row in functions[outcome.key](layer, form)
            ]  # fmt: skip
    return rows


def _counted(role: str, speakers: np.ndarray, correct: np.ndarray, labels: str = "true") -> list[dict[str, Any]]:
    """A row for each speaker."""
    table = pd.DataFrame({"speaker": speakers.astype(str), "correct": correct.astype(float)})
    found = table.groupby("speaker")["correct"].agg(["sum", "size"])
    return [
        {"role": role, "labels": labels, "speaker": speaker, "correct": float(row["sum"]), "total": float(row["size"])}
        for speaker, row in found.iterrows()
    ]


def _probe(
    train: tuple[np.ndarray, np.ndarray, np.ndarray], others: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> list[dict[str, Any]]:
    """Vectors, labels and speakers of each part to rows, with those of shuffled training labels."""
    x, y, groups = train
    rows = []
    test = np.concatenate([part[0] for part in others.values()])
    shuffled = np.random.default_rng(0).permutation(y)
    for name, labels, decays in (("true", y, None), ("shuffled", shuffled, (1e-2,))):
        chosen = {} if decays is None else {"decays": decays}
        guess = predict_labels(x, labels, test, seed=0, groups=groups, **chosen)
        start = 0
        for role, (_, truth, speakers) in others.items():
            rows += _counted(role, speakers, guess[start : start + len(truth)] == truth, name)
            start += len(truth)
    return rows


def _windows(layer: Layer, heard: Mapping[str, _Speech], settings: Settings) -> list[dict[str, Any]]:
    parts = {role: _labeled(layer, heard[role]) for role in ROLES}
    x, y, speakers = parts.pop("fit")
    kept = np.sort(np.random.default_rng(0).permutation(len(y))[: settings.windows])
    return _probe((x[kept], y[kept], speakers[kept]), parts)


def _labeled(layer: Layer, part: _Speech) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, phones and speakers of the windows whose center is in a phone.

    The windows are those of the utterance's duration, the same for every model: some have a frame more than others.
    """
    vectors, labels, speakers = [], [], []
    for utterance, frames in zip(part.utterances, part.frames[layer.name], strict=True):
        period = PLAN.grid / 1000
        index = np.arange(max(int(utterance.duration / period) - 1, 1))
        centers = (index + 0.5) * period
        phones = [phone for phone in utterance.phones or () if phone.label != SILENCE]
        place = np.searchsorted([phone.start for phone in phones], centers, side="right") - 1
        inside = (place >= 0) & (centers < np.array([phone.end for phone in phones])[place])
        vectors.append(frames[index[inside].clip(max=len(frames) - 1)].astype(np.float32))
        labels += [phones[i].label for i in place[inside]]
        speakers += [utterance.speaker] * int(inside.sum())
    return np.concatenate(vectors), np.array(labels, dtype=object), np.array(speakers, dtype=object)


def _words(layer: Layer, form: str, heard: Mapping[str, _Speech]) -> list[dict[str, Any]]:
    parts = {
        role: (heard[role].words[layer.name, form], heard[role].word_labels, heard[role].word_speakers)
        for role in ROLES
    }
    return _probe(parts.pop("fit"), parts)


def _triples(layer: Layer, heard: Mapping[str, _Speech], speakers: Any) -> list[dict[str, Any]]:
    """Right and all ABX triples of each speaker of X. A role without triples gives no rows."""
    rows: list[dict[str, Any]] = []
    for role in ROLES[1:]:
        part = heard[role]
        spans, labels, of, context = [], [], [], []
        offset = 0
        for utterance, frames in zip(part.utterances, part.frames[layer.name], strict=True):
            phones = utterance.phones or ()
            triphones = [
                t for t in zip(phones, phones[1:], phones[2:], strict=False) if SILENCE not in {p.label for p in t}
            ]
            if triphones:
                start, end = [t[0].start for t in triphones], [t[2].end for t in triphones]
                spans.append(frame_spans(start, end, PLAN.grid / 1000, len(frames), offset=offset))
                labels += [t[1].label for t in triphones]
                context += [f"{t[0].label} {t[2].label}" for t in triphones]
                of += [utterance.speaker] * len(triphones)
            offset += len(frames)
        frames = np.concatenate(part.frames[layer.name]).astype(np.float32)
        try:
            found = abx(
                frames, np.concatenate(spans), labels, of, context, speakers=speakers, replicates=2, baseline=False
            )
        except MultiresError as error:
            if "no triple" not in str(error):
                raise
            continue
        table = found.cells.table()
        table["right"] = (1 - table["error"]) * table["size"]
        sums = table.groupby("speaker_x", observed=True)[["right", "size"]].sum()
        rows += [
            {"role": role, "labels": "true", "speaker": str(speaker), "correct": float(row["right"]), "total": float(row["size"])}
            for speaker, row in sums.iterrows()
        ]  # fmt: skip
    return rows


def _jackknifed(
    role: str, speakers: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], labels: str
) -> list[dict[str, Any]]:
    """Pseudo-values of a statistic.

    `statistic` takes multiplicities of speakers, shape (replicates, speakers), to values, shape (replicates,).
    """
    names, codes = np.unique(speakers.astype(str), return_inverse=True)
    totals = np.bincount(codes).astype(float)
    values = statistic(np.concatenate([np.ones((1, len(names))), 1 - np.eye(len(names))]))
    pseudo = pseudo_values(float(values[0]), values[1:], totals)
    return [
        {"role": role, "labels": labels, "speaker": name, "correct": float(value * total), "total": float(total)}
        for name, value, total in zip(names, pseudo, totals, strict=True)
    ]


def _correlation(layer: Layer, form: str, heard: Mapping[str, _Speech]) -> list[dict[str, Any]]:
    """Mean held-out canonical correlation with words; directions are those of the fitting speakers."""
    fit = heard["fit"]
    names, y = np.unique(fit.word_labels.astype(str), return_inverse=True)
    rows = []
    for labels in ("true", "shuffled"):
        codes = np.random.default_rng(0).permutation(y) if labels == "shuffled" else y
        x = fit.words[layer.name, form].astype(np.float64)
        moments = CCAStatistics(x.shape[1], len(names)).update(x, codes).pool([0])
        sides = [
            TrainedView(moments.count, mean, scatter, "mean", 1.0, name).basis(_REGULARIZER)
            for mean, scatter, name in ((moments.mean_x, moments.xx, layer.name), (moments.mean_y, moments.yy, "words"))
        ]
        between = cross(sides[0], sides[1], moments.xy / (moments.count - 1))
        directions = canonical_directions(sides[0], sides[1], between, (_REGULARIZER, _REGULARIZER))
        for role in ROLES[1:]:
            part = heard[role]
            speakers, member = np.unique(part.word_speakers.astype(str), return_inverse=True)
            held = np.searchsorted(names, part.word_labels.astype(str))
            sums = VariateSums.of_rows(directions, part.words[layer.name, form], held, member, len(speakers))
            rows += _jackknifed(role, part.word_speakers, partial(_mean_correlation, sums), labels)
    return rows


def _mean_correlation(sums: VariateSums, draws: np.ndarray) -> np.ndarray:
    found: np.ndarray = sums.correlations(draws).mean(1)
    return found


def _information(layer: Layer, form: str, heard: Mapping[str, _Speech], settings: Settings) -> list[dict[str, Any]]:
    """Adjusted mutual information of words and clusters; clusters are those of the fitting speakers."""
    clusters = fit_kmeans(heard["fit"].words[layer.name, form], settings.clusters, seed=0)
    rows = []
    for role in ROLES[1:]:
        part = heard[role]
        units = clusters.predict(part.words[layer.name, form])
        _, member = np.unique(part.word_speakers.astype(str), return_inverse=True)
        for labels in ("true", "shuffled"):
            truth = part.word_labels.astype(str)
            truth = np.random.default_rng(0).permutation(truth) if labels == "shuffled" else truth

            def statistic(draws: np.ndarray, truth: np.ndarray = truth, units: np.ndarray = units,
                          member: np.ndarray = member) -> np.ndarray:  # fmt: skip
                kept = (draw[member] > 0 for draw in draws)
                return np.array([adjusted_mutual_info_score(truth[rows], units[rows]) for rows in kept])

            rows += _jackknifed(role, part.word_speakers, statistic, labels)
    return rows


def _recognition(
    layers: Sequence[Layer], heard: Mapping[str, _Speech], seed: int, settings: Settings, device: str
) -> list[dict[str, Any]]:
    """Right phones (all phones less edits) of each speaker, with the kinds of edits."""
    frames = {
        role: [
            np.stack(each).astype(np.float32)
            for each in zip(*(part.frames[layer.name] for layer in layers), strict=True)
        ]
        for role, part in heard.items()
    }
    labels = {role: [_phones(each) for each in part.utterances] for role, part in heard.items()}
    best, found, used, short = np.inf, None, 0, 0
    for steps in settings.steps:
        attempt = transcribe(
            frames["fit"], labels["fit"], frames["development"], frames["test"], seed=seed, steps=steps, device=device
        )
        pairs = zip(labels["development"], attempt.of[0], strict=True)
        error = sum(sum(edit_counts(*pair)) for pair in pairs) / sum(map(len, labels["development"]))
        enough = error > best * (1 - settings.gain)
        if error < best:
            best, found, used, short = error, attempt, steps, attempt.n_too_short
        if enough:
            break
    if found is None:
        raise MultiresError("the recognition head has no steps to train: give at least one number of steps")
    rows = []
    for role, transcripts in zip(ROLES[1:], found.of, strict=True):
        counts = pd.DataFrame(
            [edit_counts(*pair) for pair in zip(labels[role], transcripts, strict=True)],
            columns=["insertions", "deletions", "substitutions"],
        )
        counts["speaker"] = [each.speaker for each in heard[role].utterances]
        counts["total"] = [float(len(each)) for each in labels[role]]
        for speaker, row in counts.groupby("speaker").sum().iterrows():
            edits = {name: float(row[name]) for name in ("insertions", "deletions", "substitutions")}
            rows.append({
                "role": role, "labels": "true", "speaker": str(speaker), "total": row["total"], "candidate": True,
                "correct": row["total"] - sum(edits.values()), "layer": "weighted sum", "form": "averaged", **edits,
                "steps": used, "n_too_short": short,
            })  # fmt: skip
    return rows


def _phones(utterance: Utterance) -> list[str]:
    return [phone.label for phone in utterance.phones or () if phone.label != SILENCE]
