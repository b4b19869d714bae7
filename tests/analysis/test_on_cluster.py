"""The same tables and statistics on a Dask cluster as in this process."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from multires.analysis import stages, streaming
from multires.analysis.run import open_run
from multires.corpus import load_corpus
from multires.features import extract
from multires.features.sources import NamedModel, fingerprint
from multires.models import load_model
from multires.runtime.cluster import Cluster
from multires.runtime.engine import LOCAL, open_engine
from tests.local_cluster import local_cluster

SETTINGS = {
    "hours": 0.02, "frames": 300, "models": "untrained/multi-small", "layers": "encoder.0.1,middle.0", "folds": 4,
    "trials": 2, "resamples": 20, "cluster_seeds": 2, "phone_clusters": 20, "word_clusters": 10, "word_instances": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A cluster for this module, in which no test harms a worker."""
    with local_cluster(tmp_path_factory.mktemp("dask"), "multires.analysis.stages") as client:
        yield client


@pytest.mark.slow
def test_a_cluster_gives_the_same_tables(client, tmp_path):
    engine = open_engine(client)
    settings = {**SETTINGS, "views": "mel,phone,word"}
    tables = []
    for name, given in (("here", "local"), ("there", engine)):
        made = open_run("synthetic", workspace=tmp_path / name, engine=given, jobs=1, progress=False, **settings)
        tables.append([stages.cca(made).table, stages.mutual_information(made).table, stages.cca_grouping(made).table])
    for here, there in zip(*tables, strict=True):
        numbers = [column for column in here if pd.api.types.is_float_dtype(here[column])]
        pd.testing.assert_frame_equal(here.drop(columns=numbers), there.drop(columns=numbers))
        # Sums round differently with another number of threads, of which a worker may have fewer.
        np.testing.assert_allclose(here[numbers].to_numpy(float), there[numbers].to_numpy(float), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_cluster_gathers_the_same_statistics_of_speech(client, tmp_path, monkeypatch):
    """Frames and segments of every layer, in shares of chunks; an interrupted run continues."""
    monkeypatch.setattr(streaming, "_CHUNK_SECONDS", 4.0)
    monkeypatch.setattr(streaming, "_CHUNKS_EACH", 2)
    whole = load_corpus("synthetic", hours=0.02, progress=False)
    few = replace(whole, utterances=whole.utterances[::2])
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
        assert found.score == pytest.approx(scores[place].score, abs=1e-7)
        assert found.baseline == pytest.approx(scores[place].baseline, abs=1e-7)
        assert found.interval == pytest.approx(scores[place].interval, abs=1e-7)
    table = streaming.model_cca(model, few, settings={"replicates": 20}, **{**settings, "save_to": None})
    assert set(table["layer"]) == {"conv", "middle.0"}


@pytest.mark.slow
def test_vectors_beyond_memory_are_clustered_shard_by_shard(client, tmp_path, monkeypatch):
    """K-means sums come from the shards, here and on a cluster; rows held in memory give the same up to rounding."""
    monkeypatch.setattr(extract, "SHARD_SECONDS", 12.0)
    merged, merge = [], Cluster.merge
    monkeypatch.setattr(Cluster, "merge", lambda self, *given: merged.append(given[0]) or merge(self, *given))
    tables = {}
    for name, engine, held in (("held", LOCAL, 2**30), ("here", LOCAL, 0), ("there", open_engine(client), 0)):
        monkeypatch.setattr(stages.rows, "_HELD", held)
        made = open_run("synthetic", workspace=tmp_path / name, engine=engine, progress=False, **SETTINGS)
        assert made.features("untrained/multi-small").shards > 3
        tables[name] = stages.mutual_information(made).table
    assert merged, "the workers gave statistics"
    pd.testing.assert_frame_equal(tables["here"], tables["there"], check_exact=False, rtol=0, atol=1e-10)
    means = {name: table[table["measure"] == "normalized"]["value"].to_numpy(float) for name, table in tables.items()}
    np.testing.assert_allclose(means["here"], means["held"], atol=0.02)
