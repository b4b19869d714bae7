"""Pooling against a brute-force mean, the segment table against its corpus, and the store under interruption."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multires.corpus.utterance import Corpus, Segment, Utterance
from multires.errors import MultiresError
from multires.features.store import (
    UNITS,
    choose_layers,
    extract,
    fingerprint,
    frame_range,
    pool,
    segment_table,
    serves,
)
from multires.models.layers import Layer, LayeredModel, LayerOutputs
from multires.runtime import storage

PERIODS = st.sampled_from([0.01, 0.02, 0.04, 0.08])


class Ramp(LayeredModel):
    """Two layers whose frame i holds i, at 20 and 40 ms, as HuBERT counts frames."""

    key, description, trained = "ramp", "frames that count themselves", False

    def __init__(self, poison: str | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.poison = poison
        self.calls = 0

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (
            Layer("conv", "conv", "conv", 0, 0.02, 2, 0.0125),
            Layer("middle.0", "M1", "middle", 1, 0.04, 3, 0.0225),
        )

    def forward(self, waveforms, lengths=None):
        self.calls += 1
        frames, counts = {}, {}
        for layer in self.layers:
            counts[layer.name] = (lengths - 400) // int(layer.frame_period * 16000) + 1
            index = torch.arange(int(counts[layer.name].max()), dtype=torch.float32)
            frames[layer.name] = index[None, :, None].expand(len(waveforms), -1, layer.dim).clone()
            if self.poison == layer.name:
                frames[layer.name][0, 0, 0] = float("nan")
        return LayerOutputs(frames, counts)


def utterance(name: str, seconds: float, *, aligned: bool = True, split: str = "train") -> Utterance:
    words = (Segment("cat", 0.1, 0.4), Segment("sat", 0.4, 0.7)) if aligned else None
    phones = (
        (Segment("sil", 0.0, 0.1), Segment("k", 0.1, 0.15), Segment("ae", 0.15, 0.4), Segment("s", 0.4, 0.7))
        if aligned
        else None
    )
    return Utterance(
        name, f"speaker {name[0]}", split, seconds,
        lambda: np.zeros(int(seconds * 16000), np.float32), "cat sat", words, phones,
    )  # fmt: skip


@pytest.fixture
def corpus() -> Corpus:
    utterances = [
        utterance("a1", 1.2),
        utterance("b1", 0.9),
        utterance("c1", 1.0, aligned=False),
        utterance("d1", 0.05, aligned=False),
    ]
    return Corpus("toy", utterances, parts_of_speech={"cat": "noun"}, fingerprint="toy")


@given(st.floats(0, 30), st.floats(0.001, 3), PERIODS, st.integers(1, 2000))
def test_frame_range_covers_the_segment_and_is_never_empty(start, length, period, frames):
    first, past = frame_range(np.array([start]), np.array([start + length]), period, frames)
    assert 0 <= first[0] < past[0] <= frames
    if past[0] < frames and first[0] < frames - 1:
        assert first[0] * period <= start + 1e-6
        assert past[0] * period >= start + length - 1e-6


def test_frame_range_on_multiples_of_the_period_is_exact():
    starts = np.arange(500) * 0.02
    for period, width in ((0.01, 2), (0.02, 1)):
        first, past = frame_range(starts, starts + 0.02, period, 10_000)
        assert (past - first == width).all()
        assert (first == np.arange(500) * width).all()


@settings(deadline=None)
@given(st.integers(1, 80), st.integers(1, 5), PERIODS, st.integers(0, 2**32 - 1))
def test_pool_is_the_mean_of_the_frames(frames, dim, period, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((frames, dim)).astype(np.float32) * 100
    start = rng.uniform(0, frames * period, 7)
    end = start + rng.uniform(0.001, 0.5, 7)
    first, past = frame_range(start, end, period, frames)
    expected = np.stack([values[a:b].astype(np.float64).mean(0) for a, b in zip(first, past, strict=True)])
    np.testing.assert_allclose(pool(values, start, end, period), expected, rtol=1e-5, atol=1e-5)


def test_segment_table_holds_every_phone_and_word_once(corpus):
    table = segment_table(corpus, frames=12, seed=0)
    counts = table["unit"].value_counts()
    assert counts["phone"] == 6  # silence is no phone
    assert counts["word"] == 4
    assert counts["utterance"] == 4
    assert set(table[table["unit"] == "phone"]["word"]) == {"cat", "sat"}
    assert table[(table["unit"] == "word") & (table["label"] == "cat")]["part_of_speech"].eq("noun").all()
    assert list(dict.fromkeys(table["utterance"])) == [u.id for u in corpus]


def test_frames_are_nested_windows_of_their_utterance(corpus):
    table = segment_table(corpus, frames=12, seed=0)
    fine, middle, coarse = (table[table["unit"] == unit].reset_index() for unit in ("frame20", "frame40", "frame80"))
    assert len(fine) == len(middle) == len(coarse) > 0
    assert (fine["start"] >= middle["start"] - 1e-9).all()
    assert (fine["end"] <= middle["end"] + 1e-9).all()
    assert (middle["start"] >= coarse["start"] - 1e-9).all()
    assert (middle["end"] <= coarse["end"] + 1e-9).all()
    durations = {u.id: u.duration for u in corpus}
    assert (coarse["end"] <= coarse["utterance"].map(durations)).all()
    assert not coarse.duplicated(["utterance", "start"]).any()
    assert "d1" not in set(coarse["utterance"])  # too short for a window


def test_segment_table_is_the_same_for_the_same_seed_only(corpus):
    first = segment_table(corpus, frames=9, seed=1)
    pd.testing.assert_frame_equal(first, segment_table(corpus, frames=9, seed=1))
    assert not first.equals(segment_table(corpus, frames=9, seed=2))


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


def test_a_coarse_layer_has_no_fine_frames():
    conv, middle = Ramp().layers
    assert serves(conv, "frame20")
    assert not serves(middle, "frame20")
    assert serves(middle, "frame40")
    assert serves(middle, "phone")


def test_extraction_continues_where_it_stopped(corpus, tmp_path, monkeypatch):
    whole = Corpus("toy", corpus.utterances[:3], fingerprint="toy")
    table = segment_table(whole, frames=9, seed=0)
    monkeypatch.setattr("multires.features.store.SHARD_SECONDS", 0.5)
    full = extract(Ramp(), whole, table, tmp_path / "full", progress=False)
    cut = tmp_path / "cut"
    extract(Ramp(), whole, table, cut, progress=False)
    (cut / "shard-0001").rename(cut / ".shard-0001.0123abcd")  # as if interrupted while it was written
    model = Ramp()
    again = extract(model, whole, table, cut, progress=False)
    assert model.calls == 1
    for unit in full.units():
        np.testing.assert_array_equal(full.vectors("conv", unit), again.vectors("conv", unit))


@pytest.fixture
def store(corpus, tmp_path, monkeypatch):
    """Three shards of the toy corpus, and the model that may extract them again."""
    monkeypatch.setattr("multires.features.store.SHARD_SECONDS", 0.5)
    whole = Corpus("toy", corpus.utterances[:3], fingerprint="toy")
    model = Ramp()
    made = extract(model, whole, segment_table(whole, frames=9, seed=0), tmp_path / "store", progress=False)
    model.calls = 0
    return model, made


def _cut(file):
    file.write_bytes(file.read_bytes()[:-3])


def _flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _confuse(file):
    note = file.parents[2] / "zarr.json"
    note.write_text(note.read_text().replace('"shape"', '"shade"'))


@pytest.mark.parametrize("damage", [_cut, _flip, _confuse, Path.unlink, lambda file: shutil.rmtree(file.parents[4])])
def test_a_damaged_shard_is_noticed_and_extracted_again(store, damage, capsys):
    model, made = store
    before = {unit: made.vectors("conv", unit) for unit in UNITS}
    damage(made.path / "shard-0001" / "phone" / "conv" / "c" / "0" / "0")
    for unit in UNITS:
        np.testing.assert_array_equal(made.vectors("conv", unit), before[unit])
    assert model.calls == 1
    assert "extracting shard-0001 again" in capsys.readouterr().err
    assert sorted(file.name for file in made.path.iterdir()) == ["shard-0000", "shard-0001", "shard-0002"]


def test_what_reads_a_shard_elsewhere_takes_no_table_along(store):
    _, made = store
    rows = np.arange(len(made.labels("phone"))) % 2 == 0
    readers = made.readers("conv", "phone", rows)
    sent = [pickle.dumps(reader) for reader in readers]
    assert len(sent) > 1
    assert all(b"utterance" not in each for each in sent)
    for found in ([reader() for reader in readers], [pickle.loads(each)() for each in sent]):
        np.testing.assert_array_equal(np.concatenate(found), made.vectors("conv", "phone")[rows])


def test_where_nothing_can_extract_it_again_a_damaged_shard_is_named(store):
    _, made = store
    elsewhere = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(elsewhere.vectors("conv", "word"), made.vectors("conv", "word"))
    _flip(made.path / "shard-0001" / "word" / "conv" / "c" / "0" / "0")
    with pytest.raises(MultiresError, match=r"conv is damaged .*delete .*shard-0001 to have it"):
        elsewhere.vectors("conv", "word")


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


def test_a_corpus_too_short_for_anything_is_refused():
    with pytest.raises(MultiresError, match="no utterance"):
        segment_table(Corpus("empty", []), frames=4, seed=0)


def test_fingerprint_follows_the_weights():
    one, other = Ramp(), Ramp()
    assert fingerprint(one) == fingerprint(other)
    with torch.no_grad():
        other.weight += 1
    assert fingerprint(one) != fingerprint(other)
