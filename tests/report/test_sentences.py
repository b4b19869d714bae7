"""Sentences on small tables: the numbers in them are those of the table."""

from dataclasses import replace

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

from multires.corpus.utterance import Corpus
from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables
from multires.report import contrasts, sentences
from multires.results import tidy


def row(condition: str, layer: int, value: float, **more) -> dict:
    return {
        "model": f"untrained/{condition}-small", "condition": condition, "seed": 0, "layer": f"encoder.0.{layer}",
        "layer_index": layer, "frame_period": 0.02, "measure": "pwcca", "view": "word", "value": value, "n": 1234,
        "low": value - 0.01, "high": value + 0.02, "trained": False, "window": None, "clusters": 9,
        "clusters_requested": 9, **more,
    }  # fmt: skip


def cca_table(trained: bool = False) -> pd.DataFrame:
    return tidy([
        row("mono", 0, 0.31, trained=trained), row("mono", 1, 0.42, trained=trained),
        row("multi", 0, 0.30, trained=trained), row("multi", 1, 0.47, trained=trained),
        row("multi", 1, 0.99, trial=0, trained=trained), row("multi", 1, 0.07, measure="shuffled", trained=trained),
        row("mono", 0, 0.60, view="mel", window=20, trained=trained),
        row("mono", 0, 0.64, view="mel", window=40, trained=trained),
        row("multi", 1, 0.50, view="mel", window=40, frame_period=0.04, trained=trained),
    ])  # fmt: skip


def test_cca_names_the_best_layer():
    text = sentences.cca(cca_table())
    assert "words at layer 1 of MR-HuBERT without aux. loss (0.47 [0.46, 0.49], chance at most 0.07)" in text
    assert "log-mel at layer 0 of the 20 ms control (0.64" in text
    assert "0.99" not in text  # single trials are no result
    assert "**untrained**" in text
    assert "untrained" not in sentences.cca(cca_table(trained=True))


def test_windows_are_compared_like_with_like():
    text = sentences.cca_windows(cca_table())
    assert "0.60 in windows of 20 ms, 0.64 in windows of 40 ms" in text
    assert "In the same 40 ms window, the low-resolution layers average 0.50 and the 20 ms layers 0.64." in text


def test_views_that_were_left_out_are_said():
    table = cca_table()
    assert "neither log-mel nor phones nor words" in sentences.cca(table[table["view"] == "conv"])
    assert "does not compare layers with log-mel" in sentences.cca_windows(table[table["view"] == "word"])
    assert "no 20 ms layer" in sentences.cca_windows(table[table["frame_period"] == 0.04])


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "a_*b*_`c`", "[a](javascript:x)", "$x$ {term}`phone`"]
)
def test_names_are_shown_as_they_are_and_never_as_markup(name):
    """Names of models and speech come from folders and files of others."""
    spread = [{**row(name, layer, 3.0 + layer, trained=True), "measure": "participation ratio"} for layer in (0, 1)]
    scores = [
        row(name, layer, 0.4 + layer / 10, trained=True, view=view) for layer in (0, 1) for view in ("word", "mel")
    ]
    pair = {**difference("multi", 0.1), "corpus": name}
    texts = [
        sentences.extraction(tidy(spread)), sentences.cca(tidy(scores)),
        contrasts.cca_conclusion(pd.DataFrame([pair]), name), sentences._learned(gate(name)),
    ]  # fmt: skip
    parser = MarkdownIt("commonmark", {"html": True})
    for text in texts:
        shown = BeautifulSoup(parser.render(text), "html.parser")
        assert {node.name for node in shown.find_all()} <= {"p", "strong"}, text
        assert name in shown.get_text()
        assert "$" not in text, "MyST would read a formula"
        assert "{term}`" not in text, "MyST would read a role"


def gate(name: str) -> pd.DataFrame:
    return pd.DataFrame(
        [{"condition": name, "baseline_name": name, "above": 0.1, "carries": False, "beats": False, "flattened": False}]
    )


