"""Past one process: two workers against one, the same numbers, memory as the speech grows, and what merging costs.

On a `LocalCluster` of real worker processes of one thread each::

    python -m benchmarks.scale --json                      # one JSON object
    python -m benchmarks.scale --utterances 20000          # a smaller largest corpus, for a small machine
    python -m benchmarks.scale --keep book/data/scale.json # what the book's page on scale shows
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import dask
import numpy as np
import torch
from distributed import Client, LocalCluster

from benchmarks.machine import print_machine
from multires.analysis import streaming
from multires.corpus.utterance import SAMPLE_RATE, Corpus, Segment, Utterance
from multires.efficiency.counting import count_total
from multires.features import extract as extraction
from multires.features.extract import extract
from multires.features.segments import segment_table
from multires.features.sources import NamedModel, fingerprint
from multires.features.store import FeatureStore, ShardRows
from multires.measures import KMeans, Pieces, fit_kmeans
from multires.measures.statistics import CCAStatistics
from multires.models import build_model, load_model
from multires.results import processor_name
from multires.runtime.cluster import Cluster
from multires.runtime.engine import LOCAL, Engine

PHONES = ("aa", "b", "s", "t")
FEWEST = 1_000


@dataclass(frozen=True)
class Noise:
    """Makes its samples when asked; a plain value, as utterances on disk are."""

    seed: int
    samples: int

    def __call__(self) -> np.ndarray:
        """Shape (samples,), in [-0.5, 0.5]."""
        return np.random.default_rng(self.seed).uniform(-0.5, 0.5, self.samples).astype(np.float32)


def noise(count: int, seconds: float) -> Corpus:
    """Utterances of equal length with four phones each."""
    samples = int(seconds * SAMPLE_RATE)
    times = np.linspace(0, seconds, len(PHONES) + 1)
    phones = tuple(Segment(label, times[i], times[i + 1]) for i, label in enumerate(PHONES))
    utterances = tuple(
        Utterance(f"{index:06d}", f"speaker {index % 40}", "train", seconds, Noise(index, samples), phones=phones)
        for index in range(count)
    )
    return Corpus("noise", utterances, fingerprint=f"noise-{count}-{seconds}")


@contextmanager
def workers(count: int) -> Iterator[Client]:
    """Fresh processes of one thread each, restarted by a nanny where they die."""
    with (
        dask.config.set({"logging.distributed": "error"}),
        LocalCluster(n_workers=count, threads_per_worker=1, memory_limit=0, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(count)
        yield client


def extracted(engine: Engine, corpus: Corpus, folder: Path, name: str) -> tuple[FeatureStore, float]:
    """The vectors of a model, and the seconds that they took."""
    model = load_model(name)
    segments = segment_table(corpus, frames=len(corpus), seed=0)
    source = NamedModel(name, 0, fingerprint(model))
    begin = time.perf_counter()
    store = extract(model, corpus, segments, folder, engine=engine, source=source, progress=False)
    return store, time.perf_counter() - begin


@dataclass(frozen=True)
class Gather:
    """The CCA statistics of one shard of a store: a layer against the phones, in folds."""

    dim: int
    folds: int = 10

    def __call__(self, read: ShardRows) -> CCAStatistics:
        """Statistics of the vectors that `read` returns."""
        x = read()
        rows = np.arange(len(x))
        return CCAStatistics(self.dim, len(PHONES), self.folds).update(x, rows % len(PHONES), rows % self.folds)


def every_phone(store: FeatureStore) -> tuple[list[ShardRows], int]:
    """Readers of the last layer's phones, shard by shard, and the layer's width."""
    layer = store.layer_names()[-1]
    readers = store.readers(layer, "phone", np.ones(len(store.labels("phone")), dtype=bool))
    return readers, readers[0]().shape[1]


def gathered(engine: Engine, store: FeatureStore) -> CCAStatistics:
    """The statistics of all shards of the last layer, merged as a tree."""
    readers, dim = every_phone(store)
    return engine.merge(Gather(dim), readers, operator.add)


def clustered(engine: Engine, store: FeatureStore, iterations: int = 30) -> KMeans:
    """K-means of the last layer's phones, whose sums come from the shards and are merged as a tree."""
    readers, dim = every_phone(store)
    sizes = [len(reader.mask) for reader in readers]
    return fit_kmeans(Pieces(readers, sizes, dim, engine), 20, iterations=iterations)


def streamed(engine: Engine, corpus: Corpus, name: str) -> list[float]:
    """Scores of CCA with the phones, from statistics that the workers gather from the speech itself."""
    model = load_model(name)
    sources = {"model": NamedModel(name, 0, fingerprint(model))}
    layers = tuple(layer.name for layer in model.layers[-2:])
    found = streaming.accumulate(
        model, corpus, views=("phone",), layers=layers, engine=engine, sources=sources, progress=False
    )
    return [result.score for result in found.score("mean").values()]


