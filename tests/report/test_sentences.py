"""Sentences on small tables: the numbers in them are those of the table."""

import pandas as pd
import pytest

from multires.corpus.utterance import Corpus
from multires.experiment import statistics
from multires.experiment.tables import ExperimentTables
from multires.report import sentences
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


def test_cca_names_the_best_layer_and_the_contrast():
    text = sentences.cca(cca_table())
    assert "words at `encoder.0.1` of multi (0.47 [0.46, 0.49], chance at most 0.07)" in text
    assert "log-mel at `encoder.0.0` of mono (0.64" in text
    assert "(multi) less the best without (mono): +0.050" in text
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
    alone = sentences.cca(table[table["condition"] == "multi"])
    assert "less the best" not in alone


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
    assert "`encoder.0.0` of multi tell most about words (0.30 [0.29, 0.32] adjusted; MFCC 0.25)" in text
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
        "word: `encoder.0.1` of mono at 0.60 [0.59, 0.62] (log-mel 0.40; most frequent label 0.15; n = 1,234)" in text
    )
    assert "too little labelled speech to probe phone or speaker" in text
    assert "+0.030 for word" in sentences.weighted_sums(table)


def test_extraction_names_the_widest_and_narrowest_layer():
    table = tidy([row("mono", layer, value, measure="participation ratio") for layer, value in ((0, 3.0), (1, 12.5))])
    text = sentences.extraction(table)
    assert "mono is widest at `encoder.0.1` (12.5 directions) and narrowest at `encoder.0.0` (3.0)" in text


def test_agreement_is_a_rank_correlation_where_there_is_one():
    table = pd.DataFrame({"view": "phone", "measure": "CCA", "value": [1, 2, 3, 4], "accuracy": [0.1, 0.3, 0.2, 0.4]})
    assert "0.80 for CCA and phones (4 layers)" in sentences.agreement(table)
    assert "nan for CCA and phones (1 layers)" in sentences.agreement(table.iloc[:1])
    assert sentences.rank_correlation(table.assign(value=1)) != sentences.rank_correlation(table.assign(value=1))


def test_models_are_named_with_their_training():
    assert sentences.models(cca_table()) == "untrained models (mono-small, multi-small)"
    assert sentences.models(cca_table(trained=True)) == "untrained/mono-small, untrained/multi-small"
    mixed = cca_table()
    mixed["trained"] = mixed["condition"] == "multi"
    assert sentences.models(mixed) == "untrained/multi-small; untrained: mono-small"
    many = pd.concat(
        [cca_table(trained=True).assign(model=f"embedded/{name}-0") for name in ("mono", "mono+aux", "multi")]
    )
    assert sentences.models(many) == "embedded/{mono, mono+aux, multi}-0"


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


@pytest.mark.parametrize(
    ("multi", "said"),
    [(0.47, "is higher with words (+0.050, 95 % interval"), (0.37, "is lower with words (-0.050"), (0.425, "is not shown to differ with words (+0.005")],
)  # fmt: skip
def test_the_second_chapter_ends_with_what_the_interval_allows(multi, said):
    table = tidy([row("mono", 1, 0.42), row("multi", 1, multi), row("multi", 0, 0.9, measure="shuffled"),
                  row("multi", 1, 0.99, trial=0)])  # fmt: skip
    text = sentences.cca_conclusion(table, "toy")
    assert said in text
    assert text.startswith("**In this run (toy speech; untrained models (mono-small, multi-small))**")
    assert text.endswith("in CCA.")


def test_the_chapters_compare_what_differs_in_resolution_alone():
    rows = [row("mono+aux", 1, 0.42), row("multi+aux", 1, 0.52), row("hubert", 1, 0.9)]
    rows = [{**each, "measure": "adjusted", "view": view} for each in rows for view in ("word", "phone")]
    text = sentences.mutual_information_conclusion(tidy(rows), "toy")
    assert "is higher with words (+0.100" in text
    assert "and is higher with phones (+0.100" in text
    alone = sentences.mutual_information_conclusion(tidy(rows[-2:]), "toy")
    assert "no two models that differ in their resolution alone" in alone


def test_the_fifth_chapter_ends_with_the_switches_on_every_corpus():
    effects = pd.DataFrame({
        "score": statistics.TASKS, "effect": ["auxiliary loss", "downsampling", "interaction"],
        "value": [0.05, -0.01, 0.0], "low": [0.04, -0.03, -0.1], "high": [0.06, 0.01, 0.1],
    })  # fmt: skip
    empty = pd.DataFrame()
    sound = ExperimentTables("toy", empty, empty, effects, pd.DataFrame({"carries": [True, True]}), {})
    weak = ExperimentTables("other", empty, empty, effects, pd.DataFrame({"carries": [True, False]}), {})
    text = sentences.downstream_conclusion([sound, weak])
    said = "the auxiliary loss changes it by +0.050 (+0.040 to +0.060) and the downsampling changes it by -0.010 (-0.030 to +0.010)"
    assert f"on toy speech {said};" in text
    assert text.endswith(f"on other speech {said}, in models that do not carry the experiment.")
    none = ExperimentTables("toy", empty, empty, effects.iloc[:0], pd.DataFrame({"carries": [True]}), {})
    assert "no seed has all the conditions" in sentences.downstream_conclusion([none])


def test_middle_layers_are_averaged_by_corpus_with_their_baselines():
    rows = [
        {"model": f"{condition}/0", "condition": condition, "layer_index": depth, "block": block, "trained": trained,
         "measure": measure, "stage": "cca", "view": "word", "trial": None, "value": value}
        for condition, trained, depth, block, measure, value in [
            ("mono", True, 1, "middle", "pwcca", 0.2), ("mono+aux", True, 1, "middle", "pwcca", 0.4),
            ("multi", True, 1, "middle", "pwcca", 0.1), ("multi", True, 0, "encoder.0", "pwcca", 0.9),
            ("untrained multi", False, 1, "middle", "pwcca", 0.05), ("multi", True, 1, "middle", "shuffled", 0.01),
        ]
    ]  # fmt: skip
    nothing = pd.DataFrame()
    tables = ExperimentTables("embedded", pd.DataFrame(rows), nothing, nothing, nothing, {})
    text = sentences.layers_by_corpus([tables], stage="cca", measure="pwcca", shuffled="shuffled", name="CCA")
    assert "on embedded speech with words 0.10 and 0.30" in text
    assert "best layer of all 0.90, untrained at most 0.05, shuffled at most 0.01" in text
    alone = ExperimentTables("embedded", pd.DataFrame(rows[:2]), nothing, nothing, nothing, {})
    assert "No experiment" in sentences.layers_by_corpus(
        [alone], stage="cca", measure="pwcca", shuffled="shuffled", name="CCA"
    )
