"""Pooling the seeds of several runs of the experiment."""

import pandas as pd
import pytest

from multires.errors import MultiresError
from multires.experiment import pool
from multires.experiment.conditions import CONDITIONS
from multires.experiment.tables import _SHIPPED, TABLES
from multires.results import read_table, write_table

SHIPPED = _SHIPPED / "librispeech"


@pytest.fixture(scope="module")
def whole():
    """Scores of one outcome, which keeps the analysis short, with the training logs and the provenance."""
    scores, source = read_table(SHIPPED / "scores.parquet")
    training, _ = read_table(SHIPPED / "training.parquet")
    return scores[scores["outcome"] == "phone_classification"], training, source


@pytest.fixture
def runs(whole, tmp_path):
    """The shipped seeds as two runs, each with the baselines."""
    scores, training, source = whole
    seeds = sorted(training["seed"].unique())
    for name, kept in (("one", seeds[:1]), ("two", seeds[1:])):
        part = scores[scores["seed"].isin(kept) | ~scores["condition"].isin(CONDITIONS)]
        _write(tmp_path / name, part, training[training["seed"].isin(kept)], source, kept)
    return tmp_path / "one", tmp_path / "two"


def _write(folder, scores, training, source, seeds):
    folder.mkdir()
    parameters = {**source["parameters"], "seeds": [int(seed) for seed in seeds]}
    for name, table in (("scores", scores), ("training", training)):
        write_table(table, folder / f"{name}.parquet", {**source, "parameters": parameters})


def _change(folder, change, **parameters):
    scores, source = read_table(folder / "scores.parquet")
    write_table(change(scores), folder / "scores.parquet",
                {**source, "parameters": {**source["parameters"], **parameters}})  # fmt: skip


def test_parts_give_the_effects_of_the_whole(whole, runs, tmp_path):
    folder = pool.pool(runs, tmp_path / "pooled")
    assert {path.stem for path in folder.glob("*.parquet")} == set(TABLES)
    effects, source = read_table(folder / "effects.parquet")
    expected, _ = read_table(SHIPPED / "effects.parquet")
    expected = expected[expected["outcome"] == "phone_classification"].reset_index(drop=True)
    numbers = ["value", "low", "high", "error", "p", "n", "speakers"]
    pd.testing.assert_frame_equal(effects[["estimand", *numbers]], expected[["estimand", *numbers]])
    assert source["parameters"]["seeds"] == sorted(int(seed) for seed in whole[1]["seed"].unique())
    assert [each["seeds"] for each in source["pooled"]["runs"]] == [[0], source["parameters"]["seeds"][1:]]
    assert source["pooled"]["largest_difference_of_baselines"] == 0
    scores, _ = read_table(folder / "scores.parquet")
    assert len(scores) == len(whole[0])  # baselines once


def test_a_run_may_be_added_to_the_folder_it_is_pooled_with(runs):
    assert pool.pool(runs, runs[0]) == runs[0]
    with pytest.raises(MultiresError, match=r"both hold seed \d of hubert"):
        pool.pool(runs, runs[0])


def test_another_recipe_is_refused(whole, runs, tmp_path):
    size = {**whole[2]["parameters"]["size"], "recipe": {"steps": 5}}
    _change(runs[1], lambda scores: scores, size=size)
    with pytest.raises(MultiresError, match=r"two has another size \(recipe\) than"):
        pool.pool(runs, tmp_path / "pooled")


def test_the_folder_of_the_teacher_makes_no_difference(whole, runs, tmp_path):
    size = whole[2]["parameters"]["size"]
    moved = {**size["targets"], "model": "transformers:/elsewhere/whisper-base-encoder"}
    _change(runs[1], lambda scores: scores, size={**size, "targets": moved})
    assert pool.pool(runs, tmp_path / "pooled").is_dir()


def test_other_scores_of_a_baseline_are_refused(runs, tmp_path):
    def better(scores):
        return scores.assign(correct=scores["correct"].mask(scores["condition"] == "mfcc", scores["correct"] * 1.01))

    _change(runs[1], better)
    with pytest.raises(MultiresError, match=r"differ by 0\.0\d+ in a baseline \(phone_classification, mfcc"):
        pool.pool(runs, tmp_path / "pooled")


def test_other_items_are_refused(runs, tmp_path):
    _change(runs[1], lambda scores: scores.assign(total=scores["total"] + 1))
    with pytest.raises(MultiresError, match="scored phone_classification on different items"):
        pool.pool(runs, tmp_path / "pooled")


def test_runs_without_baselines_are_refused(runs, tmp_path):
    _change(runs[1], lambda scores: scores[scores["condition"].isin(CONDITIONS)])
    with pytest.raises(MultiresError, match="have no baseline in common"):
        pool.pool(runs, tmp_path / "pooled")


def test_one_run_is_not_enough(runs):
    with pytest.raises(MultiresError, match="at least two runs"):
        pool.pool(runs[:1], runs[0])
    with pytest.raises(SystemExit, match="multires: pooling needs"):
        pool.main([str(runs[0]), "--out", str(runs[0])])
