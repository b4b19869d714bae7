"""The README says what the tables in the package say, and leads nowhere that is not there."""

import re
from pathlib import Path

import pytest
from PIL import Image

from multires.book import readme
from multires.errors import MultiresError
from multires.report import verdicts

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text()


def test_the_verdicts_are_those_of_the_tables_in_the_package():
    assert readme.with_verdicts(TEXT) == TEXT, "run `make readme`"
    said = readme.verdicts()
    for title in (verdicts.CLAIMS[3], *(verdicts.CLAIMS[claim] for claim in (1, 2) if readme.experiment_tables())):
        assert title in said
        assert title in TEXT


def test_what_stands_around_the_verdicts_stays(monkeypatch):
    monkeypatch.setattr(readme, "verdicts", lambda: "| new |\n")
    text = readme.with_verdicts(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    assert text == f"before\n{readme.BEGIN}\n\n| new |\n\n{readme.END}\nafter\n"
    with pytest.raises(MultiresError, match="needs the lines"):
        readme.with_verdicts("no marks")


def test_links_and_the_picture_are_there():
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", TEXT) if "://" not in link]
    assert str(readme.PICTURE) in links
    for link in links:
        assert (ROOT / link).is_file(), link
    with Image.open(ROOT / readme.PICTURE) as picture:
        assert picture.width >= 600
    assert (ROOT / readme.PICTURE).stat().st_size < 200_000


def test_the_picture_can_be_drawn_again(tmp_path):
    with Image.open(readme.draw(tmp_path / "made" / "picture.png")) as again, Image.open(ROOT / readme.PICTURE) as kept:
        assert again.size == kept.size


def test_the_commands_that_it_names_exist():
    from typer.main import get_command

    from multires.cli import app

    known = set(get_command(app).commands)
    named = set(re.findall(r"^    multires (\w+)", TEXT, re.MULTILINE))
    assert named
    assert named <= known
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", TEXT, re.MULTILINE):
        assert f"\n{target}:" in makefile
