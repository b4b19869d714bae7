"""Recordings in windows against the whole: the same local features for all models, and constant memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch

from multires.corpus.utterance import Corpus, Utterance
from multires.features import windows
from multires.features.extract import extract
from multires.features.segments import segment_table
from multires.features.windows import plan_windows, run_windows, windowed
from multires.models import build_model
from multires.models.acoustic import LogMel, Mfcc
from multires.models.config import LOG_MEL_GEOMETRY, preset
from multires.models.hooked import Hooked
from multires.models.layers import Layer, LayeredModel, LayerOutputs
from multires.models.mr_hubert import MultiResHubert
from tests.features.local import Local


@dataclass
class Blocks:
    """Samples that can be read in blocks only."""

    samples: np.ndarray

    def __call__(self):
        raise AssertionError("a long recording was read as a whole")

    def blocks(self):
        for first in range(0, len(self.samples), 7001):
            yield self.samples[first : first + 7001]


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Windows of 2 s in place of minutes."""
    monkeypatch.setattr(windows, "LONG_SECONDS", 2.0)
    monkeypatch.setattr(windows, "CONTEXT_SECONDS", 0.5)


def noise(seconds: float) -> np.ndarray:
    """Noise that becomes louder, with an offset: the statistics of no part are those of the whole."""
    size = round(seconds * 16000)
    samples = np.random.default_rng(0).standard_normal(size) * np.linspace(0.01, 0.3, size) + 0.05
    return samples.astype(np.float32)


def recording(samples: np.ndarray) -> Utterance:
    return Utterance("a", "s", "train", len(samples) / 16000, Blocks(samples))


def joined(model: LayeredModel, samples: np.ndarray) -> dict[str, torch.Tensor]:
    parts: dict[str, list[torch.Tensor]] = {}
    for found in run_windows({"model": model}, recording(samples)):
        for name, stretch in found["model"].items():
            assert stretch.first == sum(map(len, parts.get(name, [])))
            parts.setdefault(name, []).append(stretch.frames)
    return {name: torch.cat(each) for name, each in parts.items()}


def whole(model: LayeredModel, samples: np.ndarray) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return model(torch.from_numpy(samples)[None]).utterance(0)


@pytest.mark.parametrize("samples", [400, 16_000, 32_001, 40_000, 100_003, 161_280])
def test_parts_cover_the_recording_once_on_the_grid_and_within_a_window(samples):
    plan = plan_windows(samples, [Local()])
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
    found = joined(made, samples)
    for name, frames in whole(made, samples).items():
        torch.testing.assert_close(found[name], frames, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seconds", [2.01, 5.02, 7.313])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalize_input": True},
        {"extractor_norm": "layer", "conv_bias": True, "normalize_input": True},
        {"front_end": "log_mel", "convolutions": LOG_MEL_GEOMETRY},
        {"front_end": "log_mel", "convolutions": LOG_MEL_GEOMETRY, "normalize_input": True},
    ],
    ids=["group norm", "normalized", "layer norm", "log-mel", "normalized log-mel"],
)
def test_normalization_over_time_is_that_of_the_whole_recording(changes, seconds):
    made, samples = MultiResHubert(preset("hubert", "small", depths=(1,), **changes)).eval(), noise(seconds)
    expected, found = whole(made, samples), joined(made, samples)
    first = made.layers[0].name
    torch.testing.assert_close(found[first], expected[first], atol=1e-3, rtol=0)
    assert {layer: x.shape for layer, x in found.items()} == {layer: x.shape for layer, x in expected.items()}


