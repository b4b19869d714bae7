import matplotlib.image
import pandas as pd
import pytest
from matplotlib.figure import Figure

from multires.book.landing import verdict_markdown, write_landing
from multires.errors import MultiresError

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
    text = verdict_markdown(SUMMARY, "embedded speech; untrained models (mono-small)")
    lines = text.splitlines()
    assert lines[0] == "**embedded speech; untrained models (mono-small)**"
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