def test_variants_and_groupings():
    variants = tidy([
        row("multi", 1, 0.2, measure="mean"), row("multi", 1, 0.5, measure="pwcca"),
        row("multi", 1, 0.75, measure="layerwise-analysis"), row("multi", 0, 0.9, measure="mean"),
    ])  # fmt: skip
    text = sentences.cca_variants(variants)
    assert "mean 0.200, pwcca 0.500, layerwise-analysis 0.750" in text
    assert "differs from projection-weighted CCA as defined by 0.250" in text
    grouping = tidy([
        row("multi", 1, value, grouping=grouping)
        for grouping, value in {"segment": 0.50, "utterance": 0.45, "speaker": 0.42}.items()
    ])  # fmt: skip
    assert "+0.080 for words" in sentences.cca_grouping(grouping)


def test_mutual_information_says_what_was_reduced():
    table = tidy([
        row("mono", 0, 0.2, measure="adjusted", clusters=7), row("multi", 0, 0.3, measure="adjusted"),
        row("mfcc", 0, 0.25, measure="adjusted", model="mfcc"),
    ])  # fmt: skip
    text = sentences.mutual_information(table)
    assert (
        "layer 0 of MR-HuBERT without aux. loss tell most about words (0.30 adjusted, 0.29 to 0.32 over fits of k-means; MFCC 0.25)"
        in text
    )
    assert "9 clusters for words were reduced to 7" in text
    assert "reduced" not in sentences.mutual_information(table[table["clusters"] == 9])
    growth = tidy([
        row("multi", 0, value, measure=measure, clusters=clusters)
        for clusters, scale in ((25, 1), (50, 2))
        for measure, value in {
            "bits": 1.0 * scale, "bits shuffled": 0.3 * scale, "bits corrected": 0.75 * scale,
            "bits corrected shuffled": 0.05 * scale,
        }.items()
    ])  # fmt: skip
    text = sentences.mi_clusters(growth)
    assert "With 50 clusters the raw estimate is 2.00 bits" in text
    assert "0.60 remain" in text
    assert "corrected it is 1.50, and +0.10" in text


def test_probes_name_best_layer_baselines_and_what_is_missing():
    table = tidy([
        row("mono", 0, 0.5, measure="accuracy"), row("mono", 1, 0.6, measure="accuracy"),
        row("mel", 0, 0.4, measure="accuracy", model="mel"), row("mono", 0, 0.15, measure="majority accuracy"),
        {**row("mono", 1, 0.63, measure="accuracy"), "layer": "weighted sum", "layer_index": None},
    ])  # fmt: skip
    text = sentences.probes(table)
    assert (
        "word: layer 1 of the 20 ms control at 0.60 [0.59, 0.62] (log-mel 0.40; most frequent label 0.15; n = 1,234)"
        in text
    )
    assert "too little labeled speech to probe phone or speaker" in text
    assert "+0.030 for word" in sentences.weighted_sums(table)


def test_extraction_names_the_widest_and_narrowest_layer():
    table = tidy([row("mono", layer, value, measure="participation ratio") for layer, value in ((0, 3.0), (1, 12.5))])
    text = sentences.extraction(table)
    assert "20 ms control is widest at layer 1 (12.5 directions) and narrowest at layer 0 (3.0)" in text
    trained = [row("mono", layer, 5.0 + layer, measure="participation ratio", trained=True) for layer in (0, 1)]
    mixed = sentences.extraction(pd.concat([table, tidy(trained)]))
    assert "widest at layer 1 (6.0 directions)" in mixed
    assert "12.5" not in mixed  # of the untrained model


def test_agreement_is_a_rank_correlation_of_trained_layers_and_of_untrained_ones_apart():
    table = pd.DataFrame({"view": "phone", "measure": "CCA", "value": [1, 2, 3, 4], "accuracy": [0.1, 0.3, 0.2, 0.4],
                          "trained": True})  # fmt: skip
    low = table.assign(value=table["value"] - 9, accuracy=table["accuracy"][::-1].to_numpy() - 0.5, trained=False)
    text = sentences.agreement(pd.concat([table, low]))
    assert "over layers of trained models 0.80 for CCA and phones (4 layers)" in text
    assert "over layers of untrained models -0.80 for CCA and phones (4 layers)" in text
    assert "untrained" not in sentences.agreement(table)
    assert "nan for CCA and phones (1 layers)" in sentences.agreement(table.iloc[:1])
    assert sentences.rank_correlation(table.assign(value=1)) != sentences.rank_correlation(table.assign(value=1))


