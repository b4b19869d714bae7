"""The type in which products are computed: measured where nothing is asked for, and kept when a run is resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from multires.corpus.utterance import Corpus, Utterance
from multires.training.pretrain import pretrain
from multires.training.recipe import autocast_type
from multires.training.speech import load_speech
from multires.training.targets import Units
from tests.training.tiny import LOG_MEL, RECIPE, config, weights

CPU = torch.device("cpu")


@pytest.fixture
def gain(monkeypatch):
    """Set the measured speed of bfloat16 products relative to float32."""
    return lambda value: monkeypatch.setattr("multires.runtime.speed.bfloat16_gain", lambda: value)


def test_auto_is_the_faster_type_as_measured(gain):
    gain(0.3)
    assert autocast_type("auto", CPU) is torch.float32
    gain(2.0)
    assert autocast_type("auto", CPU) is torch.bfloat16


def test_a_type_that_is_asked_for_is_taken_without_a_measurement(monkeypatch):
    def measure():
        raise AssertionError("measured")

    monkeypatch.setattr("multires.runtime.speed.bfloat16_gain", measure)
    assert autocast_type("float32", CPU) is torch.float32
    assert autocast_type("bfloat16", CPU) is torch.bfloat16


def test_a_resumed_run_keeps_its_type_on_another_machine(gain, tmp_path):
    rng = np.random.default_rng(0)
    audio = [(0.1 * rng.normal(size=20_000)).astype(np.float32) for _ in range(4)]
    corpus = Corpus("noise", [Utterance(f"u{i}", "s", "train", 1.25, lambda i=i: audio[i]) for i in range(4)])
    speech = load_speech(corpus, ["train"], progress=False)
    units = Units(torch.arange(int(speech.frame_starts[-1]), dtype=torch.int32) % 8, 8, "ramp", "ramp")
    recipe = replace(RECIPE, steps=2, precision="auto")
    arguments = {"seed": 0, "key": "m", "progress": False}
    gain(2.0)
    whole = pretrain(config(**LOG_MEL), speech, units, recipe, out=tmp_path / "a.safetensors", **arguments)
    pretrain(config(**LOG_MEL), speech, units, recipe, out=tmp_path / "b.safetensors", stop_after=1, **arguments)
    gain(0.3)
    resumed = pretrain(config(**LOG_MEL), speech, units, recipe, out=tmp_path / "b.safetensors", **arguments)
    other = pretrain(config(**LOG_MEL), speech, units, recipe, out=tmp_path / "c.safetensors", **arguments)
    found, same, different = map(weights, (whole, resumed, other))
    assert all(torch.equal(value, same[name]) for name, value in found.items())
    assert not all(torch.equal(value, different[name]) for name, value in found.items())
