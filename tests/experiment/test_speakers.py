"""Scores by speaker, on speech whose every sample says which phone it belongs to."""

import numpy as np
import pandas as pd
import pytest
import torch

from multires.corpus.utterance import SAMPLE_RATE, Segment, Utterance
from multires.errors import MultiresError
from multires.experiment import speakers
from multires.experiment.analysis import SCORE_COLUMNS, analyze
from multires.experiment.plan import CONDITIONS, PLAN, REFERENCES
from multires.models.layers import Layer, LayeredModel, LayerOutputs

pytestmark = pytest.mark.slow

PHONES = ("a", "b", "c", "d")
WORDS = {"ab": "ab", "cd": "cd", "bad": "bad", "cab": "cab", "dad": "dad", "abc": "abc"}
FAST = speakers.Settings(windows=600, clusters=6, steps=(20, 40))


def speak(speaker: str, number: int, rng: np.random.Generator) -> Utterance:
    """A few words; the amplitude of a sample is that of its phone."""
    words, phones, audio, time = [], [], [np.zeros(800)], 0.05
    for word in rng.choice(list(WORDS), 6):
        start = time
        for phone in WORDS[word]:
            length = float(rng.choice([0.06, 0.1]))
            phones.append(Segment(phone, round(time, 4), round(time + length, 4)))
            audio.append(np.full(round(length * SAMPLE_RATE), 0.2 * (PHONES.index(phone) + 1)))
            time += length
        words.append(Segment(str(word), round(start, 4), round(time, 4)))
    samples = np.concatenate([*audio, np.zeros(1600)]).astype(np.float32)
    return Utterance(f"{speaker}-{number}", speaker, "test", len(samples) / SAMPLE_RATE, lambda: samples,
                     phones=tuple(phones), words=tuple(words))  # fmt: skip


class Codes(LayeredModel):
    """Layers that hold the phone of each 20 ms, that of every second frame, or noise only."""

    key, description, trained = "codes", "test", True

    def __init__(self, noise: float = 0.1) -> None:
        super().__init__()
        self.noise = noise

    @property
    def layers(self):
        return (
            Layer("input", "input", "input", 0, 0.02, 8, 0.01),
            Layer("encoder.0.0", "E1", "encoder.0", 1, 0.02, 8, 0.01),
            Layer("middle.0", "M1", "middle", 2, 0.04, 8, 0.01),
            Layer("decoder.0.0", "D1", "decoder.0", 3, 0.02, 8, 0.01),
        )

    def forward(self, waveforms, lengths=None):
        means = waveforms.unfold(1, 320, 320).mean(-1)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn((*means.shape, 8), generator=generator)
        code = torch.cos(means[..., None] * torch.arange(1, 9) * 2)
        fine = code + self.noise * noise
        frames = {"input": code, "encoder.0.0": fine, "middle.0": fine[:, ::2], "decoder.0.0": noise}
        return LayerOutputs(frames, {name: torch.full((len(means),), each.shape[1]) for name, each in frames.items()})


@pytest.fixture(scope="module")
def speech():
    rng = np.random.default_rng(0)
    return {
        role: [speak(f"{role}{i}", number, rng) for i in range(count) for number in range(each)]
        for role, count, each in (("fit", 5, 4), ("development", 8, 1), ("test", 9, 1))
    }


@pytest.fixture(scope="module")
def table(speech, tmp_path_factory):
    return speakers.score_model(
        Codes(), speech, condition="mono", seed=3, folder=tmp_path_factory.mktemp("scores"), settings=FAST
    )


def share(rows: pd.DataFrame) -> float:
    return float(rows["correct"].sum() / rows["total"].sum())


def test_every_outcome_has_a_row_for_every_layer_and_speaker(table, speech):
    assert set(SCORE_COLUMNS) <= set(table.columns)
    assert set(table["outcome"]) == {each.key for each in PLAN.outcomes}
    assert set(table["role"]) == {"development", "test"}
    assert "input" not in set(table["layer"])
    phones = table[(table["outcome"] == "phone_classification") & (table["labels"] == "true")]
    assert len(phones) == 3 * (8 + 9)
    words = table[
        (table["outcome"] == "word_classification") & (table["labels"] == "true") & (table["layer"] == "middle.0")
    ]
    said = pd.Series([u.speaker for u in speech["test"] for _ in u.words]).value_counts()
    assert words[words["role"] == "test"].set_index("speaker")["total"].to_dict() == said.to_dict()
    assert set(zip(table["condition"], table["seed"], strict=True)) == {("mono", 3)}


@pytest.mark.parametrize(
    ("outcome", "least", "noise"),
    [("phone_classification", 0.9, 0.5), ("word_classification", 0.8, 0.5), ("phone_abx", 0.8, 0.65),
     ("word_cca", 0.5, 0.3), ("word_information", 0.5, 0.2)],
)  # fmt: skip
def test_layers_that_hold_the_phones_score_above_noise_and_shuffled_labels(table, outcome, least, noise):
    rows = table[(table["outcome"] == outcome) & (table["role"] == "test") & table["form"].ne("decimated")]
    true = rows[rows["labels"] == "true"]
    scores = {layer: share(part) for layer, part in true.groupby("layer")}
    assert scores["encoder.0.0"] > least
    assert scores["middle.0"] > least - 0.15
    assert scores["decoder.0.0"] < noise
    if outcome != "phone_abx":
        assert share(rows[rows["labels"].eq("shuffled") & rows["layer"].eq("encoder.0.0")]) < noise


