"""The table of published figures: every figure says where it stands, and the repository and the package have one file."""

from pathlib import Path

import pandas as pd
import pytest

from multires.analysis.published import COLUMNS, SHIPPED, published_scores
from multires.errors import MultiresError
from multires.models.registry import published
from multires.report.sentences import PUBLISHED

ROOT = Path(__file__).resolve().parents[2]


def test_every_quantity_has_a_row_for_each_cell_and_every_figure_says_where_it_stands():
    table = published_scores()
    assert list(table.columns) == list(COLUMNS)
    assert set(table["model"]) == set(PUBLISHED) <= set(published())
    assert (table.groupby("quantity")["model"].nunique() == len(PUBLISHED)).all()
    filled = table["value"].notna()
    assert filled.any()
    assert not filled.all()
    assert (table.loc[filled, "stands"] != "").all()
    assert (table.loc[~filled, "stands"] == "").all()
    assert (table["source"] != "").all()


def test_training_facts_are_those_of_the_registry():
    table = published_scores().set_index(["quantity", "model"])["value"]
    for key in PUBLISHED:
        assert f"{table['speech in training', key]:g} h" in published()[key].data


def test_the_book_names_the_file_of_the_package():
    assert SHIPPED.is_relative_to(ROOT / "src" / "multires"), "a notebook in Colab has the package alone"
    assert (ROOT / "book" / "data" / SHIPPED.name).read_bytes() == SHIPPED.read_bytes()


def test_a_figure_is_filled_in_by_one_line(tmp_path):
    text = SHIPPED.read_text(encoding="utf-8")
    empty = '"SUPERB phone recognition, PER",mono_base,,%,lower,arXiv 2310.02720,,,'
    assert empty in text
    path = tmp_path / "scores.csv"
    path.write_text(text.replace(empty, empty.replace("base,,%", "base,1.5,%")[:-2] + "Table 2,the paper,"))
    table = published_scores(path).set_index(["quantity", "model"])
    assert table.loc[("SUPERB phone recognition, PER", "mono_base"), "value"] == 1.5
    assert table["value"].notna().sum() == published_scores()["value"].notna().sum() + 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"value": "about 5"}, "'about 5' is not a number"),
        ({"stands": ""}, "needs source and stands"),
        ({"source": ""}, "needs source and stands"),
        ({"model": "mono_base"}, "'PER' of mono_base twice"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, change, problem):
    row = {"quantity": "PER", "value": "5", "unit": "%", "better": "lower", "source": "a paper", "table": "1",
           "stands": "its page", "note": ""}  # fmt: skip
    rows = [{**row, "model": "hubert_base", **change}, {**row, "model": "mono_base"}]
    path = tmp_path / "scores.csv"
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(path, index=False)
    with pytest.raises(MultiresError, match=problem):
        published_scores(path)


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("quantity,model,value\nPER,hubert_base,5\n")
    with pytest.raises(MultiresError, match="lacks the column 'unit'"):
        published_scores(path)