def two_workers(folder: Path, rounds: int, name: str) -> dict[str, float]:
    """Throughput of two workers over one, in turns; and by how much any number differs from the local run's."""
    corpus = noise(96, 5.0)
    extraction.SHARD_SECONDS = 20.0
    streaming._CHUNK_SECONDS = 40.0
    local, seconds_here = extracted(LOCAL, corpus, folder / "here", name)
    here, clusters, scores = gathered(LOCAL, local), clustered(LOCAL, local), streamed(LOCAL, corpus, name)
    ratios, rates, difference = [], [], 0.0
    with workers(1) as one, workers(2) as two:
        for client in (one, two):
            extracted(Cluster(client), corpus, folder / f"warm-{len(client.nthreads())}", name)
        for turn in range(rounds):
            seconds = {}
            for client in (one, two):
                count = len(client.nthreads())
                store, seconds[count] = extracted(Cluster(client), corpus, folder / f"{turn}-{count}", name)
                for layer in store.layer_names():
                    for unit in ("phone", "utterance", "frame80"):
                        apart = np.abs(store.vectors(layer, unit) - local.vectors(layer, unit))
                        difference = max(difference, float(apart.max()))
                there = gathered(Cluster(client), store)
                for mine, its in ((here.xx, there.xx), (here.xy["y"], there.xy["y"]), (here.mean_x, there.mean_x)):
                    difference = max(difference, float(np.abs(mine - its).max()))
                apart = (clustered(Cluster(client), store).centers - clusters.centers).abs()
                difference = max(difference, float(apart.max()))
                its_scores = streamed(Cluster(client), corpus, name)
                difference = max(difference, float(np.abs(np.subtract(its_scores, scores)).max()))
            ratios.append(seconds[1] / seconds[2])
            rates.append(sum(u.duration for u in corpus) / seconds[1])
    return {
        "two_workers_ratio": statistics.median(ratios),
        "max_abs_difference": difference,
        "speech_seconds_per_second": statistics.median(rates),
        "speech_seconds_per_second_local": sum(u.duration for u in corpus) / seconds_here,
    }


def memory(folder: Path, most: int) -> dict[str, float]:
    """The peak of a worker's resident memory at `most` utterances over that at 1,000: extraction, statistics, k-means."""
    extraction.SHARD_SECONDS = 250.0
    peaks = {}
    for count in (FEWEST, most):
        with workers(1) as client:
            store, _ = extracted(Cluster(client), noise(count, 0.5), folder / f"memory-{count}", "mel")
            merged = gathered(Cluster(client), store)
            assert merged.count.sum() == count * len(PHONES)
            clustered(Cluster(client), store, iterations=2)
            (peaks[count],) = client.run(high_water).values()
    return {
        "memory_growth": peaks[most] / peaks[FEWEST],
        "memory_utterances": most,
        "worker_mb": peaks[most] / 1e6,
    }


def high_water() -> int:
    """The most bytes that this process has ever had resident."""
    import resource
    import sys

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def merging(dim: int = 256, folds: int = 10) -> dict[str, float]:
    """Seconds to merge the statistics of so many shards on two workers, their making included."""

    def made(number: int) -> CCAStatistics:
        x = np.random.default_rng(number).standard_normal((500, dim)).astype(np.float32)
        rows = np.arange(len(x))
        return CCAStatistics(dim, 40, folds).update(x, rows % 40, rows % folds)

    found = {}
    with workers(2) as client:
        for shards in (4, 4, 16, 64):  # the first warms up
            begin = time.perf_counter()
            Cluster(client).merge(made, range(shards), operator.add)
            found[f"merge_{shards}_shards_s"] = time.perf_counter() - begin
    return found


def base_rate() -> dict[str, float]:
    """What one core makes of MR-HuBERT base: seconds of speech a second, and operations a second."""
    model = build_model("multi", "base").eval()
    waveform = torch.zeros(1, 10 * SAMPLE_RATE)
    times = []
    with torch.inference_mode():
        model(waveform[:, :SAMPLE_RATE])
        for _ in range(3):
            begin = time.perf_counter()
            model(waveform)
            times.append(time.perf_counter() - begin)
    seconds = min(times)
    return {
        "base_speech_seconds_per_second": 10 / seconds,
        "base_operations_per_second": 2 * count_total(model.config, 10.0) / seconds,
    }


def measure(most: int, rounds: int, name: str) -> dict[str, float | str]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        found: dict[str, float | str] = {**two_workers(Path(folder), rounds, name), **memory(Path(folder), most)}
        return {**found, **merging(), **base_rate(), "machine": processor_name(), "cores": os.cpu_count() or 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--utterances", type=int, default=100_000, help="of the largest corpus (default 100,000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of one and two workers (default 3)")
    parser.add_argument("--model", default="untrained/multi-small", help="that one and two workers extract")
    parser.add_argument("--keep", type=Path, help="also write the JSON object here")
    given = parser.parse_args()
    print_machine()
    found = measure(given.utterances, given.rounds, given.model)
    rounded = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in found.items()}
    if given.keep:
        given.keep.write_text(json.dumps(rounded, indent=2) + "\n")
    if given.json:
        print(json.dumps(rounded))
    else:
        for key, value in rounded.items():
            print(f"{key:34} {value}")


if __name__ == "__main__":
    main()
