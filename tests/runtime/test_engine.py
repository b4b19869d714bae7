"""The same work here and on a cluster of this machine, and what becomes of workers that fail."""

import operator
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multires.analysis import stages, streaming
from multires.analysis.run import open_run
from multires.errors import MultiresError
from multires.features import extract
from multires.features.sources import NamedModel, fingerprint
from multires.measures.statistics import CCAStatistics
from multires.models import load_model
from multires.runtime.cluster import Cluster
from multires.runtime.digest import code_digest
from multires.runtime.engine import LOCAL, Engine, open_engine
from tests.conftest import SETTINGS


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    import dask

    quiet = {
        "distributed.scheduler.allowed-failures": 0,
        # Workers join when they have imported what they need, also those that replace others.
        "distributed.worker.preload": ["multires.analysis.stages"],
        "logging.distributed": "error",
    }
    with (
        dask.config.set(quiet),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0") as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        client.run(code_digest)  # imports what workers need
        yield client


def parts(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).standard_normal((50, 6)) + 100 for seed in range(count)]


def statistics(part: np.ndarray) -> CCAStatistics:
    return CCAStatistics(4, 2).update(part[:, :4], part[:, 4:])


@pytest.mark.parametrize("count", [1, 2, 5, 8, 13])
def test_merged_statistics_are_those_of_all_rows(count):
    merged = LOCAL.merge(statistics, parts(count), operator.add)
    whole = statistics(np.concatenate(parts(count)))
    assert merged.count[0] == whole.count[0]
    np.testing.assert_allclose(merged.xx, whole.xx, rtol=1e-11)
    np.testing.assert_allclose(merged.xy["y"], whole.xy["y"], rtol=1e-9, atol=1e-9)


def test_the_tree_holds_few_branches_at_once():
    alive, most = [0], [0]

    class Part:
        def __init__(self, names):
            self.names = names
            alive[0] += 1
            most[0] = max(most[0], alive[0])

        def __del__(self):
            alive[0] -= 1

    merged = LOCAL.merge(lambda name: Part([name]), list(range(1000)), lambda one, other: Part(one.names + other.names))
    assert merged.names == list(range(1000))
    assert most[0] < 16
    with pytest.raises(MultiresError, match="nothing to merge"):
        LOCAL.merge(len, [], operator.add)


def test_an_engine_is_local_an_address_or_a_client():
    assert open_engine("local") is open_engine(None) is LOCAL
    assert open_engine(LOCAL) is LOCAL
    with pytest.raises(MultiresError, match="unknown engine 'slurm': give local, the address of a Dask scheduler"):
        open_engine("slurm")
    assert isinstance(LOCAL, Engine)
    assert not LOCAL.remote


@pytest.mark.slow
def test_a_cluster_gives_the_same_tables(client, run, tmp_path):
    engine = open_engine(client)
    settings = {**SETTINGS, "models": "untrained/multi-small", "views": "mel,phone,word"}
    tables = []
    for name, given in (("here", "local"), ("there", engine)):
        made = open_run(workspace=tmp_path / name, engine=given, progress=False, **settings)
        tables.append([stages.cca(made).table, stages.mutual_information(made).table, stages.cca_grouping(made).table])
    for here, there in zip(*tables, strict=True):
        numbers = [column for column in here if pd.api.types.is_float_dtype(here[column])]
        pd.testing.assert_frame_equal(here.drop(columns=numbers), there.drop(columns=numbers))
        np.testing.assert_allclose(here[numbers].to_numpy(float), there[numbers].to_numpy(float), rtol=0, atol=1e-10)


@pytest.mark.slow
def test_a_cluster_merges_the_same_statistics(client):
    merged = open_engine(client).merge(statistics, parts(5), operator.add)
    here = LOCAL.merge(statistics, parts(5), operator.add)
    np.testing.assert_array_equal(merged.xx, here.xx)
    np.testing.assert_array_equal(merged.xy["y"], here.xy["y"])


def _allow(failures, dask_scheduler=None):
    before, dask_scheduler.allowed_failures = dask_scheduler.allowed_failures, failures
    return before


def _counted(piece):
    kind, folder = piece
    seen = Path(folder) / kind
    first = not seen.exists()
    seen.touch()
    if kind == "always hangs" or (kind == "hangs once" and first):
        time.sleep(600)
    return 1


@pytest.mark.slow
def test_statistics_are_merged_also_where_a_worker_hangs(client, tmp_path, capsys):
    allowed = client.run_on_scheduler(_allow, failures=3)  # Dask's own default: started anew, a worker counts as dead
    engine = Cluster(client, patience=6)
    pieces = [(kind, str(tmp_path)) for kind in ("works", "hangs once", "works too", "and this")]
    assert engine.merge(_counted, pieces, operator.add) == 4
    assert "hangs: started anew" in capsys.readouterr().err
    with pytest.raises(MultiresError, match=r"could not be merged: tcp://.* was still at it after 2 s"):
        Cluster(client, patience=2, attempts=2).merge(_counted, [("always hangs", str(tmp_path))], operator.add)
    client.run_on_scheduler(_allow, failures=allowed)
    client.restart()


