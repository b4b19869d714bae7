"""Speed of the measures: CCA and k-means against references, a full model, ABX against fastabx, and the CKA map."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import blas
from threadpoolctl import threadpool_limits

from benchmarks.machine import print_machine
from multires.measures import CCA, assign_folds, choose_trials, cka_map
from multires.measures.abx import abx
from multires.measures.mutual_information import mutual_information
from multires.results import processor_name
from tests.measures import protocol_reference

DIM = 768


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
"""``processor`` counts the seconds of this process only: for one thread on a busy machine."""

_clock = "wall"


def timed(*calls: Callable[[], object], rounds: int) -> list[float]:
    """Median seconds of each call; calls alternate, so that changes in load affect all alike."""
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
    """Seconds of the library, and the ratio of the reference's seconds to them."""
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
    """Operations that the method needs: covariances, eigendecompositions (about 9 n^3), projections."""
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
    """Ratio of scikit-learn's seconds to ours for 25,000 phones in 500 clusters, and our bits minus theirs."""
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


def triphones(hours: float, speakers: int = 40, dim: int = DIM, seed: int = 0) -> dict[str, np.ndarray]:
    """Frames of 20 ms, and triphones in them, of words with Zipf's frequencies: 40 phones, 2,000 words."""
    rng = np.random.default_rng(seed)
    lexicon = [rng.integers(0, 40, rng.integers(2, 7)) for _ in range(2000)]
    frequency = 1 / np.arange(1, 2001)
    count = round(36_000 * hours)
    words = rng.choice(2000, count, p=frequency / frequency.sum())
    phones = np.concatenate([lexicon[word] for word in words])[:count]
    speaker = np.arange(count) * speakers // count
    sizes = rng.integers(3, 9, count)
    ends = np.cumsum(sizes)
    centers, voices = (rng.standard_normal((n, dim), dtype=np.float32) for n in (40, speakers))
    frames = 3 * rng.standard_normal((ends[-1], dim), dtype=np.float32)
    for start in range(0, count, 1000):
        part = slice(start, min(start + 1000, count))
        frames[ends[part.start] - sizes[part.start] : ends[part.stop - 1]] += np.repeat(
            centers[phones[part]] + voices[speaker[part]] / 2, sizes[part], axis=0
        )
    middle = np.arange(1, count - 1)
    middle = middle[speaker[middle - 1] == speaker[middle + 1]]
    return {
        "frames": frames,
        "spans": np.stack([ends[middle - 1] - sizes[middle - 1], ends[middle + 1]], axis=1),
        "label": phones[middle],
        "speaker": speaker[middle],
        "context": phones[middle - 1] * 40 + phones[middle + 1],
    }


def run_fastabx(
    interpreter: str, items: dict[str, np.ndarray], limit: int, threads: int
) -> dict[str, dict[str, float]] | None:
    """Seconds and errors of fastabx in an interpreter that has it; None if it has not."""
    if subprocess.run([interpreter, "-c", "import fastabx"], capture_output=True).returncode:
        print(f"{interpreter} has no fastabx: name another one with --fastabx", file=sys.stderr)
        return None
    script = Path(__file__).with_name("fastabx_reference.py")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.npz"
        np.savez(path, limit=limit, **items)  # type: ignore[arg-type]
        done = subprocess.run(
            [interpreter, str(script), str(path), str(threads)], capture_output=True, text=True, check=True
        )
    return json.loads(done.stdout)


