"""Every figure of the book on the tables of a small run: what is drawn, and that it is labeled."""

import warnings

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from multires.analysis import stages
from multires.book.evidence import claims
from multires.report import figures
from multires.report.figures import efficiency as charts
from multires.report.figures import style
from tests.report.figures.parts import axes_of, error_bars, titles_of

NAMES = {"corpus": "synthetic", "models": "untrained models (mono-small, multi-small)"}


def _utterance(example) -> Figure:
    return figures.utterance(example, stages.log_mel(example), corpus="synthetic")


DRAWN = {
    "utterance": lambda run: _utterance(stages.example_utterance(run)),
    "durations": lambda run: figures.durations(run.segments, corpus="synthetic"),
    "extraction_summary": lambda run: figures.extraction_summary(stages.extraction(run).table, **NAMES),
    "cca_by_layer": lambda run: figures.cca_by_layer(stages.cca(run).table, **NAMES),
    "cca_by_window": lambda run: figures.cca_by_window(stages.cca(run).table, **NAMES),
    "cca_variants": lambda run: figures.cca_variants(stages.cca_variants(run).table, corpus="synthetic"),
    "mi_by_layer": lambda run: figures.mi_by_layer(stages.mutual_information(run).table, **NAMES),
    "mi_by_clusters": lambda run: figures.mi_by_clusters(stages.mi_clusters(run).table, corpus="synthetic"),
    "probes_by_layer": lambda run: figures.probes_by_layer(stages.probes(run).table, **NAMES),
    "weighted_sums": lambda run: figures.weighted_sums(stages.probes(run).table, **NAMES),
    "agreement": lambda run: figures.agreement(stages.agreement(run).table, **NAMES),
    "claims": lambda run: figures.claims(claims(run).table, **NAMES),
}

BY_LAYER = ["extraction_summary", "cca_by_layer", "cca_by_window", "mi_by_layer", "probes_by_layer"]

WITH_BARS = [*BY_LAYER, "cca_variants", "weighted_sums", "claims"]

EFFICIENCY = {
    "macs_by_part": charts.macs_by_part,
    "latency": charts.latency,
    "savings": charts.savings,
    "time_by_part": charts.time_by_part,
}


@pytest.fixture(scope="module")
def drawn(run):
    """Each figure, drawn once, with what was warned about on the way to its file."""
    found: dict[str, Figure] = {}

    def draw(name: str) -> Figure:
        if name not in found:
            stage = DRAWN[name](run)  # fills the workspace; its warnings are the measures' own
            plt.close(stage)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found[name] = DRAWN[name](run)
        return found[name]

    return draw


def colors_of(figure: Figure) -> set[str]:
    return {matplotlib.colors.to_hex(box.lines[0].get_color()).upper() for box in error_bars(figure) if box.lines[0]}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_names_its_corpus_and_axes_and_saves_without_warnings(drawn, tmp_path, name):
    figure = drawn(name)
    assert "synthetic speech" in " ".join(titles_of(figure).split())
    assert axes_of(figure)[-1].get_xlabel()
    assert any(axis.get_ylabel() or len(axis.get_yticklabels()) for axis in axes_of(figure))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "figure.png")
    assert plt.imread(tmp_path / "figure.png").std() > 0.01
    assert figure.get_facecolor() == (1, 1, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_BARS)
def test_uncertainty_is_drawn(drawn, name):
    bars = error_bars(drawn(name))
    assert bars
    lengths = [np.ptp(segment[:, 0]) + np.ptp(segment[:, 1]) for box in bars for each in box.lines[2] for segment in each.get_segments()]  # fmt: skip
    assert max(lengths) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_LAYER)
def test_color_is_resolution_and_the_legend_says_so(drawn, name):
    figure = drawn(name)
    wanted = {style.RESOLUTION_COLORS[0.02].upper(), style.RESOLUTION_COLORS[0.04].upper()}
    assert wanted <= colors_of(figure)
    assert style.RESOLUTION_COLORS[0.08].upper() not in colors_of(figure)
    (legend,) = figure.legends
    entries = {text.get_text() for text in legend.get_texts()}
    assert {"20 ms control", "MR-HuBERT without aux. loss", "20 ms", "40 ms"} <= entries
    assert "80 ms" not in entries
    if name != "extraction_summary":
        assert "shuffled" in entries


@pytest.mark.slow
def test_points_are_the_tables_values(drawn, run):
    table = stages.cca(run).table
    rows = table[(table["view"] == "phone") & (table["measure"] == run.profile.variant) & table["trial"].isna()]
    figure = drawn("cca_by_layer")
    (axis,) = [axis for axis in figure.axes if axis.get_title(loc="left") == "phone"]
    heights = [y for box in axis.containers for y in box.lines[0].get_ydata()]
    assert sorted(heights) == pytest.approx(sorted(rows["value"]))


@pytest.mark.slow
def test_agreement_tells_conditions_and_resolutions_apart(drawn):
    (legend,) = drawn("agreement").legends
    assert {"20 ms control", "MR-HuBERT without aux. loss", "20 ms", "40 ms"} == {
        text.get_text() for text in legend.get_texts()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", EFFICIENCY)
def test_figures_of_cost(run, tmp_path, name):
    figure = EFFICIENCY[name](stages.efficiency(run).table)
    assert "small size" in titles_of(figure)
    assert axes_of(figure)[-1].get_xlabel()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "figure.png")
    words = [text.get_text() for axis in figure.axes for text in axis.texts]
    words += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert words
