"""Corpora of few speakers give every table that they can, and the others' reasons."""

from __future__ import annotations

from itertools import islice

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


def test_no_speaker_at_all_is_said_of_the_folder(tmp_path):
    (tmp_path / "speech").mkdir()
    with pytest.raises(MultiresError, match=r"data: .*speech"):
        open_run(data=tmp_path / "speech", workspace=tmp_path / "workspace", models="mel", progress=False)
