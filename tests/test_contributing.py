"""The examples of the contributing page do what it says."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from multires.features.segments import segment_table

TEXT = (Path(__file__).resolve().parents[1] / "book" / "contributing.md").read_text()


def example(section: str) -> dict:
    """What the one example of a section defines."""
    (part,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    (code,) = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    names: dict = {}
    exec(code, names)
    return names


def test_each_section_is_shorter_than_a_page():
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        assert section.count("\n") < 60, section.partition("\n")[0]


def test_the_model():
    waveforms = torch.zeros(2, 16_000)
    waveforms[0, :320] = 0.5
    model = example("A model")["Energy"]()
    outputs = model(waveforms, torch.tensor([16_000, 8_000]))
    (layer,) = model.layers
    first, second = (outputs.utterance(index)[layer.name] for index in (0, 1))
    assert first.shape == (50, layer.dim)
    assert second.shape == (25, layer.dim)
    assert first[0].item() == pytest.approx(0.25)
    assert first[1:].abs().max() == 0


def test_the_module():
    names = example("A PyTorch module")
    model, net = names["model"], names["net"]
    waveforms = torch.randn(2, 3_200, generator=torch.Generator().manual_seed(1))
    outputs = model(waveforms, torch.tensor([3_200, 1_600]))
    assert [(layer.name, layer.frame_period, layer.dim) for layer in model.layers] == [
        ("encoder.0.0", 0.02, 64), ("encoder.0.1", 0.02, 64),
    ]  # fmt: skip
    assert torch.equal(outputs.utterance(1)["encoder.0.1"], net(waveforms[1:, :1_600])[0])
    assert not model.trained


def test_the_measure():
    measure = example("A measure")["neighbor_agreement"]
    rng = np.random.default_rng(0)
    labels = np.tile(np.repeat(["a", "b", "c"], 5), 12)
    speakers = np.repeat([f"s{number}" for number in range(12)], 15)
    centers = {"a": 0.0, "b": 20.0, "c": 40.0}
    vectors = rng.standard_normal((180, 3)) + np.array([centers[label] for label in labels])[:, None]
    share, (low, high), chance = measure(vectors, labels, speakers)
    assert share == 1
    assert low <= share <= high
    assert chance == pytest.approx(1 / 3, abs=0.12)
    nothing, (low, high), _ = measure(rng.standard_normal((180, 3)), labels, speakers)
    assert low < 1 / 3 < high
    assert nothing == pytest.approx(1 / 3, abs=0.12)


def test_the_view(monkeypatch):
    """A layer that holds the duration correlates with it, and one of noise does not."""
    import pandas as pd

    rng = np.random.default_rng(0)
    start = rng.uniform(0, 5, 800)
    segments = pd.DataFrame({"start": start, "end": start + rng.uniform(0.02, 0.4, 800),
                             "speaker": [f"s{number % 20}" for number in range(800)]})  # fmt: skip
    noise = rng.standard_normal((800, 5))
    seen = noise.copy()
    seen[:, 0] = np.log(segments["end"] - segments["start"]) + 0.1 * noise[:, 0]
    kept = {"seen": seen, "noise": noise}
    store = type("Store", (), {"labels": lambda self, unit: segments, "vectors": lambda self, layer, unit: kept[layer]})
    run = type("Run", (), {"features": lambda self, model: store()})()
    view = example("A view for CCA")["correlation_with_durations"]
    found, nothing = view(run, "model", "seen"), view(run, "model", "noise")
    assert found.score > 0.95
    assert found.interval[0] < found.score < found.interval[1]
    assert abs(found.baseline) < 0.2
    assert abs(nothing.score) < 0.2


def test_the_corpus(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("train_ann_b", "train_ann_c", "test_bob_b"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(8_000), 16_000)
    (tmp_path / "test_bob_c.wav").write_text("no audio")
    corpus = example("A corpus")["load_letters"](tmp_path)
    assert [(u.split, u.speaker, u.transcript) for u in corpus] == [
        ("test", "bob", "b"), ("train", "ann", "b"), ("train", "ann", "c"),
    ]  # fmt: skip
    assert [name for name, _ in corpus.skipped] == ["test_bob_c.wav"]
    table = segment_table(corpus, frames=6, seed=0)
    words = table[table["unit"] == "word"]
    assert words["label"].tolist() == ["b", "b", "c"]
    assert words["end"].tolist() == [0.5] * 3
