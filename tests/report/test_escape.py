"""What is escaped is shown as it was, whatever it holds, and is never interpreted."""

import csv
import html
import io
import re
import unicodedata

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from multires.report import escape
from multires.report.figures.style import heading, new_figure
from multires.results import table_for_csv

HOSTILE = [
    "<img src=x onerror=alert(1)>.flac", "$\\frac$", "a$b$c", "\\$x$", "=1+1", "@SUM(A1)", "-1+cmd|' /C calc'!A0",
    "\x1b]0;title\x07", "**bold** [a](javascript:x)", "{term}`phone`", "a|b\nc", "&lt;", "字", "% _ ^ ~ \\ { }",
    "\u202egnp.exe", "a\udcff", "<!-- x", "`code", "1. list", "# title", "---", "http://example.org",
]  # fmt: skip

unhurried = settings(deadline=None, max_examples=40)  # the machine may be busy

texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=40), st.text("<>&$\\{}[]()`*_#|=+-@\"'\x1b\n a1", max_size=30)
)


tabular = texts.filter(lambda text: not re.search(r"[\ud800-\udfff]", text))
"""What a table can hold: pandas keeps text as UTF-8."""


def plain(text: str) -> str:
    """What a reader should see: the visible form, with white space as HTML collapses it."""
    return " ".join(escape.visible(text).split())


@unhurried
@given(texts)
def test_what_is_visible_is_one_line_of_characters_that_can_be_seen(text):
    shown = escape.visible(text)
    assert not any(unicodedata.category(character).startswith("C") and character.isprintable() is False
                   and unicodedata.category(character) != "Cn" for character in shown)  # fmt: skip
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert len(escape.visible(text, longest=9)) <= 9


@unhurried
@given(texts)
def test_html_shows_the_text_and_has_no_element(text):
    soup = BeautifulSoup(f"<p title='{escape.for_html(text)}'>{escape.for_html(text)}</p>", "html.parser")
    assert len(soup.find_all()) == 1
    assert soup.p.get_text() == escape.visible(text)
    assert soup.p["title"] == escape.visible(text)


@unhurried
@given(texts)
@example("1. a")
@example(" -")
@example("  1. a")
def test_markdown_shows_the_text_in_a_sentence_and_in_a_table(text):
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    shown = parser.render(f"Name {escape.for_markdown(text)} end")
    soup = BeautifulSoup(shown, "html.parser")
    assert [node.name for node in soup.find_all()] == ["p"]
    assert " ".join(soup.get_text().split()) == " ".join(f"Name {plain(text)} end".split())
    first = BeautifulSoup(parser.render(f"{escape.for_markdown(text)} end"), "html.parser")
    assert {node.name for node in first.find_all()} == {"p"}
    assert " ".join(first.get_text().split()) == " ".join(f"{plain(text)} end".split())
    row = BeautifulSoup(parser.render(f"|a|b|\n|---|---|\n|x{escape.for_markdown(text)}|2|\n"), "html.parser")
    cells = row.select("tbody td")
    assert len(cells) == 2
    assert " ".join(cells[0].get_text().split()) == " ".join(f"x{escape.visible(text)}".split())
    assert not row.select("td *")


@unhurried
@given(texts)
def test_latex_has_no_bare_special_character(text):
    bare = re.sub(r"\\(?:textbackslash|textasciicircum|textasciitilde|textless|textgreater)\{\}|\\[{}$&#%_]", "",
                  escape.for_latex(text))  # fmt: skip
    assert not re.search(r"[\\{}$&#%_^~<>]", bare)


@unhurried
@given(texts)
def test_a_figure_shows_the_text_and_no_formula(text):
    figure, axes = new_figure()
    label = escape.for_figure(text)
    title = axes.flat[0].set_title(label)
    shown, formula = title._preprocess_math(label)
    assert not formula
    assert shown.removeprefix("\u200a") == escape.visible(text, longest=escape.LONGEST).removeprefix("\u200a")
    assert not shown.startswith("_"), "a legend would leave it out"
    heading(figure, text)
    if text.isascii():
        figure.canvas.draw()


@unhurried
@given(tabular)
def test_a_csv_cell_is_no_formula_and_survives(text):
    written = table_for_csv(pd.DataFrame({text: [text]}, dtype=object)).to_csv(index=False)
    kept = re.sub(r"\r\n?", "\n", text)
    for row in csv.reader(io.StringIO(written, newline="")):
        for cell in row:
            assert cell in (kept, f"'{kept}")
            assert not re.match(r"[=+\-@\t\r]", cell) or re.fullmatch(r"[+-]?[\d._]*(e[+-]?\d+)?|[+-](inf|nan|infinity)",
                                                                     cell.strip().lower())  # fmt: skip


def test_numbers_stay_numbers_in_csv():
    table = pd.DataFrame({"a": [-1.5, np.nan], "b": ["-1", None]})
    assert table_for_csv(table).equals(table)


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\udcff" not in text])
def test_a_styled_table_shows_names_and_cells_as_they_are(text):
    rendered = escape.styled(pd.DataFrame({text: [text, None], "n": [1234, 5]}), {"n": "{:,.0f} frames"}).to_html()
    soup = BeautifulSoup(rendered, "html.parser")
    assert not soup.find_all(["img", "script", "a", "b"])
    assert soup.select("th.col_heading")[0].get_text() == escape.visible(text)
    cells = [cell.get_text() for cell in soup.select("td")]
    assert cells == [escape.visible(text), "1,234 frames", "–", "5 frames"]
    assert html.unescape(escape.for_html(text)) == escape.visible(text)
