"""The tables of a small run: their form, their values against a direct call, and what their parameters change."""

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from multires.analysis import comparisons, stages
from multires.analysis.run import open_run
from multires.book.evidence import claims
from multires.errors import MultiresError
from multires.measures.cca import VARIANTS, cca_score
from multires.profiles import VIEWS
from multires.results import COLUMNS

TINY = {
    "hours": 0.04,
    "frames": 300,
    "models": "untrained/multi-small",
    "layers": "encoder.0.1,middle.0",
    "views": "mel,phone,layer",
    "folds": 4,
    "trials": 2,
    "resamples": 20,
    "cluster_seeds": 1,
    "phone_clusters": 12,
    "word_clusters": 8,
    "word_instances": 3,
}

STAGES = {
    "extraction": stages.extraction,
    "cca": stages.cca,
    "cca-variants": stages.cca_variants,
    "cca-grouping": stages.cca_grouping,
    "mutual-information": stages.mutual_information,
    "mi-clusters": stages.mi_clusters,
    "probes": stages.probes,
    "agreement": stages.agreement,
}

few_rows = pytest.mark.filterwarnings("ignore:.*training rows for.*columns")


def tiny(workspace, **changes):
    return open_run("synthetic", workspace=workspace, progress=False, **{**TINY, **changes})


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("tiny"))


@few_rows
@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_tables_are_tidy_and_say_where_they_came_from(run, name):
    result = STAGES[name](run)
    table = result.table
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert len(table) > 0
    assert np.isfinite(table["value"].astype(float)).all()
    assert (table["n"].astype(float) > 0).all()
    assert not table[["model", "condition", "layer", "measure", "view"]].isna().any(axis=None)
    identity = [
        column for column in table.columns if column not in ("value", "n", "low", "high", "n_train", "n_unseen")
    ]
    assert not table.duplicated(identity).any(), "two numbers for one thing"
    known = table[table["low"].notna()] if "low" in table else table.iloc[:0]
    assert (known["low"] <= known["high"]).all()
    assert result.path.parent == run.workspace / "tables"
    source = json.loads(result.path.with_suffix(".json").read_text())
    assert source["stage"] == name
    assert source["rows"] == len(table)
    assert source["parameters"]["seed"] == 0
    assert source["parameters"]["corpus"] == "synthetic"
    assert source["skipped"] == {"count": 0, "files": []}
    pd.testing.assert_frame_equal(STAGES[name](run).table, table)  # from the workspace, types and all


@few_rows
@pytest.mark.slow
def test_processes_give_what_threads_give_and_mend_what_is_damaged(tmp_path, monkeypatch, caplog):
    """To the last bit; a shard that no process can extract again is extracted by this one, and warnings come through."""
    threads = torch.get_num_threads()
    found = {}
    try:
        for worth, name in ((float("inf"), "threads"), (0.0, "processes")):
            torch.set_num_threads(2)
            monkeypatch.setattr(stages.gather, "_WORTH_PROCESSES", worth)
            run = tiny(tmp_path / name, layers="conv,encoder.0.1,middle.0", frames=100)
            extracted = stages.extraction(run).table
            damaged = next(run.features("untrained/multi-small").path.glob("shard-*/phone/middle.0/c/0/0"))
            damaged.write_bytes(bytes(damaged.stat().st_size))
            with pytest.warns(UserWarning, match="training rows for"):
                found[name] = extracted, stages.cca(run).table, stages.probes(run).table
            assert "extracting shard-0000 again" in caplog.text
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for here, there in zip(found["threads"], found["processes"], strict=True):
        pd.testing.assert_frame_equal(here, there, check_exact=True)


@pytest.mark.slow
def test_a_process_that_dies_takes_nothing_with_it(caplog):
    here = os.getpid()

    def rows_of(number):
        if number == 3 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return [{"number": number}]

    found = list(stages.gather._in_processes(rows_of, list(range(8)), 2))
    assert [row["number"] for rows in found for row in rows] == list(range(8))
    assert "a worker process died, possibly out of memory: continuing without" in caplog.text


