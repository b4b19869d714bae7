"""The shipped reference table has the order that is known of trained encoders, and the command that made it runs."""

import json

import numpy as np
import pandas as pd
import pytest

from multires.analysis.reference import LABEL, NAME, SHIPPED, STAGES, measure_reference, reference_table
from multires.errors import MultiresError


def curve(stage: str, measure: str, view: str, window: float | None = None) -> pd.Series:
    """One measure of the encoder by depth."""
    table = reference_table(stage)
    rows = table[(table["condition"] == LABEL) & (table["measure"] == measure) & (table["view"] == view)]
    rows = rows if window is None else rows[rows["window"] == window]
    return rows[rows["layer_index"].notna()].set_index("layer_index")["value"].astype(float).sort_index()


def baseline(stage: str, measure: str, view: str) -> float:
    """The better of log-mel and MFCC."""
    table = reference_table(stage)
    rows = table[table["model"].isin(["mel", "mfcc"]) & (table["measure"] == measure) & (table["view"] == view)]
    return float(rows["value"].max())


@pytest.mark.parametrize("window", [20.0, 40.0, 80.0])
def test_correlation_with_sound_falls_at_every_layer(window):
    values = curve("cca", "pwcca", "mel", window)
    assert len(values) == 7
    assert (np.diff(values) < 0).all()
    assert values.iloc[0] - values.iloc[-1] > 0.4


def test_correlation_with_words_rises_at_every_layer_and_with_phones_up_to_the_fourth():
    words, phones = curve("cca", "pwcca", "word"), curve("cca", "pwcca", "phone")
    assert (np.diff(words) > 0).all()
    assert words.iloc[-1] - words.iloc[0] > 0.4
    assert phones.idxmax() == 4
    assert (np.diff(phones.loc[:4]) > 0).all()
    assert phones.loc[5:].min() > phones.iloc[0]


def test_probes_read_phones_and_words_better_at_every_layer_and_beyond_acoustic_features():
    for view in ("phone", "word"):
        values = curve("probes", "accuracy", view)
        assert (np.diff(values) > 0).all()
        assert values.iloc[-1] > baseline("probes", "accuracy", view) + 0.3
    speakers = curve("probes", "accuracy", "speaker")
    assert speakers.iloc[-1] < speakers.iloc[0]


def test_clusters_of_the_upper_layers_tell_phones_best():
    values = curve("mutual_information", "adjusted", "phone")
    assert values.idxmax() == 4
    assert values.max() > baseline("mutual_information", "adjusted", "phone")
    # A few dimensions of the first layers are so large that k-means without scaling sees little else.
    assert values.loc[1:2].max() < 0.05


def test_its_provenance_says_what_it_is_and_names_no_folder():
    source = json.loads(SHIPPED.with_suffix(".json").read_text())
    assert source["label"] == LABEL == "Whisper base encoder, supervised, not in the paper"
    assert source["parameters"]["model"] == NAME
    assert source["command"].startswith("python -m multires.analysis.reference ")
    assert "/work" not in json.dumps(source)
    assert source["parameters"]["padded"] is False
    table = pd.read_parquet(SHIPPED)
    assert set(table["stage"]) == set(STAGES)
    assert set(table["condition"]) == {LABEL, "mel", "mfcc"}


def test_an_unknown_stage_is_named():
    with pytest.raises(MultiresError, match=r"unknown stage 'abx'.*cca, mutual_information, probes"):
        reference_table("abx")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns", "ignore:.*clusters were reduced")
def test_a_small_model_gives_such_a_table(tmp_path):
    import zipfile

    from benchmarks.paper import SMALL, _write
    from multires.corpus import load_corpus

    data = tmp_path / "data"
    with zipfile.ZipFile(tmp_path / "grids.zip", "w") as grids:
        for utterance in load_corpus("synthetic", hours=0.03, progress=False):
            _write(utterance, data / "LibriSpeech", grids)
    with zipfile.ZipFile(tmp_path / "grids.zip") as grids:
        grids.extractall(tmp_path)
    (tmp_path / "LibriSpeech").rename(data / "alignments")
    (data / "LibriSpeech" / "dev-clean").rename(data / "LibriSpeech" / "test-other")
    (data / "alignments" / "dev-clean").rename(data / "alignments" / "test-other")
    settings = {name: SMALL[name] for name in ("frames", "word_instances", "folds", "resamples", "cluster_seeds",
                                               "phone_clusters", "word_clusters", "probe_instances")}  # fmt: skip
    path = measure_reference(
        "untrained/hubert-small", data, tmp_path / "out.parquet", name="small", label="a small model", trials=1,
        progress=False, **settings,
    )  # fmt: skip
    table = pd.read_parquet(path)
    assert set(table["model"]) == {"small", "mel", "mfcc"}
    assert set(table["stage"]) == set(STAGES)
    assert set(table.loc[table["model"] == "small", "condition"]) == {"a small model"}
    assert table["trial"].isna().all()
