"""The one exception whose message is written for the person at the keyboard."""

import difflib

from multires.visible import visible


class MultiresError(ValueError):
    """Bad input or an environment that cannot serve: one sentence that names the file or parameter and the remedy.

    It is shown without control characters, which names of files and labels may hold.
    """

    def __str__(self) -> str:
        return visible(super().__str__(), keep="\n")

    def _render_traceback_(self) -> list[str]:
        """Traceback for Jupyter: the message without the calls that led to it."""
        return [f"{type(self).__name__}: {self}"]


class TooLittleSpeech(MultiresError):
    """Speech that one table cannot be computed from; other tables may be."""


def choose(what: str, value: object, known: "list[str] | tuple[str, ...]") -> str:
    """Return `value` if it is one of `known`; otherwise say what `what` may be.

    Raises
    ------
    MultiresError
        With the list of known names, when `value` is not among them.
    """
    if isinstance(value, str) and value in known:
        return value
    raise MultiresError(f"unknown {what} {value!r}{nearest(value, known)}: choose one of {', '.join(known)}")


def nearest(value: object, known: "list[str] | tuple[str, ...]") -> str:
    """`` (did you mean NAME?)`` for the known name that is most like `value`; empty where none is.

    Examples
    --------
    >>> nearest("papers", ["synthetic", "paper"])
    ' (did you mean paper?)'
    """
    found = difflib.get_close_matches(str(value), known, n=1)
    return f" (did you mean {found[0]}?)" if found else ""