def test_recognition_counts_its_edits_apart(table):
    rows = table[(table["outcome"] == "phone_recognition") & (table["role"] == "test")]
    edits = rows[["insertions", "deletions", "substitutions"]].sum(axis=1)
    np.testing.assert_allclose(rows["correct"], rows["total"] - edits)
    assert set(rows["layer"]) == {"weighted sum"}
    assert set(rows["steps"]) <= set(FAST.steps)


def test_words_are_judged_in_both_forms_and_in_the_middle_block_only(table):
    rows = table[table["outcome"] == "word_information"]
    forms = {(layer, form) for layer, form in zip(rows["layer"], rows["form"], strict=True)}
    fine = {(layer, form) for layer in ("encoder.0.0", "decoder.0.0") for form in ("averaged", "decimated")}
    assert forms == {*fine, ("middle.0", "native")}
    assert set(rows.loc[rows["candidate"], "layer"]) == {"middle.0"}


def test_tables_that_are_there_are_not_made_again(table, speech, tmp_path, monkeypatch):
    for outcome, part in table.groupby("outcome"):
        part.to_parquet(tmp_path / f"mono-3-{outcome}.parquet")
    monkeypatch.setattr(speakers, "_listen", None)
    again = speakers.score_model(Codes(), speech, condition="mono", seed=3, folder=tmp_path, settings=FAST)
    assert len(again) == len(table)


def test_speech_without_alignments_is_refused(speech, tmp_path):
    bare = [Utterance("x", "x", "test", 1.0, lambda: np.zeros(16000, np.float32))]
    with pytest.raises(MultiresError, match="no utterance of the test speakers"):
        speakers.score_model(
            Codes(), {**speech, "test": bare}, condition="mono", seed=0, folder=tmp_path, settings=FAST
        )


def copies(table: pd.DataFrame) -> pd.DataFrame:
    """Every model of an experiment with three seeds: better with the loss, worse without training."""
    parts = []
    rng = np.random.default_rng(0)
    for name in (*CONDITIONS, *REFERENCES):
        for seed in range(3 if name in CONDITIONS else 1):
            gain = {"+aux": 0.1}.get(name[-4:], 0.0) if name in CONDITIONS else -0.4
            noise = rng.normal(0, 0.002, len(table))
            correct = table["correct"] * 0.8 + (gain + noise) * table["total"]
            parts.append(table.assign(condition=name, seed=seed, correct=correct))
    return pd.concat(parts, ignore_index=True)


def log() -> pd.DataFrame:
    steps = np.arange(1, 21) * 100
    return pd.concat([
        pd.DataFrame({"condition": name, "seed": 0, "step": steps, "part": "held out", "resolution": 0, "loss": 4 * 0.7 ** np.arange(20)})
        for name in CONDITIONS
    ])  # fmt: skip


def test_scores_go_through_the_whole_analysis(table):
    found = analyze(copies(table), log())
    assert found.claims["verdict"].tolist() == ["supports", "supports"]
    assert found.learned["carries"].all()
    places = found.chosen.set_index(["outcome", "condition"])
    assert places.loc[("word_cca", "multi"), "layer"] == "middle.0"
    assert places.loc[("phone_classification", "multi"), "layer"] != "decoder.0.0"
    rows = found.effects.set_index(["outcome", "estimand"])
    row = rows.loc[("phone_classification", "auxiliary")]
    assert row["value"] == pytest.approx(0.1, abs=0.005)
    assert row["interest"] == pytest.approx(0.2 * 0.4, abs=0.01)
    assert (row["n"], row["speakers"], row["left_out"]) == (3, 9, 0)
    assert rows.loc[("phone_classification", "downsampling"), "decided"] == "equivalent"


def test_a_model_without_gain_leaves_nothing_to_attribute(table):
    flat = copies(table)
    hubert = flat[flat["condition"] == "hubert"]
    for name in ("mono+aux", "multi+aux"):
        flat.loc[flat["condition"] == name, "correct"] = hubert["correct"].to_numpy()
    found = analyze(flat, log())
    assert found.claims["verdict"].tolist() == ["nothing to attribute at this scale", "supports"]


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda t: t.drop(columns="role"), "no column role"),
     (lambda t: t[t["outcome"] != "phone_classification"], "first gate needs it"),
     (lambda t: t.drop(index=t.index[(t["condition"] == "multi") & (t["outcome"] == "word_cca") & t["candidate"] & (t["labels"] == "true")][:1]), "scores where"),
     (lambda t: t.assign(total=t["total"] + (t["condition"] == "multi")), "different items"),
     (lambda t: t[~((t["condition"] == "multi") & (t["seed"] < 2) | (t["condition"] == "mono") & (t["seed"] == 2))], "no seed")],
)  # fmt: skip
def test_incomplete_scores_are_refused(table, change, words):
    with pytest.raises(MultiresError, match=words):
        analyze(change(copies(table)), log())


def test_a_seed_that_one_condition_lacks_is_left_out(table):
    scores = copies(table)
    more = scores[scores["condition"].eq("mono") & scores["seed"].eq(0)].assign(seed=7)
    found = analyze(pd.concat([scores, more], ignore_index=True), log())
    assert set(found.effects["left_out"]) == {1}
