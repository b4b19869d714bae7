"""Comparisons at equal frame rates: their tables against direct calls, their pairing, and their sentences."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from multires.analysis import stages
from multires.analysis.effects import CONTRASTS, block_effects, effects
from multires.analysis.run import open_run
from multires.analysis.stages.matched import MATCHINGS, MatchedFrames, chosen_items, match_frames, matchings_of
from multires.analysis.stages.resolution import MEASURES, SHUFFLED, _scores, _Split
from multires.features.pooling import pool
from multires.measures.probe import predict_labels
from multires.models.layers import Layer
from multires.profiles import get_profile
from multires.report import equal_rates, figures
from multires.results import COLUMNS

FINE = Layer("fine", "F", "encoder.0", 1, 0.02, 1, 0.01)
COARSE = Layer("coarse", "C", "middle", 2, 0.04, 1, 0.02)


def test_layers_of_40_ms_are_their_own_decimated_and_averaged_frames():
    assert matchings_of(FINE) == {name: name for name in MATCHINGS}
    coarse = matchings_of(COARSE)
    assert coarse["decimated to 40 ms"] == coarse["averaged to 40 ms"] == "native"
    assert coarse["grid of 40 ms"] == "grid of 40 ms"
    slow = Layer("slow", "S", "encoder.2", 3, 0.08, 1, 0.04)
    assert set(matchings_of(slow)) == {"native", "grid of 40 ms", "grid of 80 ms"}


def test_matched_frames_of_two_utterances_and_their_segments():
    values = np.arange(9.0)[:, None]
    lengths = np.array([4, 5])
    items = pd.DataFrame({"number": [0, 1, 1], "start": [0.0, 0.0, 0.04], "end": [0.08, 0.04, 0.1]})
    native = match_frames(values, lengths, FINE, "native", items)
    assert native.spans.tolist() == [[0, 4], [4, 6], [6, 9]]
    assert native.means().ravel().tolist() == [1.5, 4.5, 7.0]
    averaged = match_frames(values, lengths, FINE, "averaged to 40 ms", items)
    assert averaged.values.ravel().tolist() == [0.5, 2.5, 4.5, 6.5, 8.0]
    assert averaged.means().ravel().tolist() == [1.5, 4.5, 7.25]


def test_shuffled_labels_are_scored_beside_the_measures_asked_for_and_change_no_other_score():
    rng = np.random.default_rng(0)
    count = 160
    table = pd.DataFrame({
        "label": np.tile(["a", "b", "c", "d"], count // 4), "speaker": [f"s{i % 10}" for i in range(count)],
        "split": np.repeat(["train", "evaluation"], count // 2),
    })  # fmt: skip
    codes = table["label"].map(dict(zip("abcd", range(4), strict=True))).to_numpy()
    values = (np.eye(4)[codes].repeat(2, axis=0) + 0.1 * rng.normal(size=(2 * count, 4))).astype(np.float32)
    frames = MatchedFrames(values, 2 * np.arange(count)[:, None] + [0, 2])
    profile = get_profile("synthetic", folds=4, trials=1, word_clusters=4)
    split = _Split(*(table["split"].eq(part).to_numpy() for part in ("train", "evaluation")))
    run = SimpleNamespace(profile=profile, seed=0)
    plain, both = (
        _scores(run, (frames, None), "word", table, split, 10, name="test", shuffled=asked) for asked in ((), MEASURES)
    )
    assert set(plain) == set(MEASURES)
    assert set(both) == {*MEASURES, *(f"{measure}{SHUFFLED}" for measure in MEASURES)}
    for measure in MEASURES:
        assert both[measure][0] == plain[measure][0] > 0.9
        value, bootstrap, n = both[measure + SHUFFLED]
        assert bootstrap is None
        assert n == both[measure][2]
        assert value < 0.7
    assert both["adjusted mi" + SHUFFLED][0] == pytest.approx(0, abs=0.15)
    assert both["abx accuracy" + SHUFFLED][0] == pytest.approx(0.5, abs=0.2)


def test_means_are_those_of_pooling_where_edges_fall_on_frames():
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    start = np.array([0.0, 0.2, 0.5])
    end = start + 0.1
    items = pd.DataFrame({"number": 0, "start": start, "end": end})
    layer = Layer("fine", "F", "encoder.0", 1, 0.02, 3, 0.01)
    found = match_frames(values, np.array([50]), layer, "native", items).means()
    np.testing.assert_allclose(found, pool(values, start, end, 0.02), atol=1e-6)


def replicated(value, shift, condition, measure="cca", trained=True):
    """A score and 50 replicates that all models share but for a shift."""
    common = np.random.default_rng(0).normal(0, 0.1, 50)
    where = {
        "model": condition, "condition": condition, "trained": trained, "block": "middle", "view": "word",
        "matching": "grid of 40 ms", "chosen": True, "n": 20,
    }  # fmt: skip
    rows = [{**where, "measure": measure, "value": value, "trial": np.nan}]
    return rows + [
        {**where, "measure": stages.REPLICATE, "of": measure, "trial": t, "value": value + each + shift * (t % 2)}
        for t, each in enumerate(common)
    ]


def test_effects_are_paired_differences_of_the_chosen_layers():
    table = pd.DataFrame(replicated(0.6, 0.02, "multi") + replicated(0.5, 0.0, "mono"))
    (row,) = effects(table).to_dict("records")
    assert row["contrast"] == "downsampling, without the loss"
    assert row["value"] == pytest.approx(0.1)
    assert (row["low"], row["high"]) == (pytest.approx(0.09), pytest.approx(0.11))  # what both share drops out
    assert row["n"] == 20


def test_a_run_without_a_pair_has_no_effects_and_says_so():
    found = effects(pd.DataFrame(replicated(0.6, 0.0, "multi")))
    assert found.empty
    assert equal_rates.low_resolution(found) == "This run has no two trained models that differ in downsampling alone."
    assert len(figures.low_resolution(found, corpus="c", models="m").axes) == 1


def effect_rows(values, view="word", matching="grid of 40 ms"):
    return [
        {"contrast": "downsampling, with the loss", "block": "middle", "view": view, "matching": matching,
         "measure": measure, "value": value, "low": value - 0.01, "high": value + 0.01}
        for measure, value in values.items()
    ]  # fmt: skip


def test_sentences_name_agreement_what_native_rates_would_show_and_the_cause_of_disagreement():
    agreed = dict.fromkeys(MEASURES, 0.05)
    native = {**agreed, "cca": -0.05}
    said = equal_rates.low_resolution(pd.DataFrame(effect_rows(agreed) + effect_rows(native, matching="native")))
    assert "by 4 of 4 measures, less by 0, and 0 leave it open" in said
    assert "another one for CCA (less about words, -0.050)" in said
    assert "The measures agree." in said
    apart = {**agreed, "abx accuracy": -0.05}
    checks = effect_rows({"abx accuracy": 0.03, "adjusted mi": 0.05}, view="word, whitened")
    checks += effect_rows({"abx accuracy": -0.04}, view="word, mean of the word")
    said = equal_rates.low_resolution(pd.DataFrame(effect_rows(apart) + effect_rows(apart, matching="native") + checks))
    assert "contradict each other" in said
    assert "With all directions scaled alike, ABX accuracy differs by +0.030" in said
    assert ": more about words, no longer as before" in said
    assert "With one vector for each word, ABX accuracy differs by -0.040" in said
    assert "- CCA +0.050 [+0.040, +0.060]: more about words" in said.splitlines()
    assert "every measure gives the same conclusion" in said


@pytest.fixture(scope="module")
def matched_run(tmp_path_factory):
    return open_run(
        "synthetic", workspace=tmp_path_factory.mktemp("matched"), progress=False, hours=0.06, resamples=20, folds=4,
        trials=1, models="untrained/mono-small,untrained/multi-small", layers="middle.0,middle.1", word_instances=4,
        word_clusters=20, phone_clusters=20, matched_instances=300, frames=200, reference_model="mel",
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns")
def test_the_tables_of_a_small_run(matched_run):
    table = stages.resolution(matched_run).table
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert np.isfinite(table["value"].astype(float)).all()
    assert set(table["model"]) == {*matched_run.profile.models, "mel", "mfcc"}
    single = table[table["view"].eq("word") & ~table["measure"].str.contains("development")]
    assert not single.duplicated(["model", "layer", "matching", "measure"]).any()
    assert set(single["matching"]) == set(MATCHINGS)
    unrelated = single[single["measure"].str.endswith(" (shuffled)")]
    assert set(unrelated["measure"]) == {f"{measure} (shuffled)" for measure in MEASURES}
    assert set(unrelated["matching"]) == {"grid of 40 ms"}
    for (_, _, measure), part in unrelated.groupby(["model", "block", "measure"]):
        assert part["chosen"].all()
        assert len(part) == 1
        low, high = {"adjusted mi": (-0.2, 0.2), "abx accuracy": (0.2, 0.8)}.get(measure.partition(" (")[0], (-1, 1))
        assert low < part["value"].item() < high
    single = single[~single["measure"].str.endswith(" (shuffled)")]
    assert set(MEASURES) == set(single["measure"])
    models = single[~single["model"].isin(["mel", "mfcc"])]
    for _, part in models[models["matching"].eq("native")].groupby(["model", "measure"]):
        assert part["chosen"].sum() == 1
    coarse = models[models["frame_period"].gt(0.03)].set_index(["layer", "measure", "matching"])["value"]
    assert coarse["middle.0", "cca", "native"] == coarse["middle.0", "cca", "averaged to 40 ms"]

    store = matched_run.frames("untrained/mono-small")
    layer = next(each for each in matched_run.model("untrained/mono-small").layers if each.name == "middle.1")
    words = chosen_items(matched_run, store.items(), "word")
    x = match_frames(*store.frames("middle.1"), layer, "grid of 40 ms", words).means()
    fit, judge = words["split"].eq("train"), words["split"].eq("evaluation")
    labels = words["label"].to_numpy(str)
    right = predict_labels(
        x[fit], labels[fit], x[judge], seed=0, groups=words["speaker"].to_numpy(str)[fit], decays=(0.01,)
    )
    stored = single[single["model"].eq("untrained/mono-small") & single["layer"].eq("middle.1")]
    stored = stored[stored["matching"].eq("grid of 40 ms") & stored["measure"].eq("probe accuracy")]
    assert stored["value"].item() == pytest.approx((right == labels[judge]).mean())

    found = block_effects(matched_run).table
    assert set(found["contrast"]) == {"downsampling, untrained"}
    assert set(found["contrast"]) <= set(CONTRASTS)
    assert set(found[found["view"].eq("word")]["measure"]) == set(MEASURES)
    for draw in (figures.low_resolution, figures.block_effects):
        assert len(draw(found, corpus="synthetic", models="untrained").axes) == 4
    assert figures.resolution_by_layer(table, corpus="synthetic", models="untrained").axes
