"""Publishing of an experiment to the package."""

import pandas as pd
import pytest
import torch

from multires.errors import MultiresError
from multires.experiment import publish
from multires.experiment.conditions import CONDITIONS, SIZES, condition_config
from multires.experiment.tables import TABLES
from multires.models.checkpoint import load_checkpoint, read_header, save_model
from multires.models.mr_hubert import MultiResHubert
from multires.results import read_table, write_table


@pytest.fixture
def experiment(tmp_path):
    root = tmp_path / "out" / "librispeech"
    for condition in CONDITIONS:
        model = MultiResHubert(condition_config(condition, SIZES["smoke"]), seed=1, key=f"librispeech/{condition}-0")
        units = f"transformers:{tmp_path / 'whisper-base-encoder'} encoder.0.3"
        save_model(model, root / "models" / f"{condition}-0.safetensors", units=units, seed="0", corpus_seconds="7.5")
    source = {"parameters": {"size": {"targets": {"model": f"transformers:{tmp_path / 'whisper-base-encoder'}"}}}}
    (root / "tables").mkdir()
    for name in TABLES:
        write_table(pd.DataFrame({"name": [name]}), root / "tables" / f"{name}.parquet", source)
    return root


def test_models_and_tables_are_copied_without_the_folder_of_the_teacher(experiment, tmp_path):
    package = tmp_path / "package"
    written = publish.publish(experiment, package=package)
    assert len(written) == len(CONDITIONS) + len(TABLES)
    copy = package / "models" / "pretrained" / "librispeech" / "multi+aux-0.safetensors"
    header = read_header(copy)
    assert header["units"] == "transformers:whisper-base-encoder encoder.0.3"
    assert (header["corpus_seconds"], header["seed"], header["key"]) == ("7.5", "0", "librispeech/multi+aux-0")
    one, other = load_checkpoint(experiment / "models" / copy.name), load_checkpoint(copy)
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(first.half(), second.half())
    table, source = read_table(package / "data" / "experiment" / "librispeech" / "claims.parquet")
    assert table["name"].tolist() == ["claims"]
    assert source["parameters"]["size"]["targets"]["model"] == "transformers:whisper-base-encoder"


def test_an_unfinished_experiment_is_refused(experiment, tmp_path):
    (experiment / "tables" / "claims.parquet").unlink()
    with pytest.raises(MultiresError, match=r"claims\.parquet does not exist"):
        publish.publish(experiment, package=tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_file_that_is_too_large_is_named(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "LARGEST", 10)
    with pytest.raises(MultiresError, match="has more than 10 bytes"):
        publish.publish(experiment, package=tmp_path / "package")