@pytest.mark.slow
def test_every_layer_of_every_model_is_compared_with_every_view(run):
    table = stages.cca(run).table
    scores = table[table["measure"] == run.profile.variant]
    assert set(table["model"]) == set(run.profile.models)
    for subject in run.subjects:
        own = scores[scores["model"] == subject.name]
        for layer in run.model(subject.name).layers:
            part = own[own["layer"] == layer.name]
            assert set(part["view"]) == set(VIEWS) - ({"conv"} if layer.name == "conv" else set())
            assert set(part["layer_index"]) == {layer.index}
            assert set(part["frame_period"]) == {layer.frame_period}
            means = part[part["trial"].isna()]
            trials = (
                part[part["trial"].notna()].groupby(["view", "window"], dropna=False)["value"].agg(["mean", "size"])
            )
            assert (trials["size"] == run.profile.trials).all()
            np.testing.assert_allclose(means.set_index(["view", "window"])["value"].sort_index(), trials["mean"])
    assert (table[table["measure"] == "shuffled"]["value"].abs() < 0.2).all()


@pytest.mark.slow
def test_a_layer_is_only_read_in_windows_as_long_as_its_frames(run):
    table = stages.cca(run).table
    mel = table[table["view"] == "mel"]
    assert set(mel[mel["frame_period"] > 0.03]["window"]) == {40, 80}
    assert set(mel[mel["frame_period"] < 0.03]["window"]) == {20, 40, 80}
    extracted = stages.extraction(run).table
    coarse = extracted[extracted["frame_period"] > 0.03]
    assert len(coarse)
    assert "frame20" not in set(coarse["view"])


@pytest.mark.slow
@pytest.mark.parametrize(("view", "window"), [("phone", None), ("mel", 40), ("word", None)])
def test_a_score_is_that_of_the_measure_on_the_stored_vectors(run, view, window):
    unit = view if window is None else f"frame{window}"
    store, layer = run.features("untrained/multi-small"), "middle.0"
    x, labels = store.vectors(layer, unit), store.labels(unit)
    assert len(x) == len(labels)
    if view == "mel":
        y = run.features("mel").vectors("mel", unit)
    else:
        counts = labels["label"].value_counts()
        kept = labels["label"].isin(counts[counts >= run.profile.word_instances].index) | (view == "phone")
        x, y = x[kept.to_numpy()], labels.loc[kept, "label"].to_numpy(str)
    expected = cca_score(
        x, y, variant=run.profile.variant, folds=run.profile.folds, trials=run.profile.trials, seed=0, replicates=2
    )
    table = stages.cca(run).table
    rows = table[(table["model"] == "untrained/multi-small") & (table["layer"] == layer) & (table["view"] == view)]
    rows = rows if window is None else rows[rows["window"] == window]
    mean = rows[(rows["measure"] == run.profile.variant) & rows["trial"].isna()]
    assert mean["value"].item() == pytest.approx(expected.score, abs=1e-9)
    assert mean["n"].item() == expected.n == len(y)
    if view != "mel":  # views that share a pass share one shuffle of their rows, which a single view need not repeat
        assert rows[rows["measure"] == "shuffled"]["value"].item() == pytest.approx(expected.baseline, abs=1e-9)


@pytest.mark.slow
def test_variants_groupings_and_acoustic_baselines_are_all_there(run):
    variants = stages.cca_variants(run).table
    assert set(variants["measure"]) == {*VARIANTS, "shuffled"}
    grouping = stages.cca_grouping(run).table
    assert set(grouping["grouping"]) == {"segment", "utterance", "speaker"}
    information = stages.mutual_information(run).table
    assert set(information["model"]) == {*run.profile.models, "mel", "mfcc"}
    assert set(information["view"]) == {"phone", "word"}
    real = information[(information["measure"] == "bits") & information["trial"].isna()]["value"]
    chance = information[(information["measure"] == "bits shuffled") & information["trial"].isna()]["value"]
    assert (real.to_numpy() > chance.to_numpy()).all()
    probed = stages.probes(run).table
    assert set(probed["view"]) == {"phone", "word"}  # three minutes hold too few utterances of each speaker
    assert {"mel", "mfcc"} < set(probed["model"])
    assert (probed["layer"] == "weighted sum").any()
    weights = probed[probed["measure"] == "layer weight"]
    np.testing.assert_allclose(weights.groupby(["model", "view"])["value"].sum(), 1, rtol=1e-5)


