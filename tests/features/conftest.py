"""A toy corpus, and its vectors in three shards."""

import pytest

from multires.corpus.utterance import Corpus
from multires.features.extract import extract
from multires.features.segments import segment_table
from tests.features.ramp import Ramp, utterance


@pytest.fixture
def corpus() -> Corpus:
    utterances = [
        utterance("a1", 1.2),
        utterance("b1", 0.9),
        utterance("c1", 1.0, aligned=False),
        utterance("d1", 0.05, aligned=False),
    ]
    return Corpus("toy", utterances, parts_of_speech={"cat": "noun"}, fingerprint="toy")


@pytest.fixture
def store(corpus, tmp_path, monkeypatch):
    """Three shards of the toy corpus, and the model that may extract them again."""
    monkeypatch.setattr("multires.features.extract.SHARD_SECONDS", 0.5)
    whole = Corpus("toy", corpus.utterances[:3], fingerprint="toy")
    model = Ramp()
    made = extract(model, whole, segment_table(whole, frames=9, seed=0), tmp_path / "store", progress=False)
    model.calls = 0
    return model, made