@pytest.mark.slow
def test_a_cluster_gathers_the_same_statistics_of_speech(client, run, tmp_path, monkeypatch):
    """Frames and segments of every layer, in shares of chunks; an interrupted run goes on where it was."""
    client.wait_for_workers(2, timeout=60)  # another test may just have started one anew
    monkeypatch.setattr(streaming, "_CHUNK_SECONDS", 10.0)
    monkeypatch.setattr(streaming, "_CHUNKS_EACH", 2)
    few = replace(run.corpus, utterances=run.corpus.utterances[::4])
    model = load_model("untrained/multi-small")
    common = {"views": ("mel", "phone", "layer"), "layers": ("conv", "middle.0"), "other": load_model("mfcc"),
              "folds": 4, "trials": 2, "progress": False}  # fmt: skip
    here = streaming.accumulate(model, few, **common)
    known = NamedModel("untrained/multi-small", 0, fingerprint(model))
    asked, merge = [], Cluster.merge

    def interrupted(self, function, pieces, join):
        asked.append([str(piece) for piece in pieces])
        if len(asked) == 2:
            raise KeyboardInterrupt
        return merge(self, function, pieces, join)

    monkeypatch.setattr(Cluster, "merge", interrupted)
    settings = {**common, "engine": client, "sources": {"model": known}, "save_to": tmp_path / "state"}
    with pytest.raises(KeyboardInterrupt):
        streaming.accumulate(model, few, **settings)
    there = streaming.accumulate(model, few, **settings)
    assert len(asked[0]) == 2, "a share for each worker"
    assert here.done == there.done == {utterance.id for utterance in few}
    monkeypatch.setattr(Cluster, "merge", merge)
    at_once = streaming.accumulate(model, few, **{**settings, "save_to": None})
    scores = here.score("pwcca")
    for place, found in at_once.score("pwcca").items():
        assert found.n == scores[place].n
        assert found.score == pytest.approx(scores[place].score, abs=1e-10)
        assert found.baseline == pytest.approx(scores[place].baseline, abs=1e-10)
        assert found.interval == pytest.approx(scores[place].interval, abs=1e-10)
    table = streaming.model_cca(model, few, settings={"replicates": 20}, **{**settings, "save_to": None})
    assert set(table["layer"]) == {"conv", "middle.0"}


@pytest.mark.slow
def test_what_is_too_much_for_a_worker_is_clustered_shard_by_shard(client, tmp_path, monkeypatch):
    """K-means' sums come from the shards, here and on a cluster alike; held in memory, rows give the same up to rounding."""
    monkeypatch.setattr(extract, "SHARD_SECONDS", 40.0)
    settings = {**SETTINGS, "models": "untrained/multi-small", "layers": "encoder.0.1,middle.0"}
    merged, merge = [], Cluster.merge
    monkeypatch.setattr(Cluster, "merge", lambda self, *given: merged.append(given[0]) or merge(self, *given))
    tables = {}
    for name, engine, held in (("held", LOCAL, 2**30), ("here", LOCAL, 0), ("there", open_engine(client), 0)):
        monkeypatch.setattr(stages.rows, "_HELD", held)
        made = open_run(workspace=tmp_path / name, engine=engine, progress=False, **settings)
        assert made.features("untrained/multi-small").shards > 3
        tables[name] = stages.mutual_information(made).table
    assert merged, "the workers gave statistics"
    pd.testing.assert_frame_equal(tables["here"], tables["there"], check_exact=False, rtol=0, atol=1e-10)
    means = {name: table[table["measure"] == "normalised"]["value"].to_numpy(float) for name, table in tables.items()}
    np.testing.assert_allclose(means["here"], means["held"], atol=0.02)


def _unlucky(piece):
    """Fails once on the first worker that has it, always, hangs once, or works."""
    kind, folder = piece
    seen = Path(folder) / kind
    first = not seen.exists()
    seen.touch()
    if kind == "always fails":
        raise ValueError("no such luck")
    if kind == "fails once" and first:
        raise OSError("a passing trouble")
    if kind == "hangs once" and first:
        time.sleep(600)
    return kind


@pytest.mark.slow
def test_what_fails_is_tried_elsewhere_then_reported_and_the_rest_is_done(client, tmp_path, capsys):
    kinds = ["fails once", "works", "always fails", "hangs once", "works too", "and this"]
    done: list[str] = []
    engine = Cluster(client, patience=12)
    with pytest.raises(MultiresError) as error:
        done.extend(engine.each(_unlucky, [(kind, str(tmp_path)) for kind in kinds], "pieces"))
    assert sorted(done) == sorted(set(kinds) - {"always fails"})
    assert str(error.value).startswith("1 of 6 pieces failed, the rest is done and kept")
    assert "ValueError: no such luck" in str(error.value)
    told = capsys.readouterr().err
    assert "a passing trouble; trying it again" in told
    assert "was still at it after 12 s; trying it again" in told