def test_models_are_named_with_their_training():
    assert sentences.models(cca_table()) == "two untrained models"
    mixed = cca_table().replace({"model": {"untrained/multi-small": "synthetic/multi-0"}})
    mixed["trained"] = mixed["condition"] == "multi"
    assert sentences.models(mixed) == "one small model trained on synthetic speech, one untrained"
    many = pd.concat(
        [cca_table(trained=True).assign(model=f"synthetic/{name}-0") for name in ("mono", "mono+aux", "multi")]
    )
    assert sentences.models(many) == "three small models trained on synthetic speech"


@pytest.mark.parametrize("count", [0, 2, 5])
def test_what_could_not_be_used_is_counted(count):
    skipped = tuple((f"file{number}.wav", "is empty") for number in range(count))
    summary = pd.DataFrame({
        "split": ["train", "test"], "minutes": [10.0, 2.0], "phones": [1000, 234], "words": [300, 45],
        "without alignment": [3, 1],
    })  # fmt: skip
    text = sentences.corpus(summary, Corpus("toy", [], skipped=skipped))
    assert "12 minutes of toy speech with 1,234 phones and 345 words. 4 utterances have no alignment" in text
    assert f"{count} files or alignments are missing or could not be read" in text
    assert text.count("is empty") == min(count, 3)
    assert ("and others" in text) == (count > 3)


def test_conclusions_hold_the_verdicts():
    verdicts = pd.DataFrame({
        "claim": [1, 2, 1], "verdict": ["supports", "leaves open", "not tested"], "source": [*["this run"] * 2, "experiment"],
    })  # fmt: skip
    assert sentences.conclusion(verdicts, "toy speech") == (
        "**In this run (toy speech):** claim 1: **supports**, **not tested** (experiment); claim 2: **leaves open**."
    )
    table = pd.DataFrame({"evidence": ["a", "b"], "value": [0.5, None], "low": [0.4, None], "high": [0.6, None]})
    assert sentences.headline(table) == "Effects with 95 percent intervals: a 0.500 (0.400 to 0.600)."


def test_the_first_chapter_ends_with_how_phones_fit_into_frames():
    segments = pd.DataFrame({"unit": "phone", "start": 0.0, "end": [0.01, 0.03, 0.05, 0.07, 0.09]})
    text = sentences.extraction_conclusion(segments, "toy")
    assert (
        "half of the 5 phones last less than 50 ms; 20% are shorter than one frame of 20 ms, 40% than one of 40 ms"
        in text
    )
    assert "80% than one of 80 ms" in text
    assert "no phone has a time" in sentences.extraction_conclusion(segments.assign(unit="frame20"), "toy")


def difference(condition: str, value: float, *, view: str = "word", trained: bool = True, against: str = "") -> dict:
    against = against or condition.replace("multi", "mono")
    return {"model": f"x/{condition}-0", "condition": condition, "against": f"x/{against}-0", "against_condition": against,
            "view": view, "value": value, "low": value - 0.01, "high": value + 0.02, "trained": trained, "n": 20}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.05, "is higher with words (+0.050 [+0.040, +0.070]; MR-HuBERT without aux. loss less 20 ms control)"),
     (-0.05, "is lower with words (-0.050"), (0.005, "is not shown to differ with words (+0.005")],
)  # fmt: skip
def test_the_second_chapter_ends_with_the_paired_difference_that_it_shows(value, said):
    rows = [difference("multi", value), difference("multi", value, view="phone"), difference("multi+aux", 0.9),
            difference("mono+aux", 0.8, against="mono")]  # fmt: skip
    text = contrasts.cca_conclusion(pd.DataFrame(rows), "toy")
    assert said in text
    assert text.startswith("**In this run (toy speech)**")
    assert "in CCA." in text
    assert "another training run could differ" in text
    assert "untrained" not in text
    assert "0.9" not in text


