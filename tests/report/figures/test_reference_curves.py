"""The curves of the reference encoder are named as what they are, and their values are the table's."""

import itertools

import pytest

from multires.analysis.reference import LABEL, STAGES, reference_table
from multires.report import figures
from tests.report.figures.parts import axes_of, error_bars, titles_of

PANELS = {
    "cca": ["log-mel", "phones", "words"],
    "mutual_information": ["phones", "words"],
    "probes": ["phones", "words"],
}


@pytest.mark.parametrize("stage", STAGES)
def test_each_figure_names_the_encoder_and_draws_its_scores(stage):
    table = reference_table(stage)
    figure = figures.reference_curves(stage, table, corpus="LibriSpeech")
    assert f"reference: {LABEL}" in titles_of(figure).replace("\n", " ")
    assert [axis.get_title(loc="left") for axis in axes_of(figure)] == PANELS[stage]
    scores = table["condition"].eq(LABEL) & table["measure"].isin(["pwcca", "adjusted", "accuracy"])
    words = table[scores & table["view"].eq("word") & table["layer_index"].notna()].sort_values("layer_index")
    (curve,) = (box for box in error_bars(figure) if box in axes_of(figure)[-1].containers)
    assert list(curve.lines[0].get_ydata()) == pytest.approx(list(words["value"]))
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert not any("normalized" in text for text in texts)


def test_names_of_axes_lie_on_no_other():
    figure = figures.reference_curves("cca", reference_table("cca"), corpus="LibriSpeech")
    figure.canvas.draw()
    boxes = [axis.xaxis.label.get_window_extent() for axis in axes_of(figure)]
    assert not any(left.overlaps(right) for left, right in itertools.pairwise(boxes))


def test_log_mel_is_compared_in_one_window():
    table = reference_table("cca")
    figure = figures.reference_curves("cca", table, corpus="LibriSpeech")
    (box,) = (box for box in error_bars(figure) if box in figure.axes[0].containers)
    rows = table[table["view"].eq("mel") & table["measure"].eq("pwcca") & table["window"].eq(20.0)]
    assert list(box.lines[0].get_ydata()) == pytest.approx(list(rows.sort_values("layer_index")["value"]))
