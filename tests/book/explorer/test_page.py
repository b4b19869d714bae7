"""The explorer's page and the script that draws it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from multires.book.explorer import page, scores

STATIC = Path(__file__).resolve().parents[3] / "book" / "_static"


def test_every_condition_has_a_symbol_of_its_own(tables):
    untrained = tables["cca"].assign(trained=False, model="u")
    both = pd.concat([tables["cca"].assign(trained=True), untrained])
    conditions = page.curve_data(scores.curves({**tables, "cca": both}), "toy", "models")["conditions"]
    symbols = {(each["marker"], each["filled"], each["untrained"]) for each in conditions}
    assert [each["name"] for each in conditions] == ["MR-HuBERT without aux. loss", "untrained MR-HuBERT"]
    assert len(symbols) == 2


def test_the_page_holds_what_was_found_and_no_open_tag(tables, tmp_path):
    found = scores.curves(tables)
    page.write_page(tmp_path, found, "toy", "</script><b>models</b>")
    text = (tmp_path / "explorer.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 1
    data = json.loads(re.search(r">({.*})</script>", text)[1])
    assert data["curves"]["corpus"] == "toy speech"
    assert [each["untrained"] for each in data["curves"]["conditions"]] == [False]
    (word,) = [panel for panel in data["curves"]["panels"] if panel["title"] == "words"]
    assert word["points"] == [[0, 1, 0.5, 0.3, 0.7, 50, 2]]
    assert word["chance"] == [0.05, 0.07]
    (phones,) = [panel for panel in data["curves"]["panels"] if panel["title"] == "phones"]
    assert phones["beside"] == {"MFCC": 0.45}
    assert phones["chance"] is None
    assert data["curves"]["conditions"][0]["layers"] == [{"name": "layer 1", "depth": 1, "period": 20.0}]
    assert pd.read_csv(tmp_path / "curves.csv")["value"].tolist() == pytest.approx(found["value"].tolist())
    assert (tmp_path / "explorer.png").stat().st_size > 10_000


def test_the_script_is_self_contained():
    script = (STATIC / "explorer.js").read_text(encoding="utf-8")
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|import|innerHTML|eval)\b\s*\(?", script.replace("nothing fetched", "")
    )
    assert set(re.findall(r"https?://[^\"]+", script)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    for name in ("explorer-data", "explorer-models", "explorer-curves"):
        assert name in script


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js to read the script")
def test_the_script_is_sound():
    done = subprocess.run(["node", "--check", str(STATIC / "explorer.js")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
