"""Text in which every character can be seen: names of files, labels and messages on a terminal cannot act on it."""

from __future__ import annotations

import unicodedata

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def visible(text: object, *, longest: int | None = None, keep: str = "") -> str:
    r"""Text on one line in which every character can be seen.

    Control characters, line breaks, marks that reverse the direction of writing, and bytes of a file name that are not
    UTF-8 become escape sequences such as ``\x1b``.

    Parameters
    ----------
    text
        Anything; what is not text is shown by `str`.
    longest
        Characters that are shown; the middle of a longer text is left out.
    keep
        Characters that stay as they are, such as line breaks.

    Examples
    --------
    >>> print(visible("a\x1b[2Jb"))
    a\x1b[2Jb
    >>> visible("abcdefghij", longest=5)
    'ab…ij'
    """
    shown = "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNSEEN and character not in keep
        else character
        for character in str(text)
    )
    if longest is not None and len(shown) > longest:
        half = (longest - 1) // 2
        shown = f"{shown[: longest - 1 - half]}…{shown[len(shown) - half :]}"
    return shown
