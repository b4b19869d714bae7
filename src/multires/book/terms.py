"""A Sphinx extension: definitions of the glossary's terms, for the script that shows them on hover and focus."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

GLOSSARY = "book/glossary"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("html-page-context", _define)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def definitions(env: BuildEnvironment) -> dict[str, str]:
    """The text of each definition, by the identifier of its term; empty for a book without a glossary."""
    if GLOSSARY not in env.found_docs:
        return {}
    found = {}
    for item in env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        text = " ".join(part.astext() for part in item.findall(nodes.definition))
        for term in item.findall(nodes.term):
            found.update(dict.fromkeys(term["ids"], " ".join(text.split())))
    return found


def _define(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Give each link to a term its definition, and each citation the entry that it is titled with."""
    if doctree is None or page == GLOSSARY or "term-" not in context.get("body", ""):
        return
    known = definitions(app.env)
    body = BeautifulSoup(context["body"], "html.parser")
    for link in body.select("a[href*='#term-']"):
        if definition := known.get(unquote(urlsplit(str(link["href"])).fragment)):
            link["data-definition"] = definition
            if "title" in link.attrs:
                del link["title"]
    context["body"] = str(body)
