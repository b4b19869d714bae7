"""Every figure of the book on the tables of a small run: what is drawn, and that it is labelled."""

import itertools
import warnings

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from multires.analysis import stages
from multires.report import figures, sentences, verdicts
from multires.report.evidence import claims
from multires.report.figures import efficiency as charts
from multires.report.figures import style
from multires.report.figures.layers import MARKERS, condition_markers, layer_curves
from multires.results import tidy

NAMES = {"corpus": "synthetic", "models": "untrained models (mono-small, multi-small)"}

DRAWN = {
    "utterance": lambda run: figures.utterance(stages.example_utterance(run), corpus="synthetic"),
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


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


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


def axes_of(figure: Figure):
    return [axis for axis in figure.axes if axis.get_visible()]


def titles_of(figure: Figure) -> str:
    titles = [axis.get_title(loc=place) for axis in figure.axes for place in ("left", "center", "right")]
    return " ".join([figure.get_suptitle(), *titles])


def error_bars(figure: Figure) -> list[ErrorbarContainer]:
    return [box for axis in figure.axes for box in axis.containers if isinstance(box, ErrorbarContainer)]


def colours_of(figure: Figure) -> set[str]:
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
def test_colour_is_resolution_and_the_legend_says_so(drawn, name):
    figure = drawn(name)
    wanted = {style.RESOLUTION_COLOURS[0.02].upper(), style.RESOLUTION_COLOURS[0.04].upper()}
    assert wanted <= colours_of(figure)
    assert style.RESOLUTION_COLOURS[0.08].upper() not in colours_of(figure)
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


def test_the_schematic_has_a_box_for_every_frame_of_every_layer(run):
    table = stages.layer_table(run)
    figure = figures.schematic(table, {name: run.model(name).predicts_from for name in run.profile.models})
    (axis,) = figure.axes
    assert len(axis.patches) == sum(round(160 / period) for period in table["frame_period"])
    said = [text.get_text() for text in axis.texts]
    assert {*table["label"]} <= {*said}
    coarse = table[table["frame_period"] == 40]
    assert sum("40 ms" in text for text in said) == coarse["block"].nunique() > 0
    assert "down ×2" in said
    assert "up ×2" in said
    names = [tick.get_text().replace("\n", "") for tick in axis.get_xticklabels()]
    assert names == list(run.profile.models)


def test_the_schematic_marks_the_layers_that_units_are_predicted_from():
    table = pd.DataFrame({
        "model": "m", "layer": ["conv", "encoder.0.0", "middle.0", "decoder.0.0"], "label": ["conv", "E1", "M1", "D1"],
        "block": ["conv", "encoder.0", "middle", "decoder.0"], "depth": range(4), "frame_period": [20.0, 20.0, 80.0, 20.0],
    })  # fmt: skip
    (axis,) = figures.schematic(table, {"m": ("decoder.0.0", "middle.0")}).axes
    losses = [text for text in axis.texts if "loss" in text.get_text()]
    assert [text.get_text() for text in losses] == ["80 ms\n→ loss", "20 ms\n→ loss"]
    assert [text.get_color() for text in losses] == [style.text_colour(0.08), style.text_colour(0.02)]
    (axis,) = figures.schematic(table).axes
    assert not any("loss" in text.get_text() for text in axis.texts)


# -- what needs no run ---------------------------------------------------------------------------------------------


def curve(condition: str, seed: int, level: float, *, layers: int = 3) -> list[dict]:
    return [
        {"condition": condition, "seed": seed, "layer_index": depth, "frame_period": 0.02, "view": "phone",
         "value": level + depth, "low": level + depth - 0.1, "high": level + depth + 0.2}
        for depth in range(layers)
    ]  # fmt: skip


def test_seeds_are_averaged_and_their_intervals_joined():
    table = pd.DataFrame(curve("multi", 0, 1.0) + curve("multi", 1, 2.0))
    figure = layer_curves(table, panels="view", ylabel="score", title="toy")
    (box,) = error_bars(figure)
    assert list(box.lines[0].get_ydata()) == [1.5, 2.5, 3.5]
    (segments,) = (each.get_segments() for each in box.lines[2])
    np.testing.assert_allclose(segments[0][:, 1], [0.9, 2.2])


def test_baselines_and_references_are_drawn():
    table = pd.DataFrame(curve("multi", 0, 1.0))
    shuffled = table.assign(value=[0.1, 0.2, 0.3])
    figure = layer_curves(
        table, panels="view", ylabel="score", title="toy", baselines=shuffled, references={"MFCC": {"phone": 1.5}}
    )
    assert [text.get_text() for text in figure.axes[0].texts] == ["MFCC"]
    (band,) = figure.axes[0].patches
    assert (band.get_y(), band.get_height()) == (pytest.approx(0.1), pytest.approx(0.2))


def test_no_rows_make_a_figure_that_says_so(tmp_path):
    empty = pd.DataFrame(curve("multi", 0, 1.0)).iloc[:0]
    figure = layer_curves(empty, panels="view", ylabel="score", title="synthetic; nothing")
    assert "no such scores" in figure.axes[0].texts[0].get_text()
    assert "synthetic" in titles_of(figure)
    figure.savefig(tmp_path / "figure.png")


def test_known_conditions_keep_their_marker_and_others_get_one_each():
    markers = condition_markers(["multi", "mine", "yours"])
    assert markers["multi"] == MARKERS["multi"]
    assert len({*markers.values()}) == 3
    assert not {markers["mine"], markers["yours"]} & set(MARKERS.values())


# Viewed with protanopia and deuteranopia: Machado, Oliveira and Fernandes (2009), table 1, severity 1.
SIGHTS = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    "greyscale": [[0.2126, 0.7152, 0.0722]] * 3,
}


