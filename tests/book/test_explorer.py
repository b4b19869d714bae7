"""The explorer's data: every model of the registry, and the curves as the tables have them."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from multires.analysis import stages
from multires.book import explorer
from multires.efficiency.counting import count
from multires.experiment.tables import experiment_tables
from multires.models import load_model, models_table
from multires.models.config import LOG_MEL_GEOMETRY, preset
from multires.models.registry import published

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"


@pytest.fixture(scope="module")
def registry() -> dict[str, dict]:
    return {row["key"]: row for row in explorer.registry()}


def test_every_model_of_the_registry_is_there_with_its_parameters(registry):
    table = models_table().set_index("key")
    assert list(registry) == list(table.index)
    for key, row in registry.items():
        known = table.loc[key, "parameters"]
        assert row.get("parameters") == (None if pd.isna(known) else known), key


def test_blocks_are_those_of_the_model(registry):
    row, model = registry["untrained/multi3-small"], load_model("untrained/multi3-small")
    found = [(label, block["period"]) for block in row["blocks"] for label in block["layers"]]
    assert found == [(layer.label, pytest.approx(1000 * layer.frame_period)) for layer in model.layers]
    samplers = sum(p.numel() for name, p in model.named_parameters() if "samplers" in name)
    assert sum(block["parameters"] for block in row["blocks"]) + samplers == pytest.approx(row["parameters"], rel=0.01)


def test_costs_are_those_of_the_closed_form(registry):
    for seconds in ("2", "60"):
        total = count(preset("multi", "base"), float(seconds))["macs"].sum()
        assert sum(registry["untrained/multi-base"]["macs"][seconds].values()) == total
    assert "macs" not in registry["mel"]


def test_the_layer_before_the_transformer_is_named_by_what_computes_it():
    config = replace(preset("multi", "small"), front_end="log_mel", convolutions=LOG_MEL_GEOMETRY)
    blocks = explorer._architecture(config)["blocks"]
    assert [block["name"] for block in blocks] == ["input", "encoder.0", "middle", "decoder.0"]


def test_every_condition_has_a_symbol_of_its_own(tables):
    untrained = tables["cca"].assign(trained=False, model="u")
    both = pd.concat([tables["cca"].assign(trained=True), untrained])
    conditions = explorer.curve_data(explorer.curves({**tables, "cca": both}), "toy", "models")["conditions"]
    symbols = {(each["marker"], each["filled"], each["untrained"]) for each in conditions}
    assert [each["name"] for each in conditions] == ["MR-HuBERT without aux. loss", "untrained MR-HuBERT"]
    assert len(symbols) == 2


def test_models_that_only_their_checkpoint_knows_say_so(registry):
    unknown = [key for key, entry in published().items() if entry.config is None]
    assert unknown
    for key in unknown:
        assert "blocks" not in registry[key]
        assert "checkpoint" in registry[key]["known_from"]


# -- curves --------------------------------------------------------------------------------------------------------


def rows(model: str, condition: str, view: str, measure: str, value: float, **more) -> dict:
    acoustic = model in ("mel", "mfcc")
    return {
        "model": model, "condition": condition, "seed": 0, "layer": "mel" if acoustic else "encoder.0.0",
        "layer_index": None if acoustic else 1, "frame_period": 0.01 if acoustic else 0.02, "measure": measure,
        "view": view, "trial": None, "value": value, "low": value - 0.1, "high": value + 0.1, "n": 50, **more,
    }  # fmt: skip


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    multi = ("m", "multi")
    return {
        "extraction": pd.DataFrame([rows(*multi, "frame80", "participation ratio", 7.0), rows(*multi, "phone", "segments", 9)]),
        "cca": pd.DataFrame([
            rows(*multi, "word", "pwcca", 0.4, window=None), rows(*multi, "word", "pwcca", 0.6, seed=1, window=None),
            rows(*multi, "word", "pwcca", 0.99, trial=0, window=None),
            rows(*multi, "word", "shuffled", 0.05, window=None), rows(*multi, "word", "shuffled", 0.07, seed=1, window=None),
            rows(*multi, "mel", "pwcca", 0.3, window=20), rows(*multi, "mel", "pwcca", 0.8, window=80),
        ]),
        "mutual information": pd.DataFrame([
            rows(*multi, "phone", "adjusted", 0.5), rows("mfcc", "mfcc", "phone", "adjusted", 0.45),
            rows(*multi, "phone", "normalised", 0.9),
        ]),
        "probes": pd.DataFrame([
            rows(*multi, "speaker", "accuracy", 0.2), rows(*multi, "speaker", "accuracy", 0.9, layer="weighted sum", layer_index=None),
        ]),
    }  # fmt: skip


def test_curves_are_means_over_seeds_with_chance_beside_them(tables):
    found = explorer.curves(tables).set_index(["group", "panel", "condition"])
    word = found.loc[("CCA", "words", "multi")]
    assert word[["value", "low", "high", "seeds", "n"]].tolist() == pytest.approx([0.5, 0.3, 0.7, 2, 50])
    assert word[["chance_low", "chance_high"]].tolist() == pytest.approx([0.05, 0.07])
    assert found.loc[("CCA", "log-mel, own frames", "multi"), "value"] == 0.3
    assert found.loc[("Mutual information, adjusted", "phones", "multi"), "value"] == 0.5
    assert pd.isna(found.loc[("Mutual information, adjusted", "phones", "mfcc"), "layer_index"])
    assert found.loc[("Probe accuracy", "speakers", "multi"), "value"] == 0.2
    assert found.loc[("Frames", "participation ratio", "multi"), "value"] == 7.0
    assert len(found) == 6


def test_the_experiment_has_a_panel_for_each_outcome_with_layers():
    (experiment,) = experiment_tables()
    found = explorer.experiment_curves(experiment).set_index(["panel", "condition"])
    assert {"phone classification", "word classification", "phone ABX across speakers", "CCA with words"} <= {
        *found.index.unique(0)
    }
    assert "phone recognition" not in found.index.unique(0)  # of weighted sums alone
    scores = experiment.scores.query("outcome == 'phone_classification' and role == 'test' and labels == 'true'")
    part = scores.query("condition == 'multi' and layer == 'middle.0' and form == 'native'")
    sums = part.groupby("seed")[["correct", "total"]].sum()
    row = found.loc[("phone classification", "multi")].set_index("layer").loc["middle.0"]
    by_seed = sums["correct"] / sums["total"]
    assert row[["value", "low", "high"]].tolist() == pytest.approx([by_seed.mean(), by_seed.min(), by_seed.max()])
    assert (row["seeds"], row["n"]) == (len(by_seed), scores["speaker"].nunique())
    assert pd.isna(found.loc[("phone classification", "mfcc"), "layer_index"])


def test_the_page_holds_what_was_found_and_no_open_tag(tables, tmp_path):
    found = explorer.curves(tables)
    explorer.write_page(tmp_path, found, "toy", "</script><b>models</b>")
    page = (tmp_path / "explorer.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 1
    data = json.loads(re.search(r">({.*})</script>", page)[1])
    assert data["curves"]["corpus"] == "toy speech"
    assert [each["untrained"] for each in data["curves"]["conditions"]] == [False]
    (word,) = [panel for panel in data["curves"]["panels"] if panel["title"] == "words"]
    assert word["points"] == [[0, 1, 0.5, 0.3, 0.7, 50, 2]]
    assert word["chance"] == [0.05, 0.07]
    (phones,) = [panel for panel in data["curves"]["panels"] if panel["title"] == "phones"]
    assert phones["beside"] == {"MFCC": 0.45}
    assert phones["chance"] is None
    assert data["curves"]["conditions"][0]["layers"] == [{"name": "layer 1", "depth": 1, "period": 20.0}]
    assert pd.read_csv(tmp_path / "curves.csv")["value"].tolist() == pytest.approx(found["value"].tolist())
    assert (tmp_path / "explorer.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_curves_of_a_run_are_those_of_its_tables(run):
    found = explorer.collect(run)
    table = stages.mutual_information(run).table
    wanted = table[(table["measure"] == "adjusted") & table["trial"].isna() & (table["view"] == "word")]
    part = found[(found["group"].str.startswith("Mutual")) & (found["panel"] == "words")]
    assert sorted(part["value"]) == pytest.approx(sorted(wanted["value"]))
    assert {"CCA", "Probe accuracy", "Frames"} <= {*found["group"]}
    assert found["layer_index"].isna().sum() >= 4  # log-mel and MFCC, for phones and words


def test_the_script_is_self_contained():
    script = (STATIC / "explorer.js").read_text(encoding="utf-8")
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|import|innerHTML|eval)\b\s*\(?", script.replace("nothing fetched", "")
    )
    assert set(re.findall(r"https?://[^\"]+", script)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    for name in ("explorer-data", "explorer-models", "explorer-curves"):
        assert name in script


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js to read the script")
def test_the_script_is_sound():
    done = subprocess.run(["node", "--check", str(STATIC / "explorer.js")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
