"""The curves of the explorer: the numbers of the tables that they come from."""

import pandas as pd
import pytest

from multires.analysis import stages
from multires.book.explorer import scores
from multires.experiment.tables import experiment_tables


def test_curves_are_means_over_seeds_with_chance_beside_them(tables):
    found = scores.curves(tables).set_index(["group", "panel", "condition"])
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
    found = scores.experiment_curves(experiment).set_index(["panel", "condition"])
    assert {"phone classification", "word classification", "phone ABX across speakers", "CCA with words"} <= {
        *found.index.unique(0)
    }
    assert "phone recognition" not in found.index.unique(0)  # of weighted sums alone
    rated = experiment.scores.query("outcome == 'phone_classification' and role == 'test' and labels == 'true'")
    part = rated.query("condition == 'multi' and layer == 'middle.0' and form == 'native'")
    sums = part.groupby("seed")[["correct", "total"]].sum()
    row = found.loc[("phone classification", "multi")].set_index("layer").loc["middle.0"]
    by_seed = sums["correct"] / sums["total"]
    assert row[["value", "low", "high"]].tolist() == pytest.approx([by_seed.mean(), by_seed.min(), by_seed.max()])
    assert (row["seeds"], row["n"]) == (len(by_seed), rated["speaker"].nunique())
    assert pd.isna(found.loc[("phone classification", "mfcc"), "layer_index"])


@pytest.mark.slow
def test_the_curves_of_a_run_are_those_of_its_tables(run):
    found = scores.collect(run)
    table = stages.mutual_information(run).table
    wanted = table[(table["measure"] == "adjusted") & table["trial"].isna() & (table["view"] == "word")]
    part = found[(found["group"].str.startswith("Mutual")) & (found["panel"] == "words")]
    assert sorted(part["value"]) == pytest.approx(sorted(wanted["value"]))
    assert {"CCA", "Probe accuracy", "Frames"} <= {*found["group"]}
    assert found["layer_index"].isna().sum() >= 4  # log-mel and MFCC, for phones and words
