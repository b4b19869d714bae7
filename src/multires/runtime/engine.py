"""The engine protocol, and its local implementation: work in this process, one piece after another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from multires.errors import MultiresError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Engine:
    """Work in this process, one piece after another; `multires.runtime.cluster.Cluster` has the same methods."""

    remote = False

    def width(self, what: str = "the work") -> int:
        """The number of pieces that run at the same time; `what` names them in messages."""
        return 1

    def each(self, function: Callable[[Piece], Result], pieces: Iterable[Piece], what: str) -> Iterator[Result]:
        """The results of a function for every piece, in the order in which they finish.

        Parameters
        ----------
        function, pieces
            Picklable where the engine is a cluster; `str` of a piece names it in messages.
        what
            Name of all pieces together, for messages.

        Raises
        ------
        MultiresError
            From the function; on a cluster, when all other pieces are done, naming those that failed.
        """
        for piece in pieces:
            yield function(piece)

    def merge(
        self, function: Callable[[Piece], Result], pieces: Sequence[Piece], join: Callable[[Result, Result], Result]
    ) -> Result:
        """The results of a function for all pieces, joined in pairs as the branches of a binary tree.

        The tree is the same on every engine, and so is the result, to the last bit. At most one result per level of the
        tree is held at a time.

        Examples
        --------
        >>> import operator
        >>> LOCAL.merge(len, ["a", "bc", "def"], operator.add)
        6
        """
        if not pieces:
            raise MultiresError("there is nothing to merge")
        branches: list[tuple[int, Result]] = []
        for piece in pieces:
            height, joined = 0, function(piece)
            while branches and branches[-1][0] == height:
                height, joined = height + 1, join(branches.pop()[1], joined)
            branches.append((height, joined))
        joined = branches.pop()[1]
        while branches:
            joined = join(branches.pop()[1], joined)
        return joined


LOCAL = Engine()


def open_engine(engine: Any = None) -> Engine:
    """The engine for a name: ``local``, or the address of a Dask scheduler.

    A Dask client and an `Engine` are accepted too. The default is the environment variable MULTIRES_ENGINE, else
    ``local``.

    Raises
    ------
    MultiresError
        For any other value, if no scheduler answers, or without the extra ``cluster``.
    """
    if isinstance(engine, Engine):
        return engine
    if engine is None or engine == "":
        engine = os.environ.get("MULTIRES_ENGINE", "local")
    if engine == "local":
        return LOCAL
    try:
        from distributed import Client

        from multires.runtime.cluster import Cluster, connect
    except ImportError as error:
        raise MultiresError("an engine other than local needs Dask: pip install 'multires[cluster]'") from error
    if isinstance(engine, Client):
        return Cluster(engine)
    if not isinstance(engine, str) or ":" not in engine:
        raise MultiresError(
            f"unknown engine {engine!r}: give local, the address of a Dask scheduler (tcp://host:8786) or a Dask client"
        )
    try:
        return Cluster(connect(engine))
    except (OSError, ValueError) as error:
        raise MultiresError(f"engine: no Dask scheduler answers at {engine} ({error})") from error