def cielab(colour: str, sight) -> np.ndarray:
    """A colour as seen, in CIELAB, where a distance of 10 is plain to see."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(sight) @ linear, 0, 1)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(matrix @ seen / matrix.sum(1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_resolutions_are_told_apart_by_every_reader(sight):
    seen = [cielab(colour, SIGHTS[sight]) for colour in style.RESOLUTION_COLOURS.values()]
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)]
    assert min(distances) > 10


def test_coarser_is_larger_and_its_text_can_be_read():
    sizes = [style.marker_size(period) for period in (0.02, 0.04, 0.08)]
    assert sizes == [5, 7, 9]
    for period in (0.02, 0.04, 0.08, 0.16):
        light = cielab(style.text_colour(period), np.eye(3))[0]
        assert light < 50.1  # a contrast of 4.5 with white


@pytest.mark.parametrize("period", [0.02, 0.04, 0.08])
def test_resolution_colours(period):
    assert style.resolution_colour(period + 1e-9) == style.RESOLUTION_COLOURS[period]
    assert style.resolution_colour(0.16) == style.BASELINE


def test_markers_of_verdicts_differ():
    table = pd.DataFrame({
        "source": "this run", "claim": [1, 2, 2, 3], "evidence": ["loss", "words", "phones", "time"], "value": [0.1, np.nan, 0.0, 0.8],
        "low": [0.05, np.nan, -0.1, 0.7], "high": [0.2, np.nan, 0.1, 0.9],
        "verdict": [verdicts.SUPPORTS, verdicts.UNTESTED, verdicts.OPEN, verdicts.CONTRADICTS],
    })  # fmt: skip
    figure = figures.claims(table, **NAMES)
    top, bottom = figure.axes
    assert [label.get_text() for label in top.get_yticklabels()] == ["phones\n(leaves open)", "loss\n(supports)"]
    assert [label.get_text() for label in bottom.get_yticklabels()] == ["time\n(contradicts)"]
    phones, loss = (box.lines[0] for box in top.containers)
    assert phones.get_markerfacecolor() == "white"
    assert loss.get_markerfacecolor() != "white"
    assert bottom.containers[0].lines[0].get_marker() == "X"
    elsewhere = figures.claims(table.assign(source=["experiment, toy"] * 3 + ["this run"]), **NAMES)
    assert elsewhere.get_suptitle().startswith("effects: experiment, toy; costs: this run (")


def test_findings_and_figure_agree_on_the_rank_correlation():
    table = pd.DataFrame({
        "condition": "multi", "trained": True, "frame_period": 0.02, "view": "phone", "measure": "CCA",
        "value": [0.1, 0.2, 0.3, 0.4], "accuracy": [0.1, 0.3, 0.2, 0.4],
    })  # fmt: skip
    assert "ρ = 0.80" in titles_of(figures.agreement(table, **NAMES))
    assert "0.80 for CCA and phones (4 layers)" in sentences.agreement(table)


def test_untrained_models_beside_trained_ones_are_a_condition_of_their_own():
    table = pd.DataFrame([{**row, "trained": level > 1} for level in (1.0, 2.0) for row in curve("multi", 0, level)])
    figure = layer_curves(table, panels="view", ylabel="score", title="toy")
    assert [list(box.lines[0].get_ydata()) for box in error_bars(figure)] == [[1, 2, 3], [2, 3, 4]]
    (legend,) = figure.legends
    assert {"MR-HuBERT without aux. loss", "untrained MR-HuBERT"} < {text.get_text() for text in legend.get_texts()}
    alone = layer_curves(table[table["trained"]], panels="view", ylabel="score", title="toy")
    assert "untrained MR-HuBERT" not in {text.get_text() for text in alone.legends[0].get_texts()}


def test_equal_scores_stand_beside_each_other():
    table = pd.DataFrame(curve("mono", 0, 1.0) + curve("multi", 0, 1.0))
    figure = layer_curves(table, panels="view", ylabel="", title="")
    mono, multi = (np.asarray(box.lines[0].get_xdata(), float) for box in error_bars(figure))
    np.testing.assert_allclose(multi - mono, 0.12)
    assert np.round(mono).tolist() == [0, 1, 2]


@pytest.mark.parametrize("apart", [0.0, 0.004])
def test_names_of_baselines_as_good_as_each_other_do_not_lie_on_one_another(apart):
    rows = [
        {"model": "m", "condition": "hubert", "view": "speaker", "measure": "accuracy", "value": 0.5 + index / 10, "low": 0.4, "high": 0.8,
         "layer": f"encoder.0.{index}", "layer_index": index, "frame_period": 0.02, "block": "encoder.0"}
        for index in range(3)
    ]  # fmt: skip
    both = {"log-mel": {"speaker": 0.9}, "MFCC": {"speaker": 0.9 - apart}}
    figure = layer_curves(tidy(rows), panels="view", ylabel="accuracy", title="toy", references=both)
    figure.canvas.draw()
    texts = [text for text in axes_of(figure)[0].texts if "M" in text.get_text() or "log" in text.get_text()]
    assert ", ".join(text.get_text() for text in texts) in ("log-mel, MFCC", "MFCC, log-mel")
    boxes = [text.get_window_extent() for text in texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_no_name_of_a_weighted_sum_lies_on_another():
    """Five conditions, trained and untrained ones among them, and two acoustic features, as in the shipped profiles."""
    rows = [
        {"model": name, "condition": name, "view": task, "measure": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6,
         "trained": "un" not in name, "layer": layer, "layer_index": index, "seed": 0}
        for task in ("phone", "word", "speaker")
        for name in ("hubert", "mono", "mono+aux", "multi", "multi+aux", "unhubert", "unmono", "unmulti")
        for layer, index in (("encoder.0.1", 1.0), ("weighted sum", np.nan))
    ]  # fmt: skip
    rows += [
        {"model": name, "condition": name, "view": task, "measure": "accuracy", "value": 0.4, "low": 0.3, "high": 0.5,
         "trained": False, "layer": name, "layer_index": 0.0, "seed": 0}
        for task in ("phone", "word", "speaker")
        for name in ("mel", "mfcc")
    ]  # fmt: skip
    figure = figures.weighted_sums(tidy(rows), **NAMES)
    figure.canvas.draw()
    for axis in axes_of(figure):
        names = sorted((label.get_window_extent() for label in axis.get_yticklabels()), key=lambda box: box.y0)
        assert len(names) > 10
        for below, above in itertools.pairwise(names):
            assert above.y0 > below.y0 + 0.8 * below.height, "names overlap"


def test_the_best_weighted_sum_stands_at_the_top():
    rows = [
        {"model": name, "condition": name, "view": "word", "measure": "accuracy", "value": value + more, "low": value,
         "high": value + 0.2, "trained": True, "layer": layer, "layer_index": index, "seed": 0}
        for name, value in (("hubert", 0.4), ("multi+aux", 0.6))
        for layer, index, more in (("encoder.0.1", 2.0, 0.0), ("weighted sum", np.nan, 0.1))
    ]  # fmt: skip
    (axis,) = figures.weighted_sums(tidy(rows), **NAMES).axes
    assert [label.get_text() for label in axis.get_yticklabels()][::-1] == [
        "MR-HuBERT: best, layer 2", "MR-HuBERT: weighted sum", "HuBERT: best, layer 2", "HuBERT: weighted sum",
    ]  # fmt: skip


def test_a_run_of_acoustic_features_alone_has_no_layers_to_agree():
    table = pd.DataFrame(columns=["condition", "trained", "frame_period", "view", "measure", "value", "accuracy"])
    figure = figures.agreement(table, **NAMES)
    assert "no such scores" in figure.axes[0].texts[0].get_text()
    assert sentences.agreement(table)
