"""Runs of the experiment with other targets or another recipe."""

from dataclasses import replace

import pytest

from multires.errors import MultiresError
from multires.experiment import sensitivity, train
from multires.experiment.conditions import SIZES, changed, recipe_changes
from multires.experiment.plan import PLAN
from multires.experiment.run import main_experiment
from multires.experiment.tables import experiment_tables
from multires.results import read_table


def test_effects_of_the_main_run_are_those_of_its_tables():
    (found,) = experiment_tables()
    rows = sensitivity._effects("main", "", found.scores)
    expected = found.effects.set_index(["outcome", "estimand"])
    control = [row for row in rows if row["estimand"] == "control"]
    assert [row["outcome"] for row in control] == list(PLAN.sensitivity)
    for row in control:
        known = expected.loc[row["outcome"], "control"]
        assert (row["value"], row["low"], row["high"]) == pytest.approx((known["value"], known["low"], known["high"]))
        assert (row["seeds"], row["speakers"]) == (known["n"], known["speakers"])
    lead = next(row for row in rows if row["measure"] == "lead")
    chosen = found.chosen[found.chosen["outcome"] == lead["outcome"]].set_index("condition")["test"]
    assert lead["value"] == pytest.approx(chosen["hubert"] - chosen["mfcc"])


def test_a_recipe_is_changed_by_name():
    size = changed(SIZES["cpu"], recipe=["auxiliary_weight=2", "precision=float32"], steps=7)
    assert (size.recipe.auxiliary_weight, size.recipe.precision, size.recipe.steps) == (2.0, "float32", 7)
    assert size.recipe.learning_rate == SIZES["cpu"].recipe.learning_rate


@pytest.mark.parametrize(
    ("given", "words"),
    [(["auxiliary_wieght=2"], "did you mean auxiliary_weight"), (["steps=many"], "steps must be a whole number, not 'many'"),
     (["clip=1", "clip=2"], "clip is given twice"), (["warmup"], "warmup must be a number")],
)  # fmt: skip
def test_wrong_changes_of_a_recipe_are_refused(given, words):
    with pytest.raises(MultiresError, match=words):
        recipe_changes(given)


def test_a_folder_without_models_is_refused(tmp_path):
    with pytest.raises(MultiresError, match="holds no trained models"):
        sensitivity._models(tmp_path)
    with pytest.raises(SystemExit, match="'MFCC' is not NAME=FOLDER"):
        sensitivity.main(["MFCC", "--data", str(tmp_path), "--main", str(tmp_path)])


@pytest.mark.slow
def test_a_run_with_another_recipe_is_compared_with_the_main_one(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIRES_CACHE", str(tmp_path / "cache"))
    smoke = SIZES["smoke"]
    size = replace(smoke, evaluation={name: value for name, value in smoke.evaluation.items() if name != "utterances"})
    arguments = {"seeds": (0,), "conditions": ("hubert", "multi+aux"), "jobs": 1, "progress": False}
    main_experiment(size=size, out=tmp_path / "main", **arguments)
    other = changed(size, recipe=["auxiliary_weight=2"])
    main_experiment(size=other, out=tmp_path / "other", train_only=True, **arguments)
    # Side by side, units are kept beside the models; here both runs are trained in this process.
    main, run = tmp_path / "main" / "synthetic", tmp_path / "other" / "synthetic"
    (known,) = [each for each in experiment_tables(tmp_path / "main") if each.corpus == "synthetic"]
    monkeypatch.setattr(sensitivity, "experiment_tables", lambda: [replace(known, corpus="LibriSpeech")])
    monkeypatch.setattr(
        sensitivity, "load_experiment_speech", lambda data, progress: train._load("synthetic", None, size.hours, False)
    )
    out = sensitivity.compare_runs({"twice": run}, [tmp_path], main=main, main_name="once", out=tmp_path / "table.parquet",
                                   size=size, progress=False)  # fmt: skip
    table, source = read_table(out)
    assert list(dict.fromkeys(table["run"])) == ["once", "twice"]
    assert "auxiliary_weight 2.0" in table.loc[table["run"] == "twice", "changes"].iloc[0]
    quality = table[table["measure"] == "pnmi"].set_index("run")["value"]
    assert quality["once"] == pytest.approx(quality["twice"])
    assert 0 < quality["once"] < 1
    hubert = table[table["measure"] == "lead"].set_index(["run", "outcome"])["value"]
    assert hubert["once", "phone_classification"] == pytest.approx(hubert["twice", "phone_classification"])
    assert source["parameters"]["runs"]["twice"]["models"] == ["hubert-0", "multi+aux-0"]
