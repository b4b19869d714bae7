"""The one exception whose message is written for the person at the keyboard."""


class MultiresError(ValueError):
    """Bad input or an environment that cannot serve: one sentence that names the file or parameter and the remedy."""


def choose(what: str, value: object, known: "list[str] | tuple[str, ...]") -> str:
    """Return `value` if it is one of `known`; otherwise say what `what` may be.

    Raises
    ------
    MultiresError
        With the list of known names, when `value` is not among them.
    """
    if isinstance(value, str) and value in known:
        return value
    raise MultiresError(f"unknown {what} {value!r}: choose one of {', '.join(known)}")
