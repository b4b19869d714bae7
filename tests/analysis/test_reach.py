"""Effective context of layers: the clips and the table."""

import numpy as np
import pytest

from multires.analysis import stages
from multires.analysis.stages.reach import spoken_clips
from multires.corpus.utterance import Utterance
from multires.report import figures


def test_clips_are_beginnings_of_equal_length_by_different_speakers():
    def said(name, speaker, seconds, split="evaluation"):
        return Utterance(name, speaker, split, seconds, lambda: np.full(int(seconds * 16_000), seconds, np.float32))

    clips = spoken_clips(
        [said("a", "s", 3), said("b", "s", 5), said("c", "t", 3.5), said("d", "u", 9, "train")], ("evaluation",)
    )
    assert [len(clip) for clip in clips] == [56_000, 56_000]
    assert [clip[0] for clip in clips] == [5, 3.5]
    assert spoken_clips([], ("evaluation",)) == []


@pytest.mark.slow
def test_contexts_of_every_layer(framed):
    table = stages.context(framed).table
    assert set(table["model"]) == set(framed.profile.models)
    assert not table.duplicated(["model", "seed", "layer", "measure"]).any()
    wide = table.pivot_table(index=["model", "seed", "layer"], columns="measure", values="value")
    assert (wide > 0).all(axis=None)
    assert (wide["context total"] <= wide["context total (uniform)"] + 1e-9).all()
    assert len(figures.context_by_layer(table, corpus="synthetic", models="untrained").axes) == 2