def test_chapters_compare_only_what_differs_in_resolution_alone():
    alone = contrasts.mutual_information_conclusion(pd.DataFrame([difference("multi+aux", 0.1)]), "toy")
    assert "is higher with words (+0.100" in alone
    assert "normalized mutual information" in alone
    other = pd.DataFrame([difference("multi+aux", 0.1, against="hubert")])
    assert "no two models that differ in their resolution alone" in contrasts.mutual_information_conclusion(
        other, "toy"
    )
    random = pd.DataFrame([difference("multi", 0.1, trained=False)])
    assert "These models are untrained." in contrasts.cca_conclusion(random, "toy")


def tables(verdicts=("nothing to attribute at this scale", "supports"), *, gain="no gain shown", interest=0.03):
    effects = pd.DataFrame([
        {"outcome": outcome, "score": name, "group": group, "primary": True, "estimand": key, "effect": PLAN.estimand(key).name,
         "value": 0.001, "low": -0.01, "high": 0.012, "interest": interest, "n": 6, "flagged": key == "downsampling",
         "region": "equivalent", "decided": gain if key == "control" else "equivalent"}
        for outcome, name, group in (("phone_classification", "phone classification", "tasks"), ("word_cca", "word CCA", "words"))
        for key in ("control", "difference", "downsampling")
    ])  # fmt: skip
    gate = pd.DataFrame({
        "condition": ["mono", "multi"], "above": [0.15, 0.11], "baseline_name": ["mfcc", "mel"], "beats": [True, True],
        "flattened": [True, True], "carries": [True, True],
    })  # fmt: skip
    training = pd.DataFrame({"condition": "mono", "seed": range(6)})
    claims = pd.DataFrame({"claim": [1, 2], "verdict": verdicts})
    return ExperimentTables("toy", pd.DataFrame(), training, effects, gate, pd.DataFrame(), claims, {})


def test_the_experiment_is_told_by_gates_verdicts_and_effects():
    text = sentences.experiment(tables())
    assert text.startswith(
        "**Toy speech.** All conditions learned enough to be compared: the smallest lead is +0.110 (MR-HuBERT"
    )
    assert "MR-HuBERT is shown to be above HuBERT on no task (phone classification +0.001 [-0.010, +0.012])" in text
    assert "**Claim 1: nothing to attribute at this scale.**" in text
    assert "word CCA +0.001 [-0.010, +0.012], equivalent at ±0.030" in text
    assert "Untrained models show an effect of downsampling too on phone classification, word CCA." in text
    assert "on phone classification (" in sentences.experiment(tables(gain="gain"))
    assert "no size is of interest" in sentences.experiment(tables(interest=float("nan")))
    weak = tables()
    weak.carries.loc[0, ["beats", "carries"]] = False
    assert (
        "did not learn enough to be compared** (too little above the baselines in 20 ms control;"
        in sentences.experiment(weak)
    )


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [(("supports", "supports"), "comes from the auxiliary loss rather than"),
     (("contradicts", "contradicts"), "does not come from the auxiliary loss rather than from the downsampling; and downsampling brings a gain."),
     (("leaves open", "leaves open"), "is left open; and whether downsampling brings a gain is left open."),
     (("not tested", "not tested"), "could not be tested; and whether downsampling brings a gain could not be tested."),
     (("neither switch dominates", "supports"), "contribute alike"),
     (("nothing to attribute at this scale", "supports"), "no gain to attribute; and downsampling brings no gain of interest")],
)  # fmt: skip
def test_the_finding_is_one_sentence_that_follows_the_verdicts(verdicts, words):
    text = sentences.downstream_conclusion([tables(verdicts)])
    assert text.startswith("On toy speech, with 6 seeds of each condition, ")
    assert words in text
    assert text.count(". ") == 0


