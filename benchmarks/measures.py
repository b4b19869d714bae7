"""CCA against the protocol recomputed for each regulariser, and k-means against scikit-learn's, interleaved; a full model."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import blas
from threadpoolctl import threadpool_limits

from benchmarks.machine import print_machine
from multires.measures import CCA, assign_folds, choose_trials
from multires.measures.mutual_information import mutual_information
from tests.measures import protocol_reference

DIM = 768


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
"""``processor`` counts this process' own seconds, which other programs do not add to: for one thread on a busy machine."""

_clock = "wall"


def timed(*calls: Callable[[], object], rounds: int) -> list[float]:
    """The median seconds of each call; calls take turns, so that a change in the machine's load meets all alike."""
    now = CLOCKS[_clock]
    seconds = np.empty((rounds, len(calls)))
    for turn in range(rounds):
        for index, call in enumerate(calls):
            start = now()
            call()
            seconds[turn, index] = now() - start
    return np.median(seconds, axis=0).tolist()


def layer_like(rows: int, labels: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """float32 vectors with decaying, rotated variances; with labels, each has its own mean."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, DIM), dtype=np.float32)
    if labels is not None:
        x += np.random.default_rng(1).standard_normal((labels.max() + 1, DIM), dtype=np.float32)[labels] * 0.3
    turn, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((DIM, DIM)))
    return x @ (np.geomspace(1, 0.03, DIM)[:, None] * turn).astype(np.float32)


def cca_case(case: str, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """x, y for the library, y as a matrix, and strata."""
    rng = np.random.default_rng(0)
    if case == "frames":
        x = layer_like(round(100_000 * scale))
        y = (x[:, :80] @ rng.standard_normal((80, 80)) + rng.standard_normal((len(x), 80)) - 5).astype(np.float32)
        return x, y, y, None
    rows, count = (7800, 39) if case == "phones" else (7500, 500)
    labels = np.arange(rows) % count
    return layer_like(rows, labels), labels, np.eye(count)[labels], labels


def measure_cca(case: str, rounds: int, scale: float, report: Callable[[str], None]) -> tuple[float, float]:
    """Seconds of the library, and the reference's seconds over them; the two scores must agree."""
    x, y, matrix, strata = cca_case(case, scale)
    model = CCA("layerwise-analysis")
    scores: dict[str, float] = {}

    def library() -> None:
        scores["library"] = model.fit(x, y).score()

    def reference() -> None:
        folds = assign_folds(len(x), strata=strata)
        found = protocol_reference.cross_validated(
            x,
            matrix,
            folds,
            choose_trials(3, 10),
            model._pairs,
            protocol_reference.public_train,
            protocol_reference.public_score,
        )
        scores["reference"] = float(found.mean())

    ours, theirs = timed(library, reference, rounds=rounds)
    report(
        f"cca {case:7s} {ours:8.2f} s   reference {theirs:8.2f} s   ratio {theirs / ours:6.1f}   scores differ by {abs(scores['library'] - scores['reference']):.1e}"
    )
    report(
        f"            floor {cca_floor(case, scale) / product_rate():8.2f} s ({cca_floor(case, scale) / 1e9:.0f} GFLOP at the measured rate)"
    )
    return ours, theirs / ours


def cca_floor(case: str, scale: float) -> float:
    """Operations that this method cannot do without: covariances, eigendecompositions (about 9 n^3), projections."""
    rows, k = {"frames": (100_000 * scale, 80), "phones": (7800, 39), "words": (7500, 500)}[case]
    statistics = rows * DIM * (DIM + (2 * k if case == "frames" else 0))
    trial = 9 * (DIM**3 + k**3) + 6 * (9 * k**3 + 4 * DIM * k * k + 4 * DIM * DIM * k) + 2 * DIM * k * (DIM + k)
    return statistics + 3 * trial


def product_rate() -> float:
    """Floating-point operations a second of a large float64 matrix product, the best of five."""
    a = np.random.default_rng(0).standard_normal((2048, DIM))
    best = float("inf")
    for _ in range(5):
        start = CLOCKS[_clock]()
        blas.dgemm(1.0, a, a, trans_a=True)
        best = min(best, CLOCKS[_clock]() - start)
    return 2 * 2048 * DIM**2 / best


def measure_mi(rounds: int, report: Callable[[str], None]) -> tuple[float, float]:
    """scikit-learn's seconds over ours for 25,000 phones in 500 clusters, and our bits minus theirs."""
    rng = np.random.default_rng(3)
    sizes = rng.dirichlet(np.full(39, 3.0))
    labels = rng.choice(39, 25_000, p=sizes)
    held_out = rng.choice(39, 8_000, p=sizes)
    train, evaluation = layer_like(25_000, labels, 4), layer_like(8_000, held_out, 5)
    found: dict[str, list[float]] = {"lloyd": [], "minibatch": []}
    inertia: dict[str, list[float]] = {"lloyd": [], "minibatch": []}

    def run(method: str) -> None:
        seed = len(found[method])
        result = mutual_information(train, evaluation, held_out, seeds=(seed,), method=method)
        found[method].append(result.bits)
        inertia[method].append(result.runs[0].inertia)

    ours, theirs = timed(lambda: run("lloyd"), lambda: run("minibatch"), rounds=rounds)
    difference = float(np.mean(found["lloyd"]) - np.mean(found["minibatch"]))
    better = np.mean(inertia["lloyd"]) / np.mean(inertia["minibatch"])
    report(
        f"mi  phones  {ours:8.2f} s   MiniBatchKMeans {theirs:8.2f} s   ratio {theirs / ours:6.1f}   bits {np.mean(found['lloyd']):.3f}, difference {difference:+.3f}; inertia ratio {better:.4f}"
    )
    return theirs / ours, difference


def measure_full(scale: float, report: Callable[[str], None]) -> float:
    """Seconds for 12 layers with every view at dev-clean's size: CCA of frames, phones and words, and MI with phones."""
    rng = np.random.default_rng(6)
    frames, rows = round(100_000 * scale), 7500
    phones, words = np.arange(7800) % 39, np.arange(rows) % 500
    seconds = 0.0
    for layer in range(12):
        x = layer_like(frames, seed=layer)
        views = {
            "mel": x[:, :80] + rng.standard_normal((frames, 80), dtype=np.float32),
            "conv": x[:, :512] + rng.standard_normal((frames, 512), dtype=np.float32),
            "layer": x + rng.standard_normal((frames, DIM), dtype=np.float32),
        }
        x_phones, x_words = layer_like(len(phones), phones, layer), layer_like(rows, words, layer)
        train = layer_like(25_000, np.arange(25_000) % 39, layer)
        start = CLOCKS[_clock]()
        CCA("layerwise-analysis").fit_views(x, views)
        CCA("layerwise-analysis").fit(x_phones, phones)
        CCA("layerwise-analysis").fit_views(x_words, {"word": words, "part of speech": words % 8})
        mutual_information(train, x_phones, phones, seeds=(0,))
        seconds += CLOCKS[_clock]() - start
    report(f"full model  {seconds:8.2f} s for 12 layers, 6 views of CCA and MI with phones")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each measurement takes (default 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the 100,000 frames (default 1)")
    parser.add_argument(
        "--only", choices=("frames", "phones", "words", "mi", "full"), action="append", help="measure only this"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of every matrix product (default 2)")
    parser.add_argument(
        "--clock", choices=tuple(CLOCKS), default="wall", help="processor seconds, with one thread, on a busy machine"
    )
    options = parser.parse_args()
    print_machine()
    if options.clock == "processor" and options.threads != 1:
        parser.error("--clock processor adds up the seconds of all threads: use --threads 1")
    global _clock
    _clock = options.clock
    chosen = options.only or ["phones", "words", "mi", "frames", "full"]
    figures: dict[str, float] = {}

    def report(line: str) -> None:
        if not options.json:
            print(line, flush=True)

    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads), warnings.catch_warnings():
        for case in chosen:
            if case == "full":
                figures["full_model_s"] = measure_full(options.scale, report)
            elif case == "mi":
                figures["mi_ratio"], figures["mi_difference"] = measure_mi(options.rounds, report)
            else:
                seconds, ratio = measure_cca(case, options.rounds, options.scale, report)
                figures[f"cca_{case}_s"], figures[f"cca_{case}_ratio"] = seconds, ratio
    if options.json:
        print(json.dumps({key: round(value, 4) for key, value in figures.items()}))


if __name__ == "__main__":
    main()
