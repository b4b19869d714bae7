"""Check built pages: all there, figures in place, no broken link, no traceback, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import yaml
from bs4 import BeautifulSoup, Tag
from PIL import Image, UnidentifiedImageError

_GENERATED = ("genindex.html", "search.html")


def check_pages(html: Path, toc: Path, hidden: Sequence[str] = ()) -> list[str]:
    """List the faults of the built book, one sentence each.

    Parameters
    ----------
    html
        The folder of built pages.
    toc
        The book's table of contents; each of its entries must be a page, and each notebook among them must show every
        image that its executed copy holds, at least one.
    hidden
        Strings that must not stand on a page, such as the folder of the machine that built it.
    """
    if not (html / "index.html").is_file():
        return [f"{html} holds no book: build it first"]
    faults = []
    for document in documents(toc):
        page = html / f"{document}.html"
        if page.is_file():
            faults += [f"{document}: {fault}" for fault in _page_faults(page, html, hidden)]
        else:
            faults.append(f"{document}: the page is missing")
    faults += _unmentioned(html, documents(toc))
    for name in _GENERATED:
        page = html / name
        faults += [f"{name}: {fault}" for fault in _link_faults(page)] if page.is_file() else [f"{name} is missing"]
    return faults


def postprocess(html: Path) -> None:
    """Bring built pages to what readers with a keyboard, a screen reader or no network need.

    The theme names some buttons otherwise than they read, leaves the book's title outside every landmark, and adds the
    scripts of Thebe, twice, which would fetch a kernel from elsewhere; docutils gives the bibliography roles that do not
    fit together; pandas leaves header cells empty.
    """
    for page in sorted(html.rglob("*.html")):
        soup = _soup(page)
        if soup.find("body") is None:
            continue
        for script in soup.find_all("script"):
            source, text = str(script.get("src", "")), script.get_text()
            if "thebe" in source or "thebe" in str(script.get("type", "")) or "THEBE_JS_URL" in text:
                script.decompose()
        for node in soup.select(
            "details > summary[aria-label], .theme-switch-button[aria-label], .search-button-field"
        ):
            del node["aria-label"]
        for node in soup.select(".citation-list, .citation-list [role^=doc-biblio]"):
            del node["role"]
        for node in soup.select("th"):
            if not node.get_text(strip=True):
                node.name = "td"
        for node in soup.select(".sidebar-primary-items__start > .sidebar-primary-item:first-child"):
            node["role"], node["aria-label"] = "navigation", "Title of the book"
        page.write_text(str(soup), encoding="utf-8")


def documents(toc: Path) -> list[str]:
    """Every entry of a table of contents, the root first."""
    tree = yaml.safe_load(toc.read_text(encoding="utf-8"))
    return [tree["root"], *_entries(tree)]


def _entries(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "file" in node:
            yield str(node["file"])
        for value in node.values():
            yield from _entries(value)
    elif isinstance(node, list):
        for value in node:
            yield from _entries(value)


def _page_faults(page: Path, html: Path, hidden: Sequence[str]) -> list[str]:
    soup = _soup(page)
    article = soup.find("article")
    if not isinstance(article, Tag) or article.find("h1") is None:
        return ["it has no article with a title"]
    faults = _link_faults(page) + _image_faults(page, article)
    text = article.get_text(" ")
    faults += [
        f"it names {secret}, a folder of this machine" for secret in hidden if len(secret) > 1 and secret in text
    ]
    if "Traceback (most recent call last)" in text or article.select(".output.traceback"):
        faults.append("it shows a traceback")
    for output in article.select(".output.stderr"):
        faults.append(f"a cell wrote to standard error: {' '.join(output.get_text().split())[:200]}")
    source = html / "_sources" / page.relative_to(html).with_suffix(".ipynb")
    if source.is_file():
        expected = _image_outputs(source)
        shown = len(article.select(".cell_output img"))
        if shown != expected:
            faults.append(f"it shows {shown} of the notebook's {expected} figures")
        elif not shown:
            faults.append("the notebook has no figure")
    return faults


def _unmentioned(html: Path, pages: Sequence[str]) -> list[str]:
    """Figures and equations that no text refers to by their number."""
    named, mentioned = [], set()
    for document in pages:
        page = html / f"{document}.html"
        if not page.is_file():
            continue
        article = _soup(page).find("article")
        if not isinstance(article, Tag):
            continue
        numbered = article.select("figure[id^=fig-], div.math[id^=equation-eq-]")
        named += [(document, str(node["id"])) for node in numbered]
        mentioned |= {
            unquote(urlsplit(str(link["href"])).fragment)
            for link in article.select("a.reference[href*='#'], .math a[href*='#'], a[href*='#equation-']")
            if "headerlink" not in (link.get("class") or [])
        }
    return [f"{document}: no text refers to {name}" for document, name in named if name not in mentioned]


def _image_outputs(notebook: Path) -> int:
    """Number of images in the cells that the page shows."""
    gone = {"remove-cell", "remove-output", "remove_cell", "remove_output"}
    return sum(
        any(kind.startswith("image/") for kind in output.get("data", {}))
        for cell in nbformat.read(notebook, as_version=4).cells
        if cell.cell_type == "code" and not gone & set(cell.metadata.get("tags", []))
        for output in cell.outputs
    )


def _image_faults(page: Path, article: Tag) -> list[str]:
    faults = []
    for image in article.find_all("img"):
        address = str(image.get("src", ""))
        file = page.parent / unquote(urlsplit(address).path)
        alt = str(image.get("alt", "")).strip()
        if not alt or alt.endswith((".png", ".svg")):
            faults.append(f"the image {address} has no alternative text")
        if urlsplit(address).scheme:
            continue  # reported as loaded from elsewhere
        if file.suffix == ".svg":
            if not file.is_file() or "<svg" not in file.read_text(encoding="utf-8", errors="replace"):
                faults.append(f"the image {address} is missing or empty")
            continue
        try:
            with Image.open(file) as opened:
                opened.verify()
        except (OSError, UnidentifiedImageError, SyntaxError):
            faults.append(f"the image {address} is missing or empty")
    return faults


def _link_faults(page: Path) -> list[str]:
    faults = []
    soup = _soup(page)
    for tag, attribute in (("a", "href"), ("link", "href"), ("script", "src"), ("img", "src")):
        for node in soup.find_all(tag):
            address = str(node.get(attribute, ""))
            parts = urlsplit(address)
            if not address or parts.scheme in ("data", "mailto", "javascript"):
                continue
            if parts.scheme or parts.netloc:
                loads = tag in ("script", "img") or (tag == "link" and "stylesheet" in (node.get("rel") or []))
                if loads:
                    faults.append(f"it loads {address} from elsewhere")
                continue
            target = page if not parts.path else page.parent / unquote(parts.path)
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file():
                faults.append(f"the link {address} leads nowhere")
            elif (
                parts.fragment
                and target.suffix == ".html"
                and unquote(parts.fragment) not in _anchors(target, target.stat().st_mtime_ns)
            ):
                faults.append(f"the link {address} names a place that does not exist")
    return faults


def _soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


@cache
def _anchors(page: Path, changed: int) -> frozenset[str]:
    """Every place that a link can name; `changed` makes a rebuilt page count as another."""
    soup = _soup(page)
    return frozenset(str(node[name]) for name in ("id", "name") for node in soup.select(f"[{name}]"))