def test_the_finding_says_what_the_loss_does_to_words_where_all_outcomes_agree():
    found = tables()
    row = found.effects[found.effects["group"].eq("words")].iloc[0]
    shown = {"estimand": "auxiliary", "region": "superior", "value": 0.05, "low": 0.04, "high": 0.06}
    grown = pd.DataFrame([{**row, **shown}, {**row, **shown, "score": "word MI, middle block"}])
    text = sentences.finding(replace(found, effects=pd.concat([found.effects, grown])))
    assert "The auxiliary loss raises what the middle layers say about words" in text
    assert "(word CCA +0.050 [+0.040, +0.060], word MI +0.050 [+0.040, +0.060])" in text
    grown.loc[1, "region"] = "undecided"
    assert "raises" not in sentences.finding(replace(found, effects=pd.concat([found.effects, grown])))


def test_the_models_of_the_experiment_are_said_to_be_small():
    size = {"targets": {"model": "transformers:whisper-base-encoder", "layer": "encoder.0.3"}}
    found = replace(tables(), source={"corpus_hours": 6.9, "parameters": {"size": size}})
    text = sentences.small_models(found)
    assert (
        "on 6.9 hours of speech to predict units of whisper-base-encoder, encoder.0.3; they are not the paper's" in text
    )
    assert "clusters of MFCC" in sentences.small_models(tables())


def test_a_model_that_does_worse_is_said_to():
    found = tables()
    found.effects.loc[found.effects["estimand"].eq("control"), ["value", "low", "high"]] = [-0.03, -0.04, -0.02]
    assert "MR-HuBERT does worse than HuBERT (phone classification, -0.030 [-0.040, -0.020])" in sentences.finding(
        found
    )


def test_published_checkpoints_are_described_with_what_they_cannot_show():
    rows = [
        {"outcome": "word_cca", "score": "word CCA", "primary": True, "estimand": key, "value": 0.02, "low": 0.01, "high": 0.03}
        for key in ("loss_at_40", "control")
    ]  # fmt: skip
    text = sentences.published(pd.DataFrame(rows))
    assert "`mono_base` (MR-HuBERT) less `b4-a` (MR-HuBERT without aux. loss): word CCA +0.020 [+0.010, +0.030]" in text
    assert "`mono_base` (MR-HuBERT) less `hubert_base` (HuBERT)" in text
    assert "second-iteration" in text
    assert "no verdict" in text


def test_middle_layers_are_averaged_by_corpus_with_their_baselines():
    rows = [
        {"condition": condition, "seed": 0, "layer": block, "layer_index": depth, "block": block, "frame_period": 0.02,
         "form": form, "labels": labels, "correct": correct, "total": 100.0, "outcome": "word_cca", "role": "test",
         "speaker": "a"}
        for condition, depth, block, form, labels, correct in [
            ("mono", 1, "middle", "averaged", "true", 20.0), ("mono+aux", 1, "middle", "averaged", "true", 40.0),
            ("mono", 1, "middle", "decimated", "true", 99.0), ("multi", 1, "middle", "native", "true", 10.0),
            ("multi", 0, "encoder.0", "averaged", "true", 90.0), ("untrained multi", 1, "middle", "native", "true", 5.0),
            ("multi", 1, "middle", "native", "shuffled", 1.0),
        ]
    ]  # fmt: skip
    nothing = pd.DataFrame()
    tables = ExperimentTables("LibriSpeech", pd.DataFrame(rows), nothing, nothing, nothing, nothing, nothing, {})
    text = sentences.outcome_layers([tables], "word_cca")
    assert (
        "on LibriSpeech 20 ms control 0.200, 20 ms control + aux. loss 0.400, MR-HuBERT without aux. loss 0.100 ("
        in text
    )
    assert "best layer of all 0.900, untrained at most 0.050, shuffled labels at most 0.010" in text
    alone = ExperimentTables("LibriSpeech", pd.DataFrame(rows[:2]), *(nothing,) * 5, {})
    assert "No experiment" in sentences.outcome_layers([alone], "word_cca")
