"""Every score of a set of trained models: probes, CCA and mutual information in one tidy table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from multires.analysis import stages
from multires.analysis.run import ACOUSTIC, Run, Subject
from multires.corpus.utterance import SILENCE, Utterance
from multires.errors import MultiresError
from multires.experiment.earlier import with_primary
from multires.features.store import FeatureStore
from multires.measures.ctc import ctc_probe
from multires.measures.probe import linear_probe, weighted_sum_probe
from multires.models.layers import Layer, LayeredModel
from multires.results import tidy

FRAME = "frame40"
"""Frames are classified in windows of 40 ms, which layers of 20 and of 40 ms both have."""


def evaluate(
    run: Run, labels: Mapping[str, tuple[str, int]], *, recognition: int = 300, steps: int = 600
) -> pd.DataFrame:
    """All scores of the models of a run.

    Probes for phone, word and speaker segments, for the phone of a frame and the intent of an utterance (mean of its
    frames), on each layer alone and on a learned weighted sum; phone recognition with a CTC head on the weighted sum;
    CCA and MI as notebooks 02 and 03 measure them. All but the speaker probe are judged on speakers that neither the
    probe nor the model was trained on.

    Parameters
    ----------
    run
        Its models are the trained (and untrained) ones, by path.
    labels
        Condition and seed of each model of the run.
    recognition, steps
        Utterances a split for phone recognition, and the steps of its head.

    Returns
    -------
    pandas.DataFrame
        Tidy, with a column stage: probe, cca, information. `model` is ``condition/seed``.
    """
    if unknown := [subject.name for subject in run.subjects if subject.name not in labels]:
        raise MultiresError(f"models without a condition: {', '.join(unknown)}")
    parts = {
        "probe": [stages.probes(run).table, _more_probes(run, recognition, steps)],
        "cca": [stages.cca(run).table],
        "information": [stages.mutual_information(run).table],
    }
    table = pd.concat([part.assign(stage=stage) for stage, some in parts.items() for part in some], ignore_index=True)
    names = table["model"]
    named = names.isin(list(labels))
    table.loc[named, "condition"] = [labels[name][0] for name in names[named]]
    table.loc[named, "seed"] = [labels[name][1] for name in names[named]]
    table.loc[named, "model"] = [f"{labels[name][0]}/{labels[name][1]}" for name in names[named]]
    return table


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """One number a model and score, for the factorial: the primary outcomes, weighted sums, and best layers.

    The best layer is the best on the test part; all conditions have the same number of layers to choose from, so that
    this favours none.

    Returns
    -------
    pandas.DataFrame
        Columns condition, seed, score, value.
    """
    means = table[table["trial"].isna()]
    parts = []
    for stage, measure, name in (
        ("probe", "accuracy", "accuracy"), ("probe", "error rate", "error rate"),
        ("cca", None, "CCA"), ("information", "normalised", "MI"),
    ):  # fmt: skip
        chosen = means[(means["stage"] == stage) & (means["measure"] != "shuffled")]
        chosen = chosen if measure is None else chosen[chosen["measure"] == measure]
        for view, part in chosen.groupby("view", sort=False):
            whole = part[part["layer"] == "weighted sum"]
            if len(whole):
                parts.append(whole.assign(score=f"{view} {name}, weighted sum"))
            layers = part[part["layer"] != "weighted sum"]
            if len(layers):
                best = layers.groupby(["condition", "seed"], as_index=False)["value"].max()
                parts.append(best.assign(score=f"{view} {name}, best layer"))
    scores = pd.concat(parts, ignore_index=True)[["condition", "seed", "score", "value"]]
    return with_primary(scores.astype({"value": float, "seed": int}))


def _more_probes(run: Run, recognition: int, steps: int) -> pd.DataFrame:
    """Phone by frame, intent, and phone recognition; log-mel and MFCC beside the models."""

    def compute() -> pd.DataFrame:
        rows: list[dict[str, Any]] = []
        subjects = [*run.subjects, *(Subject(name, 0) for name in ACOUSTIC)]
        for subject in tqdm(subjects, desc="frame, intent and recognition probes", disable=not run.progress):
            model = run.model(subject.name, subject.seed)
            store = run.features(subject.name, subject.seed)
            layers = [layer for layer in model.layers if layer.name != "conv"]
            columns = {"model": subject.name, "condition": run.condition(subject), "seed": subject.seed}
            for view, unit in (("phone frame", FRAME), ("intent", "utterance")):
                for layer in model.layers:
                    where = {"layer": layer.name, "layer_index": layer.index, "block": layer.block,
                             "frame_period": layer.frame_period}  # fmt: skip
                    rows += _classify(run, store, [layer], unit, {**columns, **where, "view": view})
                if len(layers) > 1:
                    rows += _classify(run, store, layers, unit, {**columns, "layer": "weighted sum", "view": view})
            name = "weighted sum" if len(layers) > 1 else layers[0].name
            rows += _recognise(run, model, layers, recognition, steps, {**columns, "layer": name, "view": "phone"})
        return tidy(rows)

    parameters = {
        "models": [subject.name for subject in run.subjects], "frames": run.profile.frames,
        "instances": run.profile.probe_instances, "recognition": recognition, "steps": steps,
    }  # fmt: skip
    return run.table("more-probes", parameters, compute).table


def _classify(
    run: Run, store: FeatureStore, layers: Sequence[Layer], unit: str, columns: dict[str, Any]
) -> list[dict[str, Any]]:
    labels = store.labels(unit)
    names = labels["label"].to_numpy(str)
    if unit == "utterance":
        intents = {utterance.id: utterance.attributes.get("intent", "") for utterance in run.corpus}
        names = np.array([intents[name] for name in labels["utterance"]])
    rng = np.random.default_rng(run.seed)
    parts = []
    for splits in (run.profile.train, run.profile.evaluation):
        rows = np.flatnonzero(labels["split"].isin(splits).to_numpy() & (names != ""))
        parts.append(np.sort(rng.permutation(rows)[: run.profile.probe_instances]))
    train, test = parts
    if not len(test) or len(set(names[train])) < 2:
        return []
    speakers = labels["speaker"].to_numpy()
    common = {"seed": run.seed, "clusters": speakers[test], "groups": speakers[train]}
    vectors = np.stack([store.vectors(layer.name, unit) for layer in layers])
    if len(layers) == 1:
        return linear_probe(vectors[0, train], names[train], vectors[0, test], names[test], **common).rows(**columns)
    return weighted_sum_probe(vectors[:, train], names[train], vectors[:, test], names[test], **common).rows(**columns)


def _recognise(
    run: Run, model: LayeredModel, layers: Sequence[Layer], most: int, steps: int, columns: dict[str, Any]
) -> list[dict[str, Any]]:
    model = model.to(run.device).eval()
    rng = np.random.default_rng(run.seed)
    frames, labels, speakers = [], [], []
    for splits in (run.profile.train, run.profile.evaluation):
        known = [u for u in run.corpus if u.split in splits and u.phones and len(_phones(u)) > 1]
        chosen = [known[i] for i in np.sort(rng.permutation(len(known))[:most])]
        if not chosen:
            return []
        frames.append([_frames(model, layers, utterance, run.device) for utterance in chosen])
        labels.append([_phones(utterance) for utterance in chosen])
        speakers.append([utterance.speaker for utterance in chosen])
    result = ctc_probe(
        frames[0], labels[0], frames[1], labels[1], seed=run.seed, clusters=speakers[1], steps=steps, device=run.device
    )
    return result.rows(**columns)


def _phones(utterance: Utterance) -> list[str]:
    return [segment.label for segment in utterance.phones or () if segment.label != SILENCE]


def _frames(model: LayeredModel, layers: Sequence[Layer], utterance: Utterance, device: str) -> np.ndarray:
    """All layers on the grid of the finest, the frames of slower ones repeated: (layers, frames, dim)."""
    with torch.inference_mode():
        outputs = model.run([utterance.id], torch.from_numpy(utterance.audio)[None].to(device)).utterance(0)
    finest = min(layer.frame_period for layer in layers)
    at = [
        outputs[layer.name].repeat_interleave(round(layer.frame_period / finest), dim=0).float().cpu().numpy()
        for layer in layers
    ]
    size = min(len(each) for each in at)
    return np.stack([each[:size] for each in at])
