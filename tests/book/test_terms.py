"""Links to the glossary carry the definitions of their terms."""

from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx

INDEX = """\
Index
=====

A :term:`frame`, and :term:`CCA`.

.. toctree::

   book/glossary
"""

GLOSSARY = """\
Glossary
========

.. glossary::

   frame
      One vector <of> a layer.

   canonical correlation analysis
   CCA
      Compares two views.
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("terms")
    (root / "book").mkdir()
    (root / "index.rst").write_text(INDEX)
    (root / "book" / "glossary.rst").write_text(GLOSSARY)
    settings = {"extensions": ["multires.book.terms"]}
    Sphinx(root, None, root / "html", root / "doctrees", "html", confoverrides=settings, status=None).build()
    return root / "html"


def test_a_term_has_its_definition_under_each_of_its_names(pages):
    page = BeautifulSoup((pages / "index.html").read_text(), "html.parser")
    found = {link.get_text(): link["data-definition"] for link in page.select("a[data-definition]")}
    assert found == {"frame": "One vector <of> a layer.", "CCA": "Compares two views."}


def test_the_glossary_itself_stays_as_it_is(pages):
    assert "data-definition" not in (pages / "book" / "glossary.html").read_text()
