"""Escape text that comes from outside: names of files, speakers and models, labels, and reasons for skipping a file.

Every place that shows such text uses the function of its format, so that a name is always shown as it is and never
interpreted. Control characters, which no format can show, are replaced by their escape sequence first.
"""

from __future__ import annotations

import html as _html
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from multires.visible import visible

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

LONGEST = 120
"""Characters that a label or name may have where it is shown; the middle of a longer one is left out."""

_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>&|~$^]|^[#\-+=%:!\"'()]|(?<=^\d)[.)]|(?<=^\d\d)[.)]|(?<=^\d\d\d)[.)]")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def for_terminal(text: object) -> str:
    r"""Text without control characters, so that it cannot move the cursor, change colors or set a title.

    Examples
    --------
    >>> print(for_terminal("\x1b]0;title\x07"))
    \x1b]0;title\x07
    """
    return visible(text)


def for_html(text: object) -> str:
    """Text for the content or a quoted attribute of an HTML element.

    Examples
    --------
    >>> for_html("<img onerror=x>.flac")
    '&lt;img onerror=x&gt;.flac'
    """
    return _html.escape(visible(text), quote=True)


def for_markdown(text: object) -> str:
    """Text for Markdown and MyST, in running text or in the cell of a table.

    Punctuation becomes character references: a backslash would not protect a bar in a table's cell, or a role of MyST.

    Examples
    --------
    >>> for_markdown("<b>|$x$")
    '&#60;b&#62;&#124;&#36;x&#36;'
    """
    shown = visible(text)
    kept = shown.lstrip()  # a mark of a block counts at the start of a line, also after white space
    return shown[: len(shown) - len(kept)] + _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", kept)


def for_latex(text: object) -> str:
    r"""Text for a LaTeX document.

    Examples
    --------
    >>> print(for_latex("50% of $x_1$"))
    50\% of \$x\_1\$
    """
    return "".join(_LATEX.get(character, character) for character in visible(text))


def for_figure(text: object, *, longest: int = LONGEST) -> str:
    r"""Text for a label in a figure of `multires.report.figures`, whose style reads no text as a formula.

    Examples
    --------
    >>> print(for_figure("$x$\x07"))
    $x$\x07
    """
    shown = visible(text, longest=longest)
    return f"\u200a{shown}" if shown.startswith("_") else shown  # matplotlib leaves such labels out of legends


def styled(table: pd.DataFrame, formats: Mapping[str, str] | None = None, *, precision: int = 3) -> Styler:
    """A table as HTML without its row numbers, every cell and name escaped.

    Parameters
    ----------
    table
        What to show.
    formats
        A format string for each column that needs one.
    precision
        Digits after the point of all other numbers.
    """
    shown = table.rename(columns=for_html)
    for position, dtype in enumerate(shown.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            shown.isetitem(position, [cell if _is_missing(cell) else visible(cell) for cell in shown.iloc[:, position]])
    renamed = {for_html(name): how for name, how in (formats or {}).items()}
    style = shown.style.hide(axis="index")
    return style.format(precision=precision, thousands=",", na_rep="–", escape="html").format(
        renamed, subset=list(renamed), na_rep="–", escape="html"
    )


def _is_missing(cell: Any) -> bool:
    return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))
