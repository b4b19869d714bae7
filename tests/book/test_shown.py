import base64
import io
import json
import zipfile

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from multires.book import shown
from multires.results import Result, no_rows

TABLE = pd.DataFrame({
    "model": ["<b>x</b>", "=2+2"], "value": [0.5, 0.25], "low": [0.4, None], "high": [0.6, None], "trial": [None, None],
})  # fmt: skip


def test_a_folded_table_has_plain_names_no_empty_column_and_all_rows_to_download():
    page = BeautifulSoup(
        shown.folded(TABLE, "scores", {"model": "Model", "value": "Score", "trial": "Trial"})._repr_html_(),
        "html.parser",
    )
    assert page.summary.get_text() == "Show the data"
    assert [cell.get_text() for cell in page.select("th.col_heading")] == ["Model", "Score"]
    assert [cell.get_text() for cell in page.select("td")] == ["<b>x</b>", "0.500", "=2+2", "0.250"]
    link = page.select_one("a[download='scores.csv']")
    downloaded = pd.read_csv(io.BytesIO(base64.b64decode(link["href"].partition(",")[2])))
    assert list(downloaded) == list(TABLE)
    assert downloaded["model"].tolist() == ["<b>x</b>", "'=2+2"]
    assert downloaded["value"].tolist() == [0.5, 0.25]


def test_a_long_table_is_shown_in_part_and_says_so():
    page = BeautifulSoup(shown.folded(pd.DataFrame({"n": range(500)}), "n").html, "html.parser")
    assert len(page.select("tbody tr")) == shown.ROWS
    assert f"500 rows, {shown.ROWS} of them below" in page.get_text()


def test_an_interval_is_one_column_and_a_missing_one_a_dash():
    read = shown.with_intervals(TABLE, {"model": "Model", "value": "Score"}, precision=1)
    assert list(read) == ["Model", "Score", "95 % interval"]
    assert read["95 % interval"].tolist() == ["0.4 to 0.6", "–"]


def published(tmp_path, name="cca"):
    result = Result(TABLE, {"seed": 3}, tmp_path / "x.parquet")
    run = type("Run", (), {"workspace": tmp_path})()
    return shown.publish(run, "02_cca", {name: result})


def test_the_tables_of_a_chapter_are_one_archive_with_a_dictionary(tmp_path):
    path = published(tmp_path)
    assert path == tmp_path / "book" / "data" / "02_cca.zip"
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["cca.csv", "cca.json", "cca.parquet", "dictionary.csv"]
        pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(archive.read("cca.parquet"))), TABLE)
        assert json.loads(archive.read("cca.json")) == {"seed": 3}
        meanings = pd.read_csv(io.BytesIO(archive.read("dictionary.csv")))
    assert meanings["column"].tolist() == list(TABLE)
    assert meanings["meaning"].notna().all()
    first = path.read_bytes()
    assert published(tmp_path).read_bytes() == first


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "book").touch()
    with pytest.raises(Exception, match="book"):
        published(tmp_path)


def test_every_column_of_a_run_has_a_meaning(run):
    from multires.analysis import stages

    results = {"extraction": stages.extraction(run), "cca": stages.cca(run), "mi": stages.mutual_information(run)}
    without = shown.dictionary(results).query("meaning == ''")["column"]
    assert without.tolist() == []


def test_a_table_that_could_not_be_computed_is_its_reason():
    missing = no_rows("probes: corpus <b> has one speaker")
    note = "<p><strong>Not computed.</strong> probes: corpus &lt;b&gt; has one speaker.</p>"
    assert shown.folded(missing, "probes", {"accuracy": "Accuracy"}).html == note
    assert shown.unfolded(missing, {"grouping": "Never divided"}).html == note
    assert "no scores" in shown.folded(TABLE.iloc[:0], "scores").html
    assert "0.40 to 0.60" in shown.unfolded(TABLE, {"model": "Model", "value": "Score"}, precision=2).html
