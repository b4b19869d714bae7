"""Tables without rows, and of one row, in every figure: a drawing or a note, and never a traceback."""

from __future__ import annotations

import inspect
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from multires.errors import MultiresError
from multires.experiment.tables import ExperimentTables
from multires.report import figures
from multires.report.figures import efficiency
from multires.results import no_rows
from tests.report.figures.parts import texts_of

OF_TABLES = {name: getattr(figures, name) for name in figures.__all__} | {
    name: getattr(efficiency, name) for name in efficiency.__all__
}
OF_TABLES["reference_curves"] = partial(figures.reference_curves, "cca")

ELSEWHERE = {"use_style", "utterance", "outcome_layers", "traded"}
"""Those that draw no single table; most are tested below."""

SEVERAL = {"frame_rates", "time_by_part"}
"""Those that draw several rows as one."""

FITTING = {
    "agreement": {"measure": "CCA"},
    "all_curves": {"group": "CCA", "panel": "words"},
    "block_effects": {"view": "word", "measure": "cca", "matching": "grid of 40 ms"},
    "cca_by_layer": {"measure": "pwcca"},
    "cca_by_window": {"measure": "pwcca", "view": "mel"},
    "cca_variants": {"measure": "pwcca"},
    "context_by_layer": {"measure": "context back"},
    "dominant_dimensions": {"measure": "mean cosine", "view": "frames"},
    "extraction_summary": {"measure": "participation ratio"},
    "factorial": {"effect": "downsampling"},
    "latency": {"measure": "latency", "model": "multi"},
    "low_resolution": {"view": "word", "measure": "cca", "block": "middle"},
    "macs_by_part": {"measure": "macs", "model": "multi"},
    "mi_by_clusters": {"measure": "bits"},
    "mi_by_layer": {"measure": "normalized", "view": "phone"},
    "probes_by_layer": {"measure": "accuracy"},
    "prosody": {"measure": "r2", "view": "energy"},
    "reference_curves": {"measure": "pwcca"},
    "resolution_by_layer": {"view": "word", "measure": "cca"},
    "schematic": {"frame_period": 40.0},
    "savings": {"measure": "macs_ratio", "view": "mono", "model": "3 low"},
    "selectivity": {"measure": "selectivity"},
    "sensitivity": {"measure": "effect", "outcome": "phone_classification", "estimand": "control"},
    "shared_by_depth": {"measure": "cka", "comparison": "between seeds"},
    "similarity_maps": {"measure": "cka"},
    "treated_dimensions": {"measure": "cka"},
    "units_by_layer": {"measure": "pnmi"},
    "weighted_sums": {"measure": "accuracy"},
}
"""What a row needs for a figure to draw it."""

ROW = {
    "model": "a", "condition": "multi", "seed": 0, "trained": True, "layer": "middle.0", "layer_index": 3, "block": "middle",
    "frame_period": 0.04, "measure": "none of them", "view": "word", "trial": None, "value": 0.5, "n": 3, "low": np.nan,
    "high": np.nan, "window": 40.0, "against": "b", "against_condition": "mono", "against_seed": 1, "against_layer": "middle.0",
    "against_layer_index": 3, "comparison": "within a model", "matching": "native", "contrast": "downsampling, with the loss",
    "chosen": True, "treatment": "as they are", "rate": 50, "clusters": 10, "clusters_requested": 10, "accuracy": 0.5,
    "unit": "word", "start": 0.0, "end": 0.1, "label": "M1", "depth": 3, "claim": 1, "source": "this run", "evidence": "e",
    "verdict": "not tested", "interest": np.nan, "effect": "none", "score": "phone accuracy", "step": 1, "part": "attention",
    "resolution": 0, "loss": 1.0, "mfcc": 0.3, "mel": 0.3, "untrained": 0.2, "baseline": 0.3, "baseline_name": "mfcc",
    "best": 0.5, "above": 0.2, "carries": True, "beats": True, "flattened": True, "last_fifth": 0.0, "edit": "insertions",
    "manner": "grid", "mono": 0.5, "multi": 0.4, "group": "g", "panel": "p", "chance_low": 0.1, "chance_high": 0.2,
    "duration": 10.0, "batch": 1, "low_layers": 3, "layers_total": 12, "factor": 2, "note": "", "machine": "m", "device": "cpu",
    "precision": "float32", "threads": 1, "size": "base", "variant": "pwcca", "grouping": "speaker", "run": "r",
    "outcome": "", "estimand": "",
}  # fmt: skip


def drawn(name: str, table: pd.DataFrame) -> Figure:
    draw = OF_TABLES[name]
    accepted = inspect.signature(draw).parameters
    names = {"corpus": "toy", "models": "one model"} if "corpus" in accepted else {}
    figure = draw(table, **{key: value for key, value in names.items() if key in accepted})
    figure.draw_without_rendering()
    return figure


def one(**changes) -> pd.DataFrame:
    return pd.DataFrame([{**ROW, **changes}])


@pytest.mark.parametrize("name", sorted(set(OF_TABLES) - ELSEWHERE - {"factorial", "reference_curves", "sensitivity"}))
def test_a_table_without_rows_is_a_note(name):
    assert "no such scores" in texts_of(drawn(name, one().iloc[:0]))
    assert texts_of(drawn(name, no_rows("probes: one speaker"))) == "not computed: probes: one speaker"


def test_tables_that_are_never_computed_without_rows_are_no_traceback():
    assert "no effect to show" in texts_of(drawn("factorial", one().iloc[:0]))
    assert "no such scores" in texts_of(drawn("reference_curves", one().iloc[:0]))
    with pytest.raises(MultiresError, match="no run"):
        drawn("sensitivity", one().iloc[:0])


@pytest.mark.parametrize("name", sorted(set(OF_TABLES) - ELSEWHERE - SEVERAL))
def test_one_row_is_drawn(name):
    figure = drawn(name, one(**FITTING.get(name, {})))
    assert not any(note in texts_of(figure) for note in ("no such scores", "no counted operations", "not computed"))
    assert figure.axes


@pytest.mark.parametrize("name", sorted(set(OF_TABLES) - ELSEWHERE))
def test_one_row_of_something_else_is_no_error(name):
    period = FITTING.get(name, {}).get("frame_period", ROW["frame_period"])
    drawn(name, one(frame_period=period))
    acoustic = {"model": "mel", "condition": "mel", "trained": False, "layer": "mel", "layer_index": None}
    drawn(name, one(**acoustic, value=np.nan, frame_period=period))


def test_an_experiment_without_scores_is_a_note():
    columns = (
        "outcome",
        "condition",
        "seed",
        "role",
        "layer",
        "layer_index",
        "block",
        "frame_period",
        "form",
        "labels",
    )
    scores = pd.DataFrame({column: pd.Series(dtype=object) for column in columns}).assign(correct=0.0, total=0.0)
    training = pd.DataFrame({"condition": ["mono"], "seed": [0]})
    tables = ExperimentTables("toy", scores, training, *(pd.DataFrame(),) * 4, {})
    for given in ([], [tables]):
        assert "no such scores" in texts_of(figures.outcome_layers(given, ["word_cca"], ylabel="CCA"))
    assert "controlled experiment" in texts_of(efficiency.traded(pd.DataFrame(), one()))
