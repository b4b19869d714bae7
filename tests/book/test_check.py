import io
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from multires.book.check import check_pages, documents, postprocess

TOC = "format: jb-book\nroot: book/index\nparts:\n  - caption: One\n    chapters:\n      - file: notebooks/01_first\n"


def _page(body: str) -> str:
    return f"<html><body><article><h1 id='top'>Title</h1>{body}</article></body></html>"


@pytest.fixture
def html(tmp_path: Path) -> Path:
    html = tmp_path / "html"
    for folder in ("book", "notebooks", "_images", "_sources/notebooks"):
        (html / folder).mkdir(parents=True)
    picture = io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "png")
    (html / "_images" / "a.png").write_bytes(picture.getvalue())
    for name in ("index", "genindex", "search"):
        (html / f"{name}.html").write_text(_page(""))
    (html / "book" / "index.html").write_text(_page("<a href='../notebooks/01_first.html#top'>first</a>"))
    figure = "<div class='cell_output'><img src='../_images/a.png' alt='a black square'></div>"
    (html / "notebooks" / "01_first.html").write_text(_page(figure))
    cell = new_code_cell("", outputs=[new_output("display_data", {"image/png": "AAAA"})])
    nbformat.write(new_notebook(cells=[cell]), html / "_sources" / "notebooks" / "01_first.ipynb")
    (tmp_path / "_toc.yml").write_text(TOC)
    return html


def _faults(html: Path) -> list[str]:
    return check_pages(html, html.parent / "_toc.yml", hidden=("/home/secret",))


def test_a_sound_book_has_no_fault(html):
    assert documents(html.parent / "_toc.yml") == ["book/index", "notebooks/01_first"]
    assert _faults(html) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<a href='../nowhere.html'>x</a>", "the link ../nowhere.html leads nowhere"),
        ("<a href='#nowhere'>x</a>", "names a place that does not exist"),
        ("<a href='../book/index.html#nowhere'>x</a>", "names a place that does not exist"),
        ("<img src='../_images/b.png' alt='x'>", "missing or empty"),
        ("<img src='../_images/a.png' alt=''>", "no alternative text"),
        ("<img src='../_images/a.png' alt='../_images/a.png'>", "no alternative text"),
        ("<img src='https://example.org/a.png' alt='x'>", "from elsewhere"),
        ("<script src='https://example.org/a.js'></script>", "from elsewhere"),
        ("<link rel='stylesheet' href='//example.org/a.css'>", "from elsewhere"),
        ("<pre>Traceback (most recent call last)</pre>", "a traceback"),
        ("<div class='output stderr'>UserWarning: oh</div>", "wrote to standard error: UserWarning: oh"),
        ("<p>/home/secret/folder</p>", "a folder of this machine"),
    ],
)
def test_each_fault_is_found_and_named(html, body, fault):
    page = html / "notebooks" / "01_first.html"
    page.write_text(page.read_text().replace("</article>", f"{body}</article>"))
    told = _faults(html)
    assert any(fault in each and each.startswith("notebooks/01_first: ") for each in told), told


def test_a_page_that_is_missing_and_figures_that_are_lost(html):
    page = html / "notebooks" / "01_first.html"
    page.write_text(_page(""))
    assert _faults(html) == ["notebooks/01_first: it shows 0 of the notebook's 1 figures"]
    page.unlink()
    assert "notebooks/01_first: the page is missing" in _faults(html)


def test_an_empty_picture_is_a_fault(html):
    (html / "_images" / "a.png").write_bytes(b"")
    assert _faults(html) == ["notebooks/01_first: the image ../_images/a.png is missing or empty"]


def test_a_folder_without_a_book(tmp_path):
    (tmp_path / "_toc.yml").write_text(TOC)
    assert check_pages(tmp_path / "html", tmp_path / "_toc.yml") == [
        f"{tmp_path / 'html'} holds no book: build it first"
    ]


def test_pages_are_made_fit_for_keyboards_screen_readers_and_no_network(html):
    page = html / "notebooks" / "01_first.html"
    head = (
        "<script>const THEBE_JS_URL = 'https://example.org/thebe.js'</script><script src='../_static/sphinx-thebe.js'>"
        "</script><script type='text/x-thebe-config'>{}</script><script>let kept = 1 < 2 && '</b>';</script>"
        "<div class='sidebar-primary-items__start'><div class='sidebar-primary-item'><a href='#top'>Book</a></div></div>"
        "<details><summary aria-label='Toggle hidden content'>Show the code</summary></details>"
        "<table><tr><th></th><th>value</th></tr></table><pre>a  &lt; b\n  c</pre>"
    )
    page.write_text(page.read_text().replace("<article>", f"{head}<article>"))
    postprocess(html)
    processed = page.read_text()
    assert "thebe" not in processed.lower()
    assert "<script>let kept = 1 < 2 && '</b>';</script>" in processed
    assert "<summary>Show the code</summary>" in processed
    assert "<td></td><th>value</th>" in processed
    assert 'role="navigation"' in processed
    assert "<pre>a  &lt; b\n  c</pre>" in processed
    assert _faults(html) == []
    postprocess(html)
    assert page.read_text() == processed


def test_a_figure_or_equation_that_no_text_refers_to_is_a_fault(html):
    page = html / "notebooks" / "01_first.html"
    numbered = (
        "<figure id='fig-a'><a class='headerlink' href='#fig-a'>#</a></figure>"
        "<div class='math' id='equation-eq-b'><a class='headerlink' href='#equation-eq-b'>#</a></div>"
    )
    page.write_text(page.read_text().replace("</article>", f"{numbered}</article>"))
    assert _faults(html) == [f"notebooks/01_first: no text refers to {name}" for name in ("fig-a", "equation-eq-b")]
    index = html / "book" / "index.html"
    links = "<a class='reference internal' href='../notebooks/01_first.html#fig-a'>Fig. 1</a>"
    index.write_text(index.read_text().replace("</article>", f"{links}</article>"))
    own = "<a class='reference internal' href='#equation-eq-b'>(1)</a>"
    page.write_text(page.read_text().replace("</article>", f"{own}</article>"))
    assert _faults(html) == []
