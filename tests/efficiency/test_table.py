import time
from dataclasses import replace

import pandas as pd
import pytest
import torch
from scipy import stats

from benchmarks.efficiency import fairseq_models, our_models
from multires.efficiency import estimates, machine, measurements, timing
from multires.efficiency.bench import SETTINGS, Bench
from multires.efficiency.configurations import MODELS, configurations
from multires.efficiency.estimates import Estimate
from multires.efficiency.memory import peak_memory
from multires.efficiency.table import efficiency_table
from multires.efficiency.training_step import training_step
from multires.errors import MultiresError
from multires.models import build_model
from multires.report import costs
from multires.report.figures import efficiency as charts
from multires.results import COLUMNS


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    quick = replace(SETTINGS["quick"], seconds=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS, "quick", quick)
        return efficiency_table(size="small", durations=(0.2, 0.5, 1.0), threads=1, progress=False)


def test_published_ablations_have_their_layers():
    found = configurations("base")
    assert found["5-2-5"].depths == (5, 2, 5)
    assert found["3-2-2-2-3"].frame_periods == (0.02, 0.04, 0.08)
    assert found["plain samplers"].plain_samplers
    assert found["mono 3-3-3"].frame_periods == (0.02, 0.02)
    assert "5-2-5" not in configurations("large")


def test_what_ifs_keep_the_number_of_layers():
    found = configurations("base", extended=True)
    sweep = {name: config for name, config in found.items() if name.endswith(" low")}
    assert len(sweep) == 30
    assert {sum(config.depths) for config in sweep.values()} == {12}
    assert sweep["downsample 8, 10 low"].depths == (1, 10, 1)
    assert found["downsample 4"].frame_periods == pytest.approx((0.02, 0.08))


def test_table_is_tidy_and_holds_every_measure(table: pd.DataFrame):
    assert tuple(table.columns[: len(COLUMNS)]) == COLUMNS
    wanted = {
        "parameters", "macs", "macs_total", "macs_ratio", "latency_sample", "latency", "ratio", "null_ratio", "throughput",
        "part_seconds", "training_step", "training_ratio", "memory_model", "memory_forward", "matmul_rate", "energy",
        "fit_a", "fit_b", "fit_c", "latency_fit", "ratio_fit", "pays_from", "low_share", "amdahl_bound", "load_before",
    }  # fmt: skip
    assert wanted <= set(table["measure"])
    missing = table[table["value"].isna() & table["measure"].ne("load_before")]
    assert (missing["note"] != "").all(), "a value is missing without its reason"
    assert set(table.loc[table["measure"] == "latency", "model"]) == set(MODELS)


def test_what_ifs_are_counted_up_to_all_layers(table: pd.DataFrame):
    rows = table[(table["measure"] == "macs_ratio") & (table["view"] == "mono") & (table["duration"] == 10.0)]
    sweep = rows[rows["model"].str.endswith(" low") & (rows["factor"] == 8)].sort_values("low_layers")
    total = int(sweep["layers_total"].iloc[0])
    assert sweep["low_layers"].tolist() == list(range(1, total + 1))
    assert sweep["value"].is_monotonic_decreasing


def test_medians_come_from_the_samples(table: pd.DataFrame):
    samples = table[(table["measure"] == "latency_sample") & (table["model"] == "multi") & (table["duration"] == 1.0)]
    latency = table[(table["measure"] == "latency") & (table["model"] == "multi") & (table["duration"] == 1.0)].iloc[0]
    assert len(samples) == latency["n"] >= 5
    if not latency["note"]:
        assert latency["value"] == samples["value"].median()


def test_counter_and_closed_form_stand_in_the_table_and_agree(table: pd.DataFrame):
    rows = table[(table["measure"] == "macs_total") & (table["duration"] == 0.2) & table["model"].isin(MODELS)]
    assert (rows.groupby("model")["source"].nunique() == 2).all()
    assert (rows.groupby("model")["value"].agg(lambda values: values.max() - values.min()) == 0).all()


def test_a_counter_that_disagrees_stops_the_table(monkeypatch):
    monkeypatch.setattr(measurements, "count_total", lambda config, seconds, piece: 1)
    bench = Bench("small", SETTINGS["quick"], (0.2,), (1,), "cpu", "float32", 1, 0, False)
    with pytest.raises(MultiresError, match="closed form"):
        measurements._check_counts(bench, {"multi": build_model("multi", "small")})


def test_training_step_changes_every_weight_that_predicts():
    model = build_model("multi", "small")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    training_step(model, torch.randn(1, 16_000) * 0.1)()
    same = [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]
    changed = set(before) - set(same)
    assert {name.split(".")[0] for name in changed} >= {"encoders", "middle", "decoders", "heads", "units"}
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_peak_memory_holds_the_batch():
    config = {"multi": build_model("multi", "small").config}
    found = peak_memory(config, 32_000, batch=32)["multi"]
    assert found["model"] == sum(p.numel() * 4 for p in build_model("multi", "small").parameters())
    layers = len(build_model("multi", "small").layers)
    assert found["forward"] > 32 * 49 * 128 * 4 * layers, "every layer's output is given"


def test_every_figure_and_sentence_can_be_made(table: pd.DataFrame):
    for chart in (charts.macs_by_part, charts.latency, charts.savings, charts.time_by_part):
        assert chart(table).axes
    for sentence in (costs.counted, costs.measured, costs.explained, costs.conclusion):
        text = sentence(table)
        assert "nan" not in text.lower().replace("dominan", "")
    assert len(costs.overview(table)) == 9