def test_statistics_of_windows_alone_would_not_do():
    made, samples = MultiResHubert(preset("hubert", "small", depths=(1,))).eval(), noise(5.02)
    part = torch.from_numpy(samples[:32_000])[None]
    with torch.inference_mode():
        alone = made(part).frames["conv"][0]
    assert (alone - whole(made, samples)["conv"][: len(alone)]).abs().max() > 0.1


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("norm", ["group_norm", "layer_norm"])
def test_other_libraries_models_are_normalized_as_the_whole_too(norm, normalize):
    torchaudio = pytest.importorskip("torchaudio")
    from multires.models.wrappers import wrap_torchaudio

    model = torchaudio.models.wav2vec2_model(
        extractor_mode=norm, extractor_conv_layer_config=[(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2],
        extractor_conv_bias=norm == "layer_norm", encoder_embed_dim=32, encoder_projection_dropout=0.0, encoder_pos_conv_kernel=8,
        encoder_pos_conv_groups=2, encoder_num_layers=1, encoder_num_heads=2, encoder_attention_dropout=0.0,
        encoder_ff_interm_features=48, encoder_ff_interm_dropout=0.0, encoder_dropout=0.0, encoder_layer_norm_first=False,
        encoder_layer_drop=0.0, aux_num_out=None,
    )  # fmt: skip
    made, samples = wrap_torchaudio(model, normalize=normalize, key="small", description="small"), noise(5.02)
    torch.testing.assert_close(joined(made, samples)["conv"], whole(made, samples)["conv"], atol=1e-3, rtol=0)


def test_models_that_divide_recordings_themselves_are_cut_where_they_cut():
    class Windows(LayeredModel):
        """Every frame is the mean of its half second, counted from the first sample."""

        key, description, trained, reach = "windows", "windows of its own", True, 0.5

        @property
        def layers(self):
            return (Layer("conv", "conv", "conv", 0, 0.02, 1, 0.0),)

        def forward(self, waveforms, lengths=None):
            means = [
                part.mean(1, keepdim=True).expand(-1, -(-part.shape[1] // 320)) for part in waveforms.split(8000, 1)
            ]
            frames = torch.cat(means, dim=1)[..., None]
            return LayerOutputs({"conv": frames}, {"conv": torch.tensor([frames.shape[1]])})

    samples = noise(7.313)
    torch.testing.assert_close(joined(Windows(), samples)["conv"], whole(Windows(), samples)["conv"])
    mixed: dict[str, list[torch.Tensor]] = {"own": [], "mel": []}
    for found in run_windows({"own": Windows(), "mel": LogMel()}, recording(samples)):
        mixed["own"].append(found["own"]["conv"].frames)
        mixed["mel"].append(found["mel"]["mel"].frames)
    torch.testing.assert_close(torch.cat(mixed["own"]), whole(Windows(), samples)["conv"])
    torch.testing.assert_close(torch.cat(mixed["mel"]), whole(LogMel(), samples)["mel"], atol=1e-3, rtol=0)


def test_extraction_pools_over_windows_and_never_runs_more_than_one(tmp_path, monkeypatch):
    samples = {"long": noise(6.1), "short": noise(1.5)}
    corpus = Corpus(
        "toy",
        [recording(samples["long"]), Utterance("short", "speaker", "train", 1.5, lambda: samples["short"])],
        fingerprint="toy",
    )
    segments = segment_table(corpus, frames=30, seed=0)
    seen = []

    class Watched(Local):
        def forward(self, waveforms, lengths=None):
            seen.append(waveforms.shape[1] / 16000)
            return super().forward(waveforms, lengths)

    found = extract(Watched(), corpus, segments, tmp_path / "windows", progress=False)
    assert max(seen) <= 2.0
    monkeypatch.setattr(windows, "LONG_SECONDS", 100.0)
    monkeypatch.setattr(Blocks, "__call__", lambda self: self.samples)
    whole = extract(Local(), corpus, segments, tmp_path / "whole", batch_seconds=1.0, progress=False)
    for layer, units in (("conv", ["utterance", "frame20"]), ("middle.0", ["utterance", "frame40", "frame80"])):
        for unit in units:
            np.testing.assert_allclose(found.vectors(layer, unit), whole.vectors(layer, unit), atol=1e-6)


def test_the_provenance_names_what_is_run_in_windows_of_which_length(monkeypatch):
    monkeypatch.setattr(Hooked, "whole_seconds", 1.5)
    utterances = [Utterance(name, "s", "train", seconds, lambda: noise(1)) for name, seconds in (("a", 1), ("b", 3))]
    found = windowed(utterances, [LogMel(), build_model("hubert", "small")])["windows"]
    common = {"above_seconds": 2.0, "context_seconds": 0.5, "utterances": ["b"]}
    assert found["mel"] == {**common, "exact": True}
    assert found["untrained/hubert-small"] == {**common, "exact": False}
    assert windowed(utterances[:1], [LogMel()]) == {}