@pytest.mark.slow
def test_agreement_sets_each_layers_scores_beside_its_accuracy(run):
    table = stages.agreement(run).table
    probed, correlated = stages.probes(run).table, stages.cca(run).table
    row = table[(table["measure"] == "CCA") & (table["view"] == "phone")].iloc[0]

    def value(found, measure):
        rows = found[(found["model"] == row["model"]) & (found["layer"] == row["layer"]) & (found["view"] == "phone")]
        return rows[(rows["measure"] == measure) & rows["trial"].isna()]["value"].item()

    assert row["accuracy"] == value(probed, "accuracy")
    assert row["value"] == value(correlated, run.profile.variant)


@pytest.mark.slow
def test_the_whole_way_from_speech_to_claims(run):
    judged = claims(run)
    assert set(judged.table["claim"]) == {1, 2, 3}
    first_two = judged.table[(judged.table["claim"] < 3) & (judged.table["source"] == "this run")]
    assert set(first_two["verdict"]) == {"not tested"}  # nothing here was trained
    efficiency = stages.efficiency(run)
    assert "corpus" not in efficiency.source["parameters"]
    missing = efficiency.table[efficiency.table["value"].isna()]
    assert (missing["note"] != "").all()  # a number that is withheld says why


def test_speakers_are_probed_on_utterances_that_did_not_train():
    labels = pd.DataFrame({
        "speaker": ["a"] * 7 + ["b"] * 4 + ["c"] * 5,
        "utterance": [f"u{number}" for number in range(16)],
    })  # fmt: skip
    train, test = stages.rows.speaker_rows(None, labels)
    assert not (train & test).any()
    assert set(labels["speaker"][test]) == {"a", "c"} == set(labels["speaker"][train])  # b has too few
    assert list(np.flatnonzero(test)) == [2, 5, 13]


def test_corpus_summary_counts_what_is_there(small):
    table = stages.corpus_summary(small).set_index("split")
    for split in small.corpus.splits:
        part = [utterance for utterance in small.corpus if utterance.split == split]
        assert table.loc[split, "utterances"] == len(part)
        assert table.loc[split, "words"] == sum(len(utterance.words) for utterance in part)
        assert table.loc[split, "minutes"] == pytest.approx(sum(utterance.duration for utterance in part) / 60)
    example = stages.example_utterance(small)
    assert example.phones
    assert example.duration >= 1.5


@few_rows
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cca", "mutual-information", "probes", "extraction"])
def test_the_same_seed_gives_the_same_table_anywhere(small, tmp_path_factory, name):
    again = tiny(tmp_path_factory.getbasetemp() / "again")
    other = tiny(tmp_path_factory.getbasetemp() / "other", seed=1)
    first = STAGES[name](small)
    second = STAGES[name](again)
    assert first.path != second.path
    pd.testing.assert_frame_equal(first.table, second.table, check_exact=True)
    assert not STAGES[name](other).table["value"].equals(first.table["value"])


