"""The tables of the controlled experiment: one's own, or those in the package."""

import shutil

import pytest

from multires.errors import MultiresError
from multires.experiment import tables
from multires.results import read_table, write_table


def test_the_package_has_real_speech():
    (found,) = tables.experiment_tables()
    assert found.corpus == "LibriSpeech"
    assert f"{found.seeds} seed" in found.title
    assert set(found.effects["effect"]) >= {"auxiliary loss", "downsampling", "interaction"}
    assert len(found.carries) == 5
    assert found.scores["role"].isin(["development", "test"]).all()
    assert set(tables.all_effects([found])["corpus"]) == {"LibriSpeech"}


def test_layers_and_models_are_sums_over_speakers():
    (found,) = tables.experiment_tables()
    rows = found.scores[found.scores["outcome"].eq("phone_classification") & found.scores["role"].eq("test")]
    model = rows[rows["condition"].eq("hubert") & rows["seed"].eq(0) & rows["labels"].eq("true")]
    by_layer = {layer: part["correct"].sum() / part["total"].sum() for layer, part in model.groupby("layer")}
    layers = found.layers("phone_classification")
    own = layers[layers["condition"].eq("hubert") & layers["seed"].eq(0) & layers["labels"].eq("true")]
    assert dict(zip(own["layer"], own["value"], strict=True)) == pytest.approx(by_layer)
    chosen = found.chosen[found.chosen["outcome"].eq("phone_classification") & found.chosen["condition"].eq("hubert")]
    models = found.by_seed("phone_classification")
    score = models[models["condition"].eq("hubert") & models["seed"].eq(0)]["value"]
    assert score.tolist() == pytest.approx([by_layer[chosen["layer"].iloc[0]]])


def test_ones_own_folder_comes_before_the_package(tmp_path):
    place = tmp_path / "librispeech" / "tables"
    shutil.copytree(tables._SHIPPED / "librispeech", place)
    effects = place / "effects.parquet"
    rows, source = read_table(effects)
    write_table(rows.assign(value=0.5), effects, source)
    assert set(tables.experiment_tables(tmp_path)[0].effects["value"]) == {0.5}


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(MultiresError, match="holds no tables of the experiment"):
        tables.experiment_tables(tmp_path)
