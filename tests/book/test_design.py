"""The picture of the experiment: what its boxes and margins show is what the effects say."""

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from multires.book.design import against_hubert, design_html, icon
from multires.experiment.plan import PLAN
from multires.experiment.tables import ExperimentTables

SCORES = {"hubert": 0.50, "mono": 0.52, "mono+aux": 0.60, "multi": 0.53, "multi+aux": 0.57}


def effects(interest: float = 0.03) -> pd.DataFrame:
    rows = [
        {"outcome": "phone_classification", "score": "phones & more", "primary": True, "estimand": each.key,
         "value": sum(weight * SCORES[name] for name, weight in each.weights.items()), "interest": interest}
        for each in PLAN.estimands
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    return table.assign(low=table["value"] - 0.02, high=table["value"] + 0.02)


def tables(found: pd.DataFrame) -> ExperimentTables:
    nothing, training = pd.DataFrame(), pd.DataFrame({"condition": "mono", "seed": range(4)})
    return ExperimentTables("synthetic", nothing, training, found, nothing, nothing, nothing, {})


def test_boxes_hold_the_difference_from_hubert_that_the_effects_imply():
    wanted = {name: score - SCORES["hubert"] for name, score in SCORES.items() if name != "hubert"}
    assert against_hubert(effects(), "phone_classification") == pytest.approx(wanted)
    assert against_hubert(effects().iloc[:3], "phone_classification") == {}


def test_margins_hold_each_effect_with_its_interval():
    page = BeautifulSoup(design_html(tables(effects())), "html.parser")
    assert [node.get_text() for node in page.select(".design-box strong")] == [
        "HuBERT", "20 ms control", "20 ms control + aux. loss", "MR-HuBERT without aux. loss", "MR-HuBERT",
    ]  # fmt: skip
    loss, rate = (
        page.select_one(f".design-{key} li").get_text(" ", strip=True) for key in ("auxiliary", "downsampling")
    )
    assert loss == "phones & more +0.060 [+0.040, +0.080]"
    assert rate == "phones & more -0.010 [-0.030, +0.010]"
    assert "4 seeds of each model" in page.figcaption.get_text()
    assert len(page.select(".band")) == 2
    assert not BeautifulSoup(design_html(tables(effects(float("nan")))), "html.parser").select(".band")


def test_the_picture_is_one_block_of_html():
    assert "\n\n" not in design_html(tables(effects()))


@pytest.mark.parametrize(("condition", "boxes", "losses"), [("hubert", 48, 1), ("mono+aux", 48, 2), ("multi", 40, 1)])
def test_an_icon_has_a_box_for_each_frame_and_a_dot_for_each_loss(condition, boxes, losses):
    drawn = BeautifulSoup(icon(condition), "html.parser")
    assert len(drawn.select("rect")) == boxes
    assert len(drawn.select("circle")) == losses
