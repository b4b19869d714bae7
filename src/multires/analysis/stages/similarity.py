"""Spread and similarity of layers at several resolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from multires.analysis.run import Run
from multires.analysis.stages.gather import Place, gather_rows, subject_places
from multires.analysis.stages.rows import run_parameters
from multires.features.pooling import serves
from multires.measures.bootstrap import draw_weights, summarize
from multires.results import Result


def extraction(run: Run) -> Result:
    """Vectors of every model, and what they look like: counts, participation ratio, similarity of neighbors."""

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
        return gather_rows(run, "layers", subject_places(run, run.subjects), rows_of)

    return run.table("extraction", run_parameters(run), compute)


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
    return {"measure": "neighbor similarity", "value": cosines.mean(), "low": interval.low, "high": interval.high}
