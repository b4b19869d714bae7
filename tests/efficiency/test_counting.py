import pandas as pd
import pytest
from torch import nn

from multires.efficiency.counter import count_measured, modules_by_part
from multires.efficiency.counting import count, count_total
from multires.errors import MultiresError
from multires.models.config import LOG_MEL_GEOMETRY, ModelConfig, preset
from multires.models.mr_hubert import MultiResHubert

CONFIGURATIONS = {
    "hubert": preset("hubert", "small"),
    "mono": preset("mono", "small"),
    "multi": preset("multi", "small"),
    "multi3": preset("multi3", "small"),
    "uneven": preset("multi3", "small", depths=(2, 1, 1, 1, 2)),
    "plain": preset("multi", "small", plain_samplers=True),
    "kernel 7": preset("multi", "small", sampler_kernel=7),
    "plain, kernel 7": preset("multi3", "small", plain_samplers=True, sampler_kernel=7),
    "single prediction": preset("multi", "small", single_prediction=True),
    "÷4": preset("multi", "small", ratios=((1, 4),)),
    "÷8": preset("multi", "small", ratios=((1, 8),)),
    "2:3": preset("multi", "small", ratios=((2, 3),), sampler_kernel=3),
    "layer norm, biases": preset("multi", "small", extractor_norm="layer", conv_bias=True),
    "odd positional kernel": preset("hubert", "small", conv_pos=31),
    "log-mel": preset("multi", "small", front_end="log_mel", convolutions=LOG_MEL_GEOMETRY),
    "no projection": preset("hubert", "small", width=96, heads=4, conv_pos_groups=8),
}


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
@pytest.mark.parametrize("seconds", [0.025, 0.3333, 1.0, 1.02])
def test_the_closed_form_is_what_torch_counts(config: ModelConfig, seconds: float):
    model = MultiResHubert(config, seed=None).eval()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.01)
    form = count(config, seconds, batch=2)
    counted = count_measured(model, seconds, batch=2)
    expected = form[form["macs"] > 0].groupby(["part", "block"])["macs"].sum().sort_index()
    pd.testing.assert_series_equal(
        counted.set_index(["part", "block"])["macs"].sort_index(), expected, check_dtype=False
    )


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_every_parameter_is_counted_once(config: ModelConfig):
    model = MultiResHubert(config, seed=None)
    assert count(config, 1.0)["parameters"].sum() == sum(p.numel() for p in model.parameters())


def test_published_sizes():
    """HuBERT base has 12 layers of 7,087,872 parameters; ten seconds are 499 frames, as fairseq's encoder gives."""
    table = count(preset("hubert", "base"), 10.0)
    block = table[table["block"] == "encoder.0"].set_index("part")
    assert set(table["frames"]) - {0} == {499}
    linear = block.loc["attention, linear", "parameters"] + block.loc["feed-forward", "parameters"]
    assert linear == 12 * (7_087_872 - 4 * 768)
    assert block.loc["attention, quadratic", "macs"] == 12 * 2 * 499 * 499 * 768


def test_control_and_mr_hubert_have_the_same_parameters():
    mono, multi = (count(preset(name, "base"), 3.0)["parameters"].sum() for name in ("mono", "multi"))
    assert mono == multi


def test_middle_at_half_the_rate_takes_half_the_linear_and_a_quarter_of_the_quadratic_work():
    seconds = (400 + 320 * 99) / 16_000  # 100 frames
    mono, multi = (
        count(preset(name, "base"), seconds).set_index(["block", "part"])["macs"] for name in ("mono", "multi")
    )
    assert multi["middle", "feed-forward"] * 2 == mono["middle", "feed-forward"]
    assert multi["middle", "attention, linear"] * 2 == mono["middle", "attention, linear"]
    assert multi["middle", "attention, quadratic"] * 4 == mono["middle", "attention, quadratic"]
    assert multi["encoder.0", "feed-forward"] == mono["encoder.0", "feed-forward"]


def test_depths_may_be_others_and_even_none():
    config, other = preset("multi", "base"), preset("multi", "base", depths=(2, 4, 6))
    pd.testing.assert_frame_equal(count(config, 10.0, depths=(2, 4, 6)), count(other, 10.0))
    assert count_total(config, 10.0, depths=(2, 4, 6), piece=64) == count(other, 10.0, piece=64)["macs"].sum()
    low = count(config, 10.0, depths=(0, 12, 0)).groupby("block")["macs"].sum()
    full = count(config, 10.0).groupby("block")["macs"].sum()
    assert low["middle"] == 3 * full["middle"]
    assert low["decoder.0"] == 0
    assert low["encoder.0"] > 0, "the positional convolution stays"
    for depths in ((4, 4), (4, -1, 4)):
        with pytest.raises(MultiresError, match="give 3 numbers"):
            count(config, 1.0, depths=depths)


def test_modules_do_not_contain_one_another():
    names = list(modules_by_part(MultiResHubert(preset("multi3", "small"))))
    assert not [(a, b) for a in names for b in names if a != b and b.startswith(f"{a}.")]


def test_training_does_not_change_the_count():
    model = MultiResHubert(preset("multi", "small"))
    assert model.training
    assert count_measured(model, 1.0)["macs"].sum() == count(model.config, 1.0)["macs"].sum()


@pytest.mark.parametrize(("seconds", "batch", "words"), [(0.02, 1, "holds no frame"), (1.0, 0, "batch is 0")])
def test_bad_input_is_named(seconds: float, batch: int, words: str):
    with pytest.raises(MultiresError, match=words):
        count(preset("hubert", "small"), seconds, batch=batch)
