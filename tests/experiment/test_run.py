from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from multires.errors import MultiresError
from multires.experiment import train
from multires.experiment.conditions import CONDITIONS, LOG_MEL_SHAPE, SIZES, Targets, condition_config
from multires.experiment.plan import REFERENCES
from multires.experiment.queue import Job, status_table
from multires.experiment.run import main, main_experiment
from multires.experiment.summary import summary
from multires.experiment.tables import experiment_tables
from multires.models.checkpoint import load_checkpoint, read_header
from multires.models.mr_hubert import MultiResHubert
from multires.results import read_table


def body(condition, size="cpu"):
    """Shapes of all parameters that layers depend on: prediction heads left out."""
    state = MultiResHubert(condition_config(condition, SIZES[size]), seed=None).state_dict()
    return {name: value.shape for name, value in state.items() if not name.startswith(("heads.", "units."))}


@pytest.mark.parametrize("size", ["cpu", "gpu"])
def test_the_four_u_shaped_conditions_have_the_same_parameters(size):
    assert body("mono", size) == body("mono+aux", size) == body("multi", size) == body("multi+aux", size)


@pytest.mark.parametrize("size", ["cpu", "gpu"])
def test_one_model_of_each_condition_fits_into_33_megabytes(size):
    parameters = sum(
        p.numel() for p in MultiResHubert(condition_config("multi+aux", SIZES[size]), seed=None).parameters()
    )
    assert 5 * 2 * parameters < 33e6


def test_conditions_differ_in_what_the_table_says():
    for condition, (_, auxiliary) in CONDITIONS.items():
        config = condition_config(condition, SIZES["cpu"])
        assert len(config.classes) == (2 if auxiliary else 1)
        assert (0.04 in config.frame_periods) == condition.startswith("multi")
        assert bool(config.ratios) == (condition != "hubert")


@pytest.mark.slow
def test_a_smoke_experiment_from_speech_to_effects(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MULTIRES_CACHE", str(tmp_path / "cache"))
    arguments = {"size": "smoke", "seeds": (0,), "out": tmp_path, "progress": False}
    folder = main_experiment(**arguments)
    assert "5 models of about" in capsys.readouterr().out

    table, source = read_table(folder / "effects.parquet")
    assert {"auxiliary loss", "downsampling", "interaction", "multi+aux less hubert"} <= set(table["effect"])
    assert (table["n"] == 1).all()
    assert source["parameters"]["seeds"] == [0]
    assert source["speakers"]["test"] >= 1
    scores, _ = read_table(folder / "scores.parquet")
    assert set(scores["condition"]) == {*CONDITIONS, *REFERENCES}
    assert {"phone_classification", "phone_recognition"} <= set(scores["outcome"])
    claims, _ = read_table(folder / "claims.parquet")
    assert list(claims["claim"]) == [1, 2]
    (own,) = [each for each in experiment_tables(tmp_path) if each.corpus != "LibriSpeech"]
    assert set(own.by_seed("phone_recognition")["condition"]) == set(CONDITIONS)
    assert summary(own)["seeds"] == 1
    training, _ = read_table(folder / "training.parquet")
    assert set(training["condition"]) == set(CONDITIONS)
    both = training.groupby("condition")["resolution"].nunique()
    assert both["mono+aux"] == both["multi+aux"] == 2
    assert both["mono"] == both["multi"] == both["hubert"] == 1
    carried, _ = read_table(folder / "carries.parquet")
    assert not carried["carries"].any()  # ten steps teach nothing

    models = {path.name: path.stat().st_mtime_ns for path in (folder.parent / "models").glob("*.safetensors")}
    monkeypatch.setattr(train, "warm_start", lambda *_, **__: pytest.fail("trained again"))
    main_experiment(**arguments)
    assert models == {path.name: path.stat().st_mtime_ns for path in (folder.parent / "models").glob("*.safetensors")}


@pytest.mark.slow
def test_units_of_a_model_are_computed_once_and_shared(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIRES_CACHE", str(tmp_path / "cache"))
    first = SIZES["smoke"]
    _, _, material = train.load_material_of("synthetic", None, first, "cpu", False)
    (teacher,) = train.train_all(material, first, ["hubert"], [3], tmp_path / "a" / "models", progress=False)
    size = replace(first, targets=Targets(str(teacher), "encoder.0.1"))
    found = train.train_all(material, size, ["multi+aux"], [3], tmp_path / "b" / "models", progress=False)
    (path,) = found
    assert load_checkpoint(path).key == "synthetic/multi+aux-3"
    assert read_header(path)["units"] == "synthetic/hubert-3 encoder.0.1"
    monkeypatch.setattr(train, "_labeler", lambda *_: pytest.fail("units computed twice"))
    train.train_all(material, size, ["multi+aux"], [3], tmp_path / "b" / "models", progress=False)


@pytest.mark.slow
def test_workers_train_the_same_models_as_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIRES_CACHE", str(tmp_path / "cache"))
    smoke = SIZES["smoke"]
    narrow = {"width": 16, "heads": 2, "ffn": 16, "final_dim": 8, "conv_pos": 4, "conv_pos_groups": 2}
    size = replace(
        smoke, recipe=replace(smoke.recipe, warm_steps=0, unmasked_weight=1.0), shape={**LOG_MEL_SHAPE, **narrow}
    )
    _, _, material = train.load_material_of("synthetic", None, size, "cpu", False)
    conditions = ["hubert", "multi+aux"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = train.train_all(material, size, conditions, [0], tmp_path / "a" / "models", progress=False)
    torch.set_num_threads(threads)
    beside = train.train_side_by_side(material, size, conditions, [0], tmp_path / "b", jobs=2, progress=False)
    for one, other in zip(sorted(alone), sorted(beside), strict=True):
        first, second = load_file(one), load_file(other)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert {
        row["state"] for row in status_table([Job("hubert-0", "hubert", 0, 10, "mfcc-0-10")], tmp_path / "b" / "models")
    } == {"done"}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"corpus": "radio"}, "unknown corpus"), ({"size": "huge"}, "unknown size"),
     ({"conditions": ["tri"]}, "unknown condition"), ({"corpus": "librispeech"}, "read from a folder")],
)  # fmt: skip
def test_wrong_parameters_stop_at_once(change, words, tmp_path):
    with pytest.raises(MultiresError, match=words):
        main_experiment(**{"out": tmp_path, **change})


def test_the_command_line_says_what_is_wrong(tmp_path):
    with pytest.raises(SystemExit, match="read from a folder"):
        main(["--corpus", "librispeech", "--out", str(tmp_path)])
