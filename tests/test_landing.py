import matplotlib.image
import pandas as pd
import pytest
from matplotlib.figure import Figure

from multires.errors import MultiresError
from multires.landing import verdict_markdown, write_landing

SUMMARY = pd.DataFrame({
    "claim": [1, 2], "title": ["It helps.", "It is cheap."], "verdict": ["supports", "leaves open"],
    "sentence": ["By +0.100.", "It takes 0.82."], "chapter": ["05_downstream", "04_efficiency"],
})  # fmt: skip


def drawn() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    return figure


def test_verdicts_are_a_table_with_a_row_and_a_link_for_every_claim():
    text = verdict_markdown(SUMMARY, "embedded speech; untrained models (mono-small)")
    lines = text.splitlines()
    assert lines[0] == "**embedded speech; untrained models (mono-small)**"
    assert all(line.count("|") == 4 for line in lines[2:])
    assert len(lines) == 6
    assert "| It helps. | **supports** | By +0.100. " in lines[4]
    assert "](/notebooks/05_downstream)" in lines[4]
    assert "](/notebooks/04_efficiency)" in lines[5]
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