@few_rows
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("extraction", {"models": "untrained/mono-small"}),
        ("extraction", {"models": "untrained/multi-small,untrained/mono-small"}),
        ("extraction", {"layers": "encoder.0.1"}),
        ("extraction", {"frames": 200}),
        ("extraction", {"utterances": 8}),
        ("extraction", {"phones_each": 4}),
        ("cca", {"views": "phone"}),
        ("cca", {"variant": "svcca"}),
        ("mutual-information", {"phone_clusters": 10}),
        ("mutual-information", {"word_clusters": 6}),
        ("probes", {"probe_instances": 100}),
    ],
)
def test_every_parameter_changes_the_table(small, name, change):
    before = STAGES[name](small)
    after = STAGES[name](tiny(small.workspace, **change))
    assert after.path != before.path
    assert after.source["parameters"] != before.source["parameters"]
    columns = ["model", "layer", "view", "measure", "value", "n"]
    assert not after.table[columns].equals(before.table[columns])


@few_rows
def test_layers_are_looked_at_in_every_model_that_has_them(small, tmp_path):
    both = {"models": "untrained/mono-small,untrained/hubert-small", "views": "layer"}
    run = tiny(small.workspace, **both)
    table = stages.layer_table(run)
    assert set(table[table["model"] == "untrained/mono-small"]["layer"]) == {"encoder.0.1", "middle.0"}
    assert set(table[table["model"] == "untrained/hubert-small"]["layer"]) == {"encoder.0.1"}
    with pytest.raises(MultiresError, match=r"untrained/hubert-small has none of the layers middle\.0: leave it out"):
        tiny(tmp_path, layers="middle.0", **both)
    with pytest.raises(MultiresError, match=r"no layer middle\.7 in any model of this run: choose from conv, "):
        tiny(tmp_path, layers="middle.7,middle.0", **both)


@few_rows
@pytest.mark.slow
def test_the_reference_view_does_not_follow_the_layers_looked_at(small):
    """`layer` is the last layer of the reference model, and `conv` the waveform encoder, whatever `layers` names."""
    chosen = tiny(small.workspace, views="conv,layer").profile.reference_model
    named = stages.cca(tiny(small.workspace, views="conv,layer")).table
    every = stages.cca(tiny(small.workspace, views="conv,layer", layers=None)).table
    assert set(named["view"]) == {"conv", "layer"}
    assert set(named["layer"]) == {"encoder.0.1", "middle.0"}
    keys = ["layer", "view", "measure", "trial"]
    both = named.merge(every, on=keys)
    assert len(both) == len(named)
    np.testing.assert_allclose(both["value_x"], both["value_y"], atol=1e-6)
    last = small.model(chosen).layers[-1].name
    assert small.features(chosen).layer_names()[-1] == last


@few_rows
@pytest.mark.slow
def test_what_could_not_be_read_is_counted_beside_every_table(tmp_path, librispeech_layout):
    run = open_run(
        "librispeech", data=librispeech_layout, workspace=tmp_path, progress=False, models="untrained/multi-small",
        layers="encoder.0.0", frames=60, views="mel", folds=3, trials=1, resamples=10,
    )  # fmt: skip
    result = stages.cca(run)
    assert len(result.table)
    skipped = dict(result.source["skipped"]["files"])
    assert result.source["skipped"]["count"] == len(skipped) == len(run.corpus.skipped)
    assert [reason for file, reason in skipped.items() if "broken" in file]
    assert stages.corpus_summary(run)["without alignment"].sum() == len(run.corpus)
    with pytest.raises(MultiresError, match=r"mutual information: corpus .* give recordings with alignments"):
        stages.mutual_information(run)


@pytest.fixture
def librispeech_layout(tmp_path):
    """Noise in LibriSpeech's folders, with transcripts and without alignment, and one file that is no audio."""
    import soundfile

    rng = np.random.default_rng(0)
    root = tmp_path / "LibriSpeech"
    for split, speakers in (("train-clean-100", ("11", "12")), ("test-other", ("21", "22"))):
        for speaker in speakers:
            chapter = root / split / speaker / "7"
            chapter.mkdir(parents=True)
            names = [f"{speaker}-7-{number:04d}" for number in range(6)]
            for name in names:
                soundfile.write(chapter / f"{name}.flac", 0.1 * rng.standard_normal(24_000), 16_000)
            (chapter / f"{speaker}-7.trans.txt").write_text("".join(f"{name} SOME WORDS\n" for name in names))
    broken = root / "test-other" / "21" / "7" / "21-7-0099-broken.flac"
    broken.write_bytes(b"no audio")
    with (broken.parent / "21-7.trans.txt").open("a") as file:
        file.write("21-7-0099-broken NOTHING\n")
    return root


