"""Many models and seeds in one table: the same numbers as single runs, and no work done twice."""

import pandas as pd
import pytest

from multires.analysis import stages
from multires.analysis import sweep as module
from multires.analysis.run import Run, open_run
from multires.analysis.stages import correlation
from multires.analysis.sweep import MEASURES, named, overview, sweep
from multires.errors import MultiresError

TINY = {
    "profile": "synthetic", "hours": 0.02, "frames": 200, "layers": "middle.0", "views": "phone", "folds": 4, "trials": 1,
    "resamples": 10, "cluster_seeds": 1, "phone_clusters": 10, "word_clusters": 6, "word_instances": 3,
}  # fmt: skip
MODELS = ["untrained/mono-small", "untrained/multi-small"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns")
def test_a_sweep_gathers_what_single_runs_give_and_does_nothing_twice(tmp_path, monkeypatch):
    done = sweep(MODELS, [0, 1], ["cca"], workspace=tmp_path, progress=False, **TINY)
    assert not done.failed
    table = done.table
    assert set(table["stage"]) == {"cca"}
    assert set(zip(table["model"], table["run_seed"], strict=True)) >= {(m, s) for m in MODELS for s in (0, 1)}
    single = stages.cca(open_run(workspace=tmp_path, progress=False, models=MODELS[1], seed=1, **TINY)).table
    same = table[(table["stage"] == "cca") & (table["model"] == MODELS[1]) & (table["run_seed"] == 1)]
    assert same["value"].tolist() == single["value"].tolist()
    stored = pd.read_parquet(done.path)
    assert len(stored) == len(table)
    assert stored["value"].tolist() == table["value"].tolist()

    def no_more(*_arguments, **_options):
        raise AssertionError("this was done already")

    monkeypatch.setattr(correlation, "gather_rows", no_more)
    again = sweep(MODELS, [0, 1], ["cca"], workspace=tmp_path, progress=False, **TINY)
    assert again.table["value"].tolist() == table["value"].tolist()
    told = overview(table)
    row = told[(told["model"] == MODELS[0]) & (told["stage"] == "cca")].iloc[0]
    best = table[(table["stage"] == "cca") & (table["model"] == MODELS[0]) & table["trial"].isna()]
    best = best[best["measure"] != "shuffled"].groupby("run_seed")["value"].max()
    assert row["value"] == pytest.approx(best.mean())
    assert (row["lowest"], row["highest"], row["seeds"]) == (best.min(), best.max(), 2)


def stub(monkeypatch, fails=()):
    """Measures that cost nothing; models named in `fails` cannot be measured."""

    def measure(run: Run):
        (model,) = run.profile.models
        if model in fails:
            raise MultiresError("no such weights")
        row = {"model": model, "layer": "a", "layer_index": 0, "view": "phone", "measure": "m", "trial": pd.NA,
               "value": float(run.seed)}  # fmt: skip
        return type("Result", (), {"table": pd.DataFrame([row])})

    monkeypatch.setattr(module, "_only", lambda run, model: type("Run", (), {
        "profile": type("Profile", (), {"models": (model,)}), "seed": run.seed})())  # fmt: skip
    monkeypatch.setitem(MEASURES, "cca", measure)


def test_a_combination_that_fails_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    stub(monkeypatch, fails=(MODELS[0],))
    done = sweep(MODELS, [0, 1], ["cca"], workspace=tmp_path, progress=False)
    assert [what for what, _ in done.failed] == [f"cca of {MODELS[0]}, seed {seed}" for seed in (0, 1)]
    assert done.table["model"].tolist() == [MODELS[1]] * 2
    assert done.table["run_seed"].tolist() == [0, 1]
    with pytest.raises(
        MultiresError, match=f"nothing could be measured; the first: cca of {MODELS[0]}, seed 0: no such"
    ):
        sweep(MODELS[:1], [0, 1], ["cca"], workspace=tmp_path, progress=False)


def test_patterns_stand_for_names():
    assert named("untrained/*-small")[:3] == ["untrained/hubert-small", "untrained/mono-small", "untrained/multi-small"]
    assert named("mel, b4-?") == ["mel", "b4-a", "b4-b"]
    assert named(["x.safetensors"]) == ["x.safetensors"]
    assert named("") == []
    with pytest.raises(MultiresError, match=r"no model is called 'nothing\*': choose among .*hubert_base"):
        named("nothing*")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measures": ["smell"]}, "unknown measure 'smell': choose one of extract, cca, mi, probe"),
        ({"measures": []}, "at least one seed and one measure"),
        ({"seeds": []}, "at least one seed and one measure"),
        ({"seeds": [0, -1]}, "seed must be a whole number"),
        ({"models": "nobody"}, "unknown model 'nobody'"),
        ({"variant": "best"}, "unknown variant 'best'"),
    ],
)
def test_wrong_parameters_stop_before_any_work(tmp_path, arguments, message):
    with pytest.raises(MultiresError, match=message):
        sweep(**{"models": MODELS, "workspace": tmp_path, "progress": False, **arguments})
    assert not (tmp_path / "tables").exists()
