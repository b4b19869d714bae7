"""Sentences on reference curves: their numbers are the table's, and a peak inside the model is named."""

import pandas as pd
import pytest

from multires.analysis.reference import LABEL, STAGES, reference_table
from multires.report import figures
from multires.report.reference import order, reference


def made(*values: float) -> pd.DataFrame:
    rows = [{"condition": "an encoder", "layer": "conv" if i == 0 else f"encoder.0.{i - 1}", "layer_index": i,
             "measure": "adjusted", "view": "phone", "value": value} for i, value in enumerate(values)]  # fmt: skip
    rows.append({**rows[0], "condition": "mel", "layer": "mel", "layer_index": 0, "value": 0.99})
    return pd.DataFrame(rows)


def test_a_peak_inside_the_model_is_named_and_acoustic_features_are_not_part_of_it():
    assert reference("mutual_information", made(0.1, 0.4, 0.3)) == (
        "an encoder: Adjusted mutual information with phones goes from 0.10 (waveform encoder) to 0.30 (layer 2), with "
        "its highest value, 0.40, at layer 1."
    )
    assert "highest" not in reference("mutual_information", made(0.1, 0.2, 0.3))


@pytest.mark.parametrize("stage", STAGES)
def test_the_shipped_tables_are_described_and_drawn_by_the_models_true_name(stage):
    table = reference_table(stage)
    assert reference(stage, table).startswith(f"{LABEL}: ")
    draw = {"cca": figures.cca_by_layer, "mutual_information": figures.mi_by_layer, "probes": figures.probes_by_layer}
    figure = draw[stage](table, corpus="LibriSpeech", models=LABEL)
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert any(LABEL in text for text in texts)


def test_the_known_order_is_told_from_its_exceptions_and_from_its_contrary():
    assert "holds here: for phones it rises at every layer." in order("mutual_information", made(0.1, 0.2, 0.3))
    text = order("mutual_information", made(0.1, 0.4, 0.3))
    assert "holds with exceptions here" in text
    assert "for phones it ends above where it began, with steps back at layer 2" in text
    text = order("mutual_information", made(0.3, 0.4, 0.2))
    assert "does not hold here: for phones it does not end above where it began" in text
    assert order("mutual_information", made(0.3)) == "This table has no score whose order is known."


def test_the_order_of_the_shipped_tables():
    assert "for sound it falls at every layer" in order("cca", reference_table("cca"))
    assert "for words it rises at every layer" in order("cca", reference_table("cca"))
    assert "holds here" in order("probes", reference_table("probes"))
    assert "holds with exceptions" in order("mutual_information", reference_table("mutual_information"))
