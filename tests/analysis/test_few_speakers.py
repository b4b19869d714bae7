"""Corpora of few speakers give every table that they can, and the others' reasons."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import soundfile

from multires.analysis import stages
from multires.analysis.run import open_run
from multires.corpus import load_corpus
from multires.errors import MultiresError, TooLittleSpeech

HELD_OUT = ("mutual_information", "probes", "frame_units", "layer_similarity", "agreement", "resolution")
"""Stages that evaluate on other speakers than they fit to."""

TABLES = ("extraction", "cca", "cca_variants", "cca_grouping", *HELD_OUT)


def textgrid(utterance) -> str:
    tiers = []
    for name in ("words", "phones"):
        segments = getattr(utterance, name)
        rows = " ".join(f'xmin = {s.start} xmax = {s.end} text = "{s.label}"' for s in segments)
        tiers.append(
            f'class = "IntervalTier" name = "{name}" xmin = 0 xmax = {utterance.duration} intervals: size = {len(segments)} {rows}'
        )
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n'
    return f"{head}xmin = 0\nxmax = {utterance.duration}\ntiers? <exists>\nsize = 2\nitem []: {' '.join(tiers)}\n"


@pytest.fixture(scope="module")
def utterances():
    return list(islice(load_corpus("synthetic", hours=0.12, limit=24, progress=False), 24))


def opened(folder, utterances, speakers, workspace):
    for number, utterance in enumerate(utterances):
        place = folder / f"speaker{number % speakers}"
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{number}.wav", utterance.audio, 16_000)
        (place / f"{number}.TextGrid").write_text(textgrid(utterance), encoding="utf-8")
    return open_run(
        data=folder, workspace=workspace, models="mel,untrained/multi-small", frames=300, resamples=20, progress=False
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows")
@pytest.mark.parametrize(
    ("speakers", "without", "reason"),
    [
        (1, HELD_OUT, r"has one speaker, .*: give recordings of more speakers"),
        (2, ("resolution",), r"corpus folder has 1: give recordings of more speakers"),
        (9, (), ""),
    ],
)
def test_the_tables_that_the_speakers_allow_are_made(speakers, without, reason, utterances, tmp_path):
    run = opened(tmp_path / "speech", utterances, speakers, tmp_path / "workspace")
    assert len({utterance.speaker for utterance in run.corpus}) == speakers
    for name in TABLES:
        make = getattr(stages, name)
        if name in without:
            with pytest.raises(TooLittleSpeech, match=reason):
                make(run)
        else:
            assert len(make(run).table), name


def test_measures_of_whole_frames_need_alignments(utterances, tmp_path):
    for number, utterance in enumerate(utterances[:4]):
        (tmp_path / "speech" / f"speaker{number % 2}").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "speech" / f"speaker{number % 2}" / f"{number}.wav", utterance.audio, 16_000)
    run = open_run(data=tmp_path / "speech", workspace=tmp_path / "workspace", models="mel", progress=False)
    for stage in (stages.resolution, stages.frame_units):
        with pytest.raises(TooLittleSpeech, match="no utterance with phones and words with times"):
            stage(run)


def test_no_speaker_at_all_is_said_of_the_folder(tmp_path):
    (tmp_path / "speech").mkdir()
    with pytest.raises(MultiresError, match=r"data: .*speech"):
        open_run(data=tmp_path / "speech", workspace=tmp_path / "workspace", models="mel", progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("chapter", ["02_cca", "03_mutual_information", "05_downstream", "07_resolution"])
def test_a_chapter_says_what_one_speaker_does_not_allow_and_goes_on(chapter, utterances, tmp_path):
    papermill = pytest.importorskip("papermill")
    place = opened(tmp_path / "speech", utterances, 1, tmp_path / "workspace").data
    made = papermill.execute_notebook(
        str(Path(__file__).parents[2] / "notebooks" / f"{chapter}.ipynb"), None,
        {"data": str(place), "workspace": str(tmp_path / "workspace"), "models": "mel,untrained/multi-small"},
        kernel_name="python3", progress_bar=False, start_timeout=180,
    )  # fmt: skip
    shown = str([output for cell in made.cells if cell.cell_type == "code" for output in cell.outputs])
    assert "has one speaker" in shown or "too few speakers" in shown
    assert (tmp_path / "workspace" / "book" / "data" / f"{chapter}.zip").exists()