def experiment(seeds: int) -> pd.DataFrame:
    conditions = ("hubert", "mono", "mono+aux", "multi", "multi+aux", "untrained mono", "mfcc")
    rows = [
        (condition, seed, score, 0.5 + 0.01 * place + 0.001 * seed)
        for place, condition in enumerate(conditions)
        for seed in range(seeds)
        for score in ("phone recognition", "another score")
    ]
    return pd.DataFrame(rows, columns=["condition", "seed", "score", "value"])


def test_cost_stands_beside_quality(table: pd.DataFrame):
    found = costs.trade(table, {"a": experiment(3), "b": experiment(1)}).set_index(["corpus", "condition"])
    assert len(found) == 10
    multi, mono = found.loc[("a", "multi+aux")], found.loc[("a", "mono")]
    assert multi["value"] == pytest.approx(0.541)
    half = stats.t.ppf(0.975, 2) * 0.001 / 3**0.5
    assert multi["high"] - multi["value"] == pytest.approx(half)
    assert (mono["cost"], mono["cost_low"], multi["n"]) == (1.0, 1.0, 3)
    assert found.loc["b"][["low", "high"]].isna().all(axis=None)
    ratio = table[(table["measure"] == "ratio") & (table["view"] == "mono") & (table["model"] == "multi")]
    counted = table[(table["measure"] == "macs_ratio") & (table["view"] == "mono") & (table["model"] == "multi")]
    rows = ratio if multi["basis"] == "measured" else counted
    assert multi["cost"] == rows.loc[rows["duration"] == multi["duration"], "value"].iloc[0]
    trade = found.reset_index()
    figure = charts.traded(trade, table)
    assert len(figure.axes) == 2
    assert {text.get_text() for text in figure.axes[0].texts} >= {"hubert", "mono", "multi+aux"}
    text = costs.traded(trade, table)
    assert "multi scores +0.020 against mono" in text
    assert "one seed: no interval" in text


def test_no_experiment_is_said(table: pd.DataFrame):
    trade = costs.trade(table, {})
    assert "no table of the controlled experiment" in charts.traded(trade, table).axes[0].texts[0].get_text()
    assert "No table of the controlled experiment" in costs.traded(trade, table)


def test_cost_is_counted_where_times_are_withheld(table: pd.DataFrame):
    noisy = table.copy()
    noisy.loc[noisy["measure"] == "ratio", ["value", "low", "high"]] = float("nan")
    found = costs.trade(noisy, {"a": experiment(2)}).set_index("condition")
    assert set(found["basis"]) == {"counted"}
    rows = table[(table["measure"] == "macs_ratio") & (table["view"] == "mono") & (table["duration"] == 10.0)]
    assert found.loc["multi", "cost"] == rows.loc[rows["model"] == "multi", "value"].item()


def test_sentences_on_a_machine_too_noisy_say_so(table: pd.DataFrame):
    noisy = table.copy()
    timed = noisy["measure"].isin(
        ["latency", "ratio", "latency_fit", "ratio_fit", "pays_from", "low_share", "part_seconds"]
    )
    noisy.loc[timed, ["value", "low", "high"]] = float("nan")
    noisy.loc[timed, "note"] = "too noisy: an example"
    assert "withheld" in costs.measured(noisy)
    assert "too noisy" in costs.conclusion(noisy)
    for chart in (charts.latency, charts.time_by_part):
        texts = [text.get_text() for axis in chart(noisy).axes for text in axis.texts]
        assert any("too noisy" in text for text in texts)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"size": "tiny"}, "unknown size"),
        ({"setting": "endless"}, "unknown setting"),
        ({"durations": (1.0, 2.0)}, "at least three"),
        ({"durations": (0.0, 1.0, 2.0)}, "above 0"),
        ({"batch_sizes": (0,)}, "positive whole numbers"),
        ({"threads": 0}, "threads is 0"),
        ({"device": "tpu"}, "unknown device"),
        ({"precision": "int8"}, "unknown precision"),
        ({"precision": "float16"}, "for GPUs"),
    ],
)
def test_bad_parameters_are_named(parameters: dict, words: str):
    with pytest.raises(MultiresError, match=words):
        efficiency_table(**parameters)


def test_more_than_the_machine_can_do_is_not_shown():
    whole = measurements._share(Estimate(0.7, 0.6, 0.8, 5))
    assert (whole.median, whole.note) == (0.7, "")
    beyond = measurements._share(Estimate(1.41, 1.3, 1.5, 5))
    assert beyond.withheld
    assert "the share would be 141%" in beyond.note


@pytest.mark.slow
def test_ratio_to_hubert_is_that_of_fairseq():
    """In one process, by the thread's own processor time, which other programs do not run into."""
    pytest.importorskip("fairseq")

    def processor_time(call) -> float:
        start = time.process_time()
        call()
        return time.process_time() - start

    waveforms = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    with machine.threads(1):
        calls = our_models("base", waveforms) | fairseq_models(waveforms)
        del calls["mono"]
        times = timing.time_interleaved(calls, repeats=7, clock=processor_time)
    ours = estimates.paired_ratio(times, "multi", "hubert", tolerance=0.3)
    theirs = estimates.paired_ratio(times, "fairseq multi", "fairseq hubert", tolerance=0.3)
    assert not ours.withheld, ours.note
    assert not theirs.withheld, theirs.note
    assert ours.low - 0.03 <= theirs.high
    assert theirs.low - 0.03 <= ours.high
