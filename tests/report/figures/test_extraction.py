"""The schematic of a model's layers and frames."""

import pandas as pd

from multires.analysis import stages
from multires.report import figures
from multires.report.figures import style


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
    assert [text.get_color() for text in losses] == [style.text_color(0.08), style.text_color(0.02)]
    (axis,) = figures.schematic(table).axes
    assert not any("loss" in text.get_text() for text in axis.texts)
