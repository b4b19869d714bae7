"""Recordings in windows against the whole: the same frames for models of finite reach, and as many for all."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from multires.corpus.utterance import Corpus, Utterance
from multires.features import windows
from multires.features.extract import extract
from multires.features.segments import segment_table
from multires.features.windows import plan_windows, run_whole, run_windows, windowed
from multires.models import build_model
from multires.models.acoustic import LogMel, Mfcc
from multires.models.layers import Layer, LayeredModel, LayerOutputs


class Local(LayeredModel):
    """Frames at 20 and 40 ms that depend on half a second: energies, smoothed, and every other one of them."""

    key, description, trained = "local", "a model of finite reach", False

    @property
    def layers(self):
        return (
            Layer("conv", "conv", "conv", 0, 0.02, 1, 0.0125),
            Layer("middle.0", "M1", "middle", 1, 0.04, 1, 0.0225),
        )

    def forward(self, waveforms, lengths=None):
        energies = waveforms.unfold(1, 400, 320).square().mean(2)
        fine = F.avg_pool1d(energies[:, None], 25, 1, 12, count_include_pad=False)[:, 0, :, None]
        frames = {"conv": fine, "middle.0": fine[:, ::2]}
        return LayerOutputs(frames, {name: torch.tensor([x.shape[1]] * len(x)) for name, x in frames.items()})


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Windows of 2 s in place of a minute."""
    monkeypatch.setattr(windows, "LONG_SECONDS", 2.0)
    monkeypatch.setattr(windows, "CONTEXT_SECONDS", 0.5)


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(round(seconds * 16000)).astype(np.float32) * 0.1


@pytest.mark.parametrize("samples", [400, 16_000, 32_001, 40_000, 100_003, 161_280])
def test_parts_cover_the_recording_once_on_the_grid_and_within_a_window(samples):
    plan = plan_windows(samples, Local().layers)
    assert plan[0].first == plan[0].start == 0
    assert plan[-1].past == plan[-1].stop == samples
    assert all(a.past == b.first for a, b in pairwise(plan))
    for window in plan:
        assert window.start % 640 == window.first % 640 == 0
        assert window.stop - window.start <= 2.0 * 16000
        assert window.first - window.start in (0, 7680)  # half a second on the grid of 40 ms
        assert window.stop == samples or window.stop - window.past == 7680


@pytest.mark.parametrize("seconds", [2.01, 2.5, 5.0, 7.313])
@pytest.mark.parametrize("model", [Local, LogMel, Mfcc])
def test_models_of_finite_reach_give_the_frames_of_the_whole(model, seconds):
    samples, made = noise(seconds), model()
    with torch.inference_mode():
        whole = made(torch.from_numpy(samples)[None]).utterance(0)
    found = run_whole(made, samples).utterance(0)
    for name, frames in whole.items():
        torch.testing.assert_close(found[name], frames, atol=1e-3, rtol=0)


def test_models_of_unlimited_reach_give_as_many_frames_at_their_places():
    made, samples = build_model("multi3", "small"), noise(3.313)
    with torch.inference_mode():
        whole = made(torch.from_numpy(samples)[None]).utterance(0)
    found = run_whole(made, samples).utterance(0)
    assert {layer: x.shape for layer, x in found.items()} == {layer: x.shape for layer, x in whole.items()}
    first = next(iter(run_windows(made, samples)))
    assert all(stretch.first == 0 for stretch in first.values())


def test_extraction_pools_over_windows_and_never_runs_more_than_one(tmp_path, monkeypatch):
    def utterance(name, seconds):
        samples = noise(seconds)
        return Utterance(name, "speaker", "train", seconds, lambda: samples)

    corpus = Corpus("toy", [utterance("long", 6.1), utterance("short", 1.5)], fingerprint="toy")
    segments = segment_table(corpus, frames=30, seed=0)
    seen = []

    class Watched(Local):
        def forward(self, waveforms, lengths=None):
            seen.append(waveforms.shape[1] / 16000)
            return super().forward(waveforms, lengths)

    found = extract(Watched(), corpus, segments, tmp_path / "windows", progress=False)
    assert max(seen) <= 2.0
    monkeypatch.setattr(windows, "LONG_SECONDS", 100.0)
    whole = extract(Local(), corpus, segments, tmp_path / "whole", batch_seconds=1.0, progress=False)
    for layer, units in (("conv", ["utterance", "frame20"]), ("middle.0", ["utterance", "frame40", "frame80"])):
        for unit in units:
            np.testing.assert_allclose(found.vectors(layer, unit), whole.vectors(layer, unit), atol=1e-6)


def test_the_provenance_names_what_is_run_in_windows():
    utterances = [Utterance(name, "s", "train", seconds, lambda: noise(1)) for name, seconds in (("a", 1), ("b", 3))]
    assert windowed(utterances) == {"windows": {"above_seconds": 2.0, "context_seconds": 0.5, "utterances": ["b"]}}
    assert windowed(utterances[:1]) == {}