def test_the_device_is_where_models_run(small, tmp_path, monkeypatch):
    """No GPU is needed to see that the parameter arrives where the models are run, and in the provenance."""
    asked = []

    def extract(model, corpus, segments, path, *, device, **options):
        asked.append(device)
        raise MultiresError("stopped before any work")

    monkeypatch.setattr("multires.analysis.run.extract", extract)
    monkeypatch.setattr("multires.analysis.run._device", lambda device, **_options: device)
    for device in ("cpu", "cuda:1"):
        with pytest.raises(MultiresError, match="stopped before"):
            tiny(tmp_path, device=device).features("untrained/multi-small")
    assert asked == ["cpu", "cuda:1"]
    run = tiny(tmp_path, device="cuda:1")
    table = pd.DataFrame({column: [0.5] for column in COLUMNS})
    assert run.table("thing", {}, lambda: table, corpus=False).source["parameters"]["device"] == "cuda:1"


def test_an_interruption_does_not_wait_for_what_is_left(small):
    import time

    begun = []

    def rows_of(number):
        begun.append(number)
        time.sleep(0.02)
        if number == 2:
            raise KeyboardInterrupt
        return [{"value": number}]

    with pytest.raises(KeyboardInterrupt):
        stages.gather.gather_rows(small, "test", range(200), rows_of)
    assert len(begun) < 100


def test_one_model_stands_for_all_and_shapes_are_shown_once(tmp_path):
    models = "librispeech/multi-0,librispeech/multi+aux-0,untrained/multi-small,untrained/hubert-small"
    run = open_run("synthetic", workspace=tmp_path, progress=False, models=models)
    assert run.example.name == "librispeech/multi+aux-0"
    # Models with the auxiliary loss have one more head, and untrained ones of this name a waveform encoder.
    assert stages.distinct_models(run) == models.split(",")
    assert set(stages.layer_table(run, ["librispeech/multi-0"])["model"]) == {"librispeech/multi-0"}
    alone = open_run(
        "synthetic", workspace=tmp_path, progress=False, models="untrained/multi-small,untrained/hubert-small"
    )
    assert alone.example.name == "untrained/hubert-small"


@few_rows
@pytest.mark.slow
def test_mutual_information_of_two_models_is_compared_in_the_same_resamples(tmp_path):
    run = tiny(tmp_path, models="untrained/mono-small,untrained/multi-small", resamples=60)
    found = comparisons.mi_comparisons(run).table
    assert list(found["view"]) == ["phone", "word"]
    scores = stages.mutual_information(run).table
    assert stages.REPLICATE not in set(scores["measure"])
    whole = scores[scores["trial"].isna() & (scores["measure"] == "normalized")]
    for row in found.itertuples():
        best = whole[whole["view"] == row.view].groupby("model")["value"].max()
        assert row.value == pytest.approx(best["untrained/multi-small"] - best["untrained/mono-small"])
        assert row.low < row.high
        assert row.against == "untrained/mono-small"


@few_rows
@pytest.mark.slow
def test_the_weighted_sum_of_a_log_mel_model_leaves_its_input_out(tmp_path):
    run = tiny(
        tmp_path,
        models="librispeech/hubert-0",
        reference_model="librispeech/hubert-0",
        layers=None,
        hours=0.02,
        frames=100,
    )
    table = stages.probes(run).table
    weighed = table[(table["measure"] == "layer weight") & (table["view"] == "phone")]
    assert weighed["layer"].tolist() == [f"encoder.0.{index}" for index in range(6)]
    assert weighed["value"].sum() == pytest.approx(1)
