"""A folder for a paper: every table and figure, in forms that other programs read."""

import json
import logging
import re
import resource
import signal
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from multires.book import paper
from multires.book.paper import STAGES, report
from multires.errors import MultiresError, TooLittleSpeech
from multires.report.export import FORMATS, SECTIONS, Section
from multires.results import Result


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns")
def test_every_section_is_written_in_every_form(run, tmp_path):
    index = report(run, tmp_path / "deep" / "paper")
    place = index.parent
    told = index.read_text()
    assert set(re.findall(r"\]\((.*?)\)", told)) == {path.name for path in place.iterdir()} - {"index.md"}
    for name, section in SECTIONS.items():
        table = STAGES[name](run).table
        kept = pd.read_csv(place / f"{name}.csv")
        assert len(kept) == len(table)
        np.testing.assert_allclose(kept["value"], table["value"].astype(float), rtol=1e-12)
        source = json.loads((place / f"{name}.json").read_text())
        assert source["profile"] == "synthetic"
        assert source["rows"] == len(table)
        assert section.title.split(",")[0] in told
        tex = (place / f"{name}.tex").read_text()
        assert tex.count("\\\\\n") == len(section.condense(table)) + 1  # the heading is a row too
        for figure in section.figures:
            assert (place / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
            assert ElementTree.parse(place / f"{figure}.svg").getroot().tag.endswith("svg")
    written = (place / "claims.tex").read_text()
    for verdict in STAGES["claims"](run).table["verdict"].unique():
        assert verdict in written


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns")
def test_parts_of_a_report_and_the_same_file_twice(run, tmp_path):
    first = report(run, tmp_path / "one", formats=["svg"], only=["mutual-information"]).parent
    assert sorted(path.name for path in first.iterdir()) == ["index.md", "mutual-information.svg"]
    second = report(run, tmp_path / "two", formats=["pdf", "csv"], only=["mutual-information"]).parent
    third = report(run, tmp_path / "three", formats=["pdf", "csv"], only=["mutual-information"]).parent
    for path in second.iterdir():
        assert path.read_bytes() == (third / path.name).read_bytes(), path.name


def test_what_a_report_cannot_do_is_said(run, tmp_path):
    with pytest.raises(MultiresError, match=f"unknown format 'docx': choose one of {', '.join(FORMATS)}"):
        report(run, tmp_path, formats=["docx"])
    with pytest.raises(MultiresError, match=r"unknown section 'poems'.*: choose one of extraction, cca"):
        report(run, tmp_path, only=["poems"])
    (tmp_path / "file").touch()
    with pytest.raises(MultiresError, match=r"cannot write the report to .*file"):
        report(run, tmp_path / "file" / "below", only=["claims"])


def test_on_a_full_disk_each_file_of_a_report_is_whole_or_as_it_was(tmp_path, monkeypatch):
    """Past a limit on file size the kernel refuses to write, as it does on a full disk."""
    table = pd.DataFrame({"model": ["multi"] * 5_000, "value": np.random.default_rng(0).random(5_000)})
    result = Result(table, {"profile": "synthetic"}, tmp_path / "table.parquet")

    def draw(shown, *_names):
        figure = Figure()
        figure.subplots().plot(shown["value"])
        return figure

    section = Section("Scores", {"scores": draw}, lambda given: given.head(3))
    monkeypatch.setattr(paper, "SECTIONS", {"scores": section})
    monkeypatch.setattr(paper, "STAGES", {"scores": lambda _: result})
    named = SimpleNamespace(profile=SimpleNamespace(name="synthetic", models=("multi",)), seed=0, progress=False)
    named.corpus = SimpleNamespace(name="synthetic")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for kind in FORMATS:
        place = tmp_path / kind
        report(named, place, formats=[kind])
        before = {path.name: path.read_bytes() for path in place.iterdir()}
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
            with pytest.raises(MultiresError, match=rf"cannot write .*scores\.{kind}: there is no room"):
                report(named, place, formats=[kind])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    signal.signal(signal.SIGXFSZ, handler)


def test_sections_that_the_speech_is_too_little_for_are_left_out_with_the_reason(tmp_path, monkeypatch, caplog):
    result = Result(pd.DataFrame({"model": ["multi"], "value": [0.5]}), {}, tmp_path / "table.parquet")

    def too_little(_):
        raise TooLittleSpeech("probes: corpus <b> has one speaker: give more")

    made = Section("Scores", {}, lambda given: given)
    left = Section("Probes", {}, lambda given: given)
    monkeypatch.setattr(paper, "SECTIONS", {"scores": made, "probes": left})
    monkeypatch.setattr(paper, "STAGES", {"scores": lambda _: result, "probes": too_little})
    named = SimpleNamespace(profile=SimpleNamespace(name="folder", models=("multi",)), seed=0, progress=False)
    named.corpus = SimpleNamespace(name="folder")
    caplog.set_level(logging.INFO)
    text = report(named, tmp_path / "paper", formats=["csv"]).read_text()
    assert "- [scores.csv](scores.csv)" in text
    assert "## Probes\n\nLeft out: probes: corpus &#60;b&#62; has one speaker: give more." in text
    assert "probes is left out: probes: corpus <b> has one speaker" in caplog.text
    with pytest.raises(TooLittleSpeech, match="has one speaker"):
        report(named, tmp_path / "nothing", formats=["csv"], only=["probes"])
    assert list((tmp_path / "nothing").iterdir()) == []


def test_every_section_has_a_stage_in_reading_order():
    assert list(STAGES) == list(SECTIONS)
