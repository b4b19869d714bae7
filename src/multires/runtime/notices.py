"""Log messages on the terminal: waits, retries, recomputations and errors.

Every module logs to ``logging.getLogger(__name__)``. The command line and notebooks show these messages on standard
error; programs that use the package configure logging as they like.
"""

from __future__ import annotations

import logging
import sys

from multires.visible import visible


class _StandardError(logging.Handler):
    """Writes to the standard error of the moment, which notebooks and tests replace."""

    def emit(self, record: logging.LogRecord) -> None:
        print(visible(self.format(record), keep="\n\t"), file=sys.stderr, flush=True)


_HANDLER = _StandardError()


def show_notices() -> None:
    """Print the package's log messages from level INFO on, unless the program handles log messages itself."""
    logger = logging.getLogger("multires")
    if not logging.getLogger().handlers and _HANDLER not in logger.handlers:
        logger.addHandler(_HANDLER)
        logger.setLevel(logging.INFO)