def measure_abx(hours: float, interpreter: str, threads: int, report: Callable[[str], None]) -> dict[str, float | None]:
    """ABX within and across speakers, with intervals and baselines, over an hour of speech with 40 speakers.

    The ratio is that of fastabx's seconds, for the errors alone and with the same limits, to ours. The difference is the
    largest one between the errors of a tenth of the items, without limits. Both are None if the interpreter has no
    fastabx.
    """
    items = triphones(hours)
    arrays = [items[column] for column in ("frames", "spans", "label", "speaker", "context")]
    start = CLOCKS[_clock]()
    errors = {speakers: abx(*arrays, speakers=speakers).error for speakers in ("within", "across")}
    seconds = CLOCKS[_clock]() - start
    figures: dict[str, float | None] = {"abx_s": seconds}
    report(f"abx         {seconds:8.2f} s for {hours:g} h, errors {errors['within']:.4f}, {errors['across']:.4f}")
    figures |= {"abx_ratio": None, "abx_difference": None}  # null in JSON where no interpreter has fastabx
    theirs = run_fastabx(interpreter, items, 10, threads)
    few = triphones(hours / 10, speakers=4)
    exact = None if theirs is None else run_fastabx(interpreter, few, 0, threads)
    if theirs is not None and exact is not None:
        arrays = [few[column] for column in ("frames", "spans", "label", "speaker", "context")]
        ratio = figures["abx_ratio"] = sum(each[_clock] for each in theirs.values()) / seconds
        ours = {
            speakers: abx(*arrays, speakers=speakers, max_size=None, max_x=None, baseline=False, replicates=10).error
            for speakers in ("within", "across")
        }
        difference = figures["abx_difference"] = max(
            abs(ours[speakers] - exact[speakers]["error"]) for speakers in ours
        )
        report(f"            ratio to fastabx {ratio:.2f}, largest difference {difference:.1e}")
    return figures


def measure_cka(scale: float, report: Callable[[str], None]) -> float:
    """Seconds of the map of 12 layers over 100,000 frames of 40 speakers, with intervals."""
    rows = round(100_000 * scale)
    rng = np.random.default_rng(7)
    layers = [layer_like(rows)]
    for _ in range(11):
        layers.append(layers[-1] + 0.3 * rng.standard_normal((rows, DIM), dtype=np.float32))
    speaker = np.arange(rows) * 40 // rows
    start = CLOCKS[_clock]()
    found = cka_map(layers, clusters=speaker)
    seconds = CLOCKS[_clock]() - start
    report(f"cka map     {seconds:8.2f} s for 12 layers, from {found.value.min():.3f} to {found.value.max():.3f}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each measurement takes (default 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the 100,000 frames (default 1)")
    parser.add_argument(
        "--only", choices=("frames", "phones", "words", "mi", "full", "abx", "cka"), action="append",
        help="measure only this",
    )  # fmt: skip
    parser.add_argument("--hours", type=float, default=1.0, help="hours of speech for ABX (default 1)")
    parser.add_argument(
        "--fastabx", default=sys.executable, help="interpreter with fastabx, which needs Python 3.12 (default this one)"
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
    chosen = options.only or ["phones", "words", "mi", "frames", "full", "cka", "abx"]
    figures: dict[str, float | None] = {}

    def report(line: str) -> None:
        if not options.json:
            print(line, flush=True)

    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads), warnings.catch_warnings():
        rate = product_rate() / 1e9
        report(f"{processor_name()}: {rate:.0f} GFLOP/s in float64 products")
        for case in chosen:
            if case == "abx":
                figures |= measure_abx(options.hours, options.fastabx, options.threads, report)
            elif case == "cka":
                figures["cka_map_s"] = measure_cka(options.scale, report)
            elif case == "full":
                figures["full_model_s"] = measure_full(options.scale, report)
            elif case == "mi":
                figures["mi_ratio"], figures["mi_difference"] = measure_mi(options.rounds, report)
            else:
                seconds, ratio = measure_cca(case, options.rounds, options.scale, report)
                figures[f"cca_{case}_s"], figures[f"cca_{case}_ratio"] = seconds, ratio
    if options.json:
        rounded = {key: None if value is None else float(f"{value:.4g}") for key, value in figures.items()}
        print(json.dumps({**rounded, "processor": processor_name(), "product_gflops": round(rate, 1)}))


if __name__ == "__main__":
    main()
