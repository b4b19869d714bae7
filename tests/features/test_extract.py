"""Extraction against frames that are known, and under interruption."""

import numpy as np
import pytest

from multires.corpus.utterance import Corpus
from multires.errors import MultiresError
from multires.features.extract import choose_layers, extract
from multires.features.pooling import frame_range, serves
from multires.features.segments import UNITS, segment_table
from multires.runtime import storage
from tests.features.ramp import Ramp


def test_extract_gives_each_segment_its_own_frames(corpus, tmp_path):
    whole = Corpus("toy", corpus.utterances[:3], fingerprint="toy")
    table = segment_table(whole, frames=9, seed=0)
    store = extract(Ramp(), whole, table, tmp_path / "ramp", progress=False)
    assert store.units() == list(UNITS)
    assert store.layer_names() == ["conv", "middle.0"]
    for unit in store.units():
        labels = store.labels(unit)
        for layer in Ramp().layers:
            if serves(layer, unit):
                vectors = store.vectors(layer.name, unit)
                assert vectors.shape == (len(labels), layer.dim)
                durations = {u.id: u.duration for u in whole}
                counts = labels["utterance"].map(durations).mul(16000).sub(400).floordiv(layer.frame_period * 16000) + 1
                for row, count, vector in zip(labels.itertuples(), counts, vectors, strict=True):
                    a, b = frame_range(np.array([row.start]), np.array([row.end]), layer.frame_period, int(count))
                    np.testing.assert_allclose(vector, np.arange(a[0], b[0]).mean(), rtol=1e-6)
    dataset = store.dataset("word", ["conv", "middle.0"])
    assert dict(dataset.sizes) == {"segment": 4, "dim2": 2, "dim3": 3}
    assert list(dataset["label"].values) == ["cat", "sat", "cat", "sat"]


def test_extraction_continues_where_it_stopped(corpus, tmp_path, monkeypatch):
    whole = Corpus("toy", corpus.utterances[:3], fingerprint="toy")
    table = segment_table(whole, frames=9, seed=0)
    monkeypatch.setattr("multires.features.extract.SHARD_SECONDS", 0.5)
    full = extract(Ramp(), whole, table, tmp_path / "full", progress=False)
    cut = tmp_path / "cut"
    extract(Ramp(), whole, table, cut, progress=False)
    (cut / "shard-0001").rename(cut / ".shard-0001.0123abcd")  # as if interrupted while it was written
    model = Ramp()
    again = extract(model, whole, table, cut, progress=False)
    assert model.calls == 1
    for unit in full.units():
        np.testing.assert_array_equal(full.vectors("conv", unit), again.vectors("conv", unit))


def test_a_store_may_lie_at_a_url(store, corpus):
    _, local = store
    whole = Corpus("toy", corpus.utterances[:3], fingerprint="toy")
    path = storage.place("memory://bucket/ramp")
    try:
        remote = extract(Ramp(), whole, local.segments, path, progress=False)
        for layer in ("conv", "middle.0"):
            np.testing.assert_array_equal(remote.vectors(layer, "phone"), local.vectors(layer, "phone"))
        (path / "shard-0001" / "zarr.json").unlink()  # as if interrupted before the shard was whole
        model = Ramp()
        extract(model, whole, local.segments, path, progress=False)
        assert model.calls == 1
    finally:
        storage.remove(path)
    assert not path.exists()


def test_faults_name_the_layer_and_the_utterance(corpus, tmp_path):
    whole = Corpus("toy", corpus.utterances[:2], fingerprint="toy")
    table = segment_table(whole, frames=4, seed=0)
    with pytest.raises(MultiresError, match=r"a1.*middle\.0 gave NaN"):
        extract(Ramp(poison="middle.0"), whole, table, tmp_path / "nan", progress=False)
    with pytest.raises(MultiresError, match=r"no layer encoder\.9.*conv, middle\.0"):
        choose_layers(Ramp(), ["encoder.9"])
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(MultiresError, match="cannot write"):
        extract(Ramp(), whole, table, blocked, progress=False)


def test_the_progress_bar_names_the_model_and_its_place(corpus, tmp_path, capsys):
    whole = Corpus("toy", corpus.utterances[:3], fingerprint="toy")
    extract(Ramp(), whole, segment_table(whole, frames=9, seed=0), tmp_path / "ramp", place="3 of 8")
    shown = capsys.readouterr().err
    assert f"extract {Ramp().key} (3 of 8): 100%" in shown
