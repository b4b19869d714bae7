import matplotlib.image
import pandas as pd
import pytest
from matplotlib.figure import Figure

from multires.book.landing import VERDICTS, cards, landing_markdown, verdict_markdown, write_landing
from multires.errors import MultiresError
from multires.experiment.decisions import CONTRADICTS, NEITHER, NOTHING, OPEN, SUPPORTS, UNTESTED
from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables
from multires.report.verdicts import CLAIMS, judge_experiment

SUMMARY = pd.DataFrame({
    "source": ["this run", "experiment", "this run", "experiment"], "claim": [1, 1, 3, 2],
    "title": ["It helps.", "It helps.", "It is cheap.", "It does not."],
    "verdict": ["supports", "leaves open", "supports", "not tested"],
    "evidence": ["loss: words", "loss: tasks", "time", "words"], "value": [0.1, 0.02, 0.82, float("nan")],
    "low": [0.05, float("nan"), 0.8, float("nan")], "high": [0.15, float("nan"), 0.84, float("nan")],
    "sentence": ["By +0.100.", "One seed.", "It takes 0.82.", "No word."],
    "chapter": ["05_downstream", "05_downstream", "04_efficiency", "05_downstream"],
})  # fmt: skip


def drawn() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    return figure


def test_verdicts_are_a_table_with_a_row_and_a_link_for_every_claim_and_source():
    text = verdict_markdown(SUMMARY, "LibriSpeech sample speech; untrained models (mono-small)")
    lines = text.splitlines()
    assert lines[0] == "**LibriSpeech sample speech; untrained models (mono-small)**"
    assert all(line.count("|") == 5 for line in lines[2:])
    assert len(lines) == 8
    assert lines[4].startswith("| It helps. | this run | loss: words: +0.100 [+0.050, +0.150] | **supports**")
    assert lines[5].startswith("|  | experiment | loss: tasks: +0.020 | **leaves open**")
    assert lines[6].startswith("| It does not. | experiment | No word. | **not tested**")
    assert "time: 0.82 [0.80, 0.84]" in lines[7]
    assert "](/notebooks/05_downstream)" in lines[4]
    assert "](/notebooks/04_efficiency)" in lines[7]
    assert "](" not in verdict_markdown(SUMMARY, "x", linked=False)


def test_the_builder_finds_three_files(tmp_path):
    folder = tmp_path / "deep" / "book"
    write_landing(folder, "**x**\n", drawn(), "Effects: −0.1")
    assert sorted(file.name for file in folder.iterdir()) == ["headline.png", "headline_alt.txt", "verdicts.md"]
    assert (folder / "headline_alt.txt").read_text(encoding="utf-8") == "Effects: −0.1"
    assert (folder / "verdicts.md").read_text(encoding="utf-8") == "**x**\n"
    assert matplotlib.image.imread(folder / "headline.png").std() > 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(MultiresError, match=r"cannot write .*file.*choose another workspace"):
        write_landing(blocked / "book", "", drawn(), "")


def experiment(claim_1: str = OPEN, claim_2: str = OPEN, *, corpus: str = "LibriSpeech") -> ExperimentTables:
    effects = pd.DataFrame([
        {"outcome": "phone_classification", "score": "phone classification", "group": "tasks", "primary": True,
         "estimand": each.key, "effect": each.name, "value": 0.01, "low": -0.02, "high": 0.04, "interest": 0.03, "n": 6,
         "region": "undecided", "decided": "undecided", "flagged": False}
        for each in PLAN.estimands
    ])  # fmt: skip
    training = pd.DataFrame(
        {"condition": ["hubert", "mono"] * 6, "seed": [seed // 2 for seed in range(12)], "step": 500}
    )
    claims = pd.DataFrame({"claim": [1, 2], "verdict": [claim_1, claim_2]})
    gate = pd.DataFrame({"carries": [True]})
    return ExperimentTables(
        corpus, pd.DataFrame(), training, effects, gate, pd.DataFrame(), claims, {"corpus_hours": 7.0}
    )


def judged(*experiments: ExperimentTables) -> pd.DataFrame:
    cost = {"claim": 3, "title": CLAIMS[3], "source": "this run", "primary": True, "evidence": "time, 30 s", "value": 0.82,
            "low": 0.8, "high": 0.84, "n": 9, "verdict": SUPPORTS, "conclusion": SUPPORTS, "sentence": "It takes 0.82."}  # fmt: skip
    return pd.concat([*(judge_experiment(each) for each in experiments), pd.DataFrame([cost])], ignore_index=True)


@pytest.mark.parametrize("first", [SUPPORTS, CONTRADICTS, NEITHER, OPEN, NOTHING, UNTESTED])
@pytest.mark.parametrize("second", [SUPPORTS, CONTRADICTS, OPEN, UNTESTED])
def test_cards_begin_with_the_verdict_whatever_it_is(first, second):
    found = experiment(first, second)
    text = cards(judged(found), [found])
    told = [block.split("**")[1] for block in text.split(":::{grid-item-card}")[1:]]
    assert told == [VERDICTS[first], VERDICTS[second], "Supported"]
    assert text.count("[-0.020, +0.040]") == 2
    assert "0.82 [0.80, 0.84]" in text
    assert text.count(":link: /notebooks/") == 3


def test_real_speech_leads_and_other_verdicts_stand_below():
    synthetic, real = experiment(corpus="synthetic"), experiment(NOTHING, UNTESTED)
    text = landing_markdown(judged(synthetic, real), [real, synthetic])
    assert "**Nothing to attribute at this scale**" in text
    assert "Synthetic speech: leaves open" in text
    assert "On LibriSpeech, MR-HuBERT is not shown to be better than HuBERT" in text
    assert "mono+aux" not in text


def test_a_version_without_an_experiment_says_so():
    text = landing_markdown(judged(), [])
    assert "cannot say which of the two it is" in text
    assert "<figure" not in text
    assert "**Supported**" in text
