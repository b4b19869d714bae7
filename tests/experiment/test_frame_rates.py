"""Error rates of repeated frames and of frames on a common grid."""

import numpy as np
import pandas as pd
import pytest
import torch

from multires.corpus.utterance import SILENCE, Segment, Utterance
from multires.errors import MultiresError
from multires.experiment import frame_rates
from multires.experiment.conditions import SIZES, condition_config
from multires.models.mr_hubert import MultiResHubert


def utterance(speaker: str, seconds: float = 1.0) -> Utterance:
    audio = np.random.default_rng(len(speaker)).normal(0, 0.1, int(16_000 * seconds)).astype(np.float32)
    phones = (Segment("AA", 0.0, 0.3), Segment(SILENCE, 0.3, 0.5), Segment("B", 0.5, 0.9))
    return Utterance(f"{speaker}-0", speaker, "train", seconds, lambda: audio, phones=phones)


@pytest.mark.parametrize(("manner", "period"), [("repeated", 0.02), ("grid", 0.04)])
def test_layers_share_one_frame_rate(manner, period):
    model = MultiResHubert(condition_config("multi", SIZES["smoke"]), seed=0).eval()
    heard = utterance("a")
    found = frame_rates._layers(model, heard, manner)
    layers = [layer for layer in model.layers if layer.block not in ("conv", "input")]
    assert found.shape[0] == len(layers)
    assert abs(found.shape[1] - 1 / period) <= 2
    coarse = next(i for i, layer in enumerate(layers) if layer.frame_period == 0.04)
    with torch.inference_mode():
        native = model(torch.from_numpy(heard.audio)[None]).utterance(0)[layers[coarse].name].numpy()
    step = 2 if manner == "repeated" else 1
    np.testing.assert_allclose(found[coarse][::step][: len(native)], native[: len(found[coarse][::step])], rtol=1e-5)


def test_a_table_counts_every_reference_phone_once_in_each_manner():
    table = frame_rates.frame_rate_table(
        [utterance("a"), utterance("bb")], [utterance("ccc"), utterance("dddd")], seeds=(0,), size="smoke", steps=2,
        progress=False,
    )  # fmt: skip
    assert len(table) == 2 * 2 * 2
    assert (table["total"] == 2).all()
    assert set(table["manner"]) == {"repeated", "grid"}
    assert (table[["deletions", "substitutions"]].sum(axis=1) <= table["total"]).all()


def test_effects_are_ratios_of_sums_over_speakers():
    rows = [
        {"condition": condition, "seed": 0, "trained": False, "manner": "repeated", "speaker": str(speaker), "insertions": insertions,
         "deletions": speaker, "substitutions": 1, "total": 10 * (1 + speaker)}
        for condition, insertions in (("mono", 5), ("multi", 2))
        for speaker in range(10)
    ]  # fmt: skip
    found = frame_rates.frame_rate_effects(pd.DataFrame(rows)).set_index("edit")
    total = sum(10 * (1 + speaker) for speaker in range(10))
    assert found.loc["insertions", "value"] == pytest.approx(-30 / total)
    assert found.loc["deletions", ["value", "low", "high"]].tolist() == [0.0, 0.0, 0.0]
    assert found.loc["all", "mono"] == pytest.approx((50 + 45 + 10) / total)
    assert found.loc["insertions", "low"] < -30 / total < found.loc["insertions", "high"] < 0


def test_speech_without_phones_is_refused():
    silent = Utterance("x", "x", "train", 1.0, lambda: np.zeros(16_000, np.float32), phones=())
    with pytest.raises(MultiresError, match="has phones"):
        frame_rates.frame_rate_table([silent], [silent], progress=False)
