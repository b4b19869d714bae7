"""Retries, workers that do not respond, and merges on a Dask cluster; each test has a cluster of its own."""

import logging
import operator
import os
import signal
import threading
from itertools import count
from pathlib import Path

import pytest

from multires.errors import MultiresError
from multires.runtime.cluster import Cluster
from multires.runtime.engine import LOCAL
from tests.local_cluster import local_cluster

pytestmark = pytest.mark.slow


def begun(piece: tuple[str, str]) -> int:
    """Note on disk that a piece begins; gives how often it had begun before."""
    kind, folder = piece
    before = len(list(Path(folder).glob(f"{kind}.*")))
    (Path(folder) / f"{kind}.{before}").touch()
    return before


def name(piece: tuple[str, str]) -> str:
    """The piece's name; some fail and some never end, the first time or always."""
    before = begun(piece)
    if piece[0] == "always fails":
        raise ValueError("no such luck")
    if piece[0].startswith("kills"):
        os.kill(os.getpid(), signal.SIGKILL)
    if piece[0] == "fails once" and not before:
        raise OSError("a passing trouble")
    if piece[0] == "always hangs" or (piece[0] == "hangs once" and not before):
        threading.Event().wait()
    return piece[0]


def one(piece: tuple[str, str]) -> int:
    return len([name(piece)])


def notices(caplog) -> str:
    """The messages of this package."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("multires"))


class Clock:
    """A clock that stands still until a piece hangs and nothing else runs, and again once a worker was restarted."""

    def __init__(self, ready, caplog) -> None:
        self.ready, self.caplog, self.ticks = ready, caplog, count()
        self.now = 0.0

    def __call__(self) -> float:
        if self.ready() and not notices(self.caplog):
            self.now = float(next(self.ticks))
        return self.now


def test_a_merge_is_that_of_this_process(tmp_path):
    pieces = [[number] for number in range(5)]
    with local_cluster(tmp_path) as client:
        assert Cluster(client).merge(list, pieces, operator.add) == LOCAL.merge(list, pieces, operator.add)


def test_pieces_that_fail_are_retried_and_reported_and_the_others_are_done(tmp_path, caplog):
    kinds = ["fails once", "works", "always fails", "works too"]
    done: list[str] = []
    with local_cluster(tmp_path / "dask") as client, pytest.raises(MultiresError) as error:
        done.extend(Cluster(client).each(name, [(kind, str(tmp_path)) for kind in kinds], "pieces"))
    assert sorted(done) == ["fails once", "works", "works too"]
    assert str(error.value).startswith("1 of 4 pieces failed, the others are done and kept")
    assert "ValueError: no such luck" in str(error.value)
    assert "a passing trouble; retrying" in notices(caplog)
    assert len(list(tmp_path.glob("always fails.*"))) == 3


def test_a_piece_that_kills_its_workers_takes_no_other_piece_with_it(tmp_path):
    kinds = ["kills", *(f"works {index}" for index in range(8)), "kills too"]
    done: list[str] = []
    with local_cluster(tmp_path / "dask", allowed_failures=1) as client, pytest.raises(MultiresError) as error:
        done.extend(Cluster(client, glance=0.05).each(name, [(kind, str(tmp_path)) for kind in kinds], "pieces"))
    assert sorted(done) == sorted(kinds[1:-1])
    assert str(error.value).startswith("2 of 10 pieces failed, the others are done and kept")
    assert str(error.value).count("every worker that had it died") == 2


def test_a_piece_whose_worker_does_not_respond_is_retried(tmp_path, caplog):
    kinds = ["hangs once", "works", "works too", "and this"]
    done: list[str] = []
    clock = Clock(lambda: len(done) == 3 and (tmp_path / "hangs once.0").exists(), caplog)
    with local_cluster(tmp_path / "dask") as client:
        engine = Cluster(client, patience=3, clock=clock, glance=0.05)
        for piece in engine.each(name, [(kind, str(tmp_path)) for kind in kinds], "pieces"):
            done.append(piece)
    assert sorted(done) == sorted(kinds)
    assert "was not done after 3 s; retrying" in notices(caplog)


def test_a_merge_survives_a_worker_that_does_not_respond(tmp_path, caplog):
    pieces = [(kind, str(tmp_path)) for kind in ("works", "hangs once", "works too", "and this")]
    with local_cluster(tmp_path / "dask", allowed_failures=3) as client:  # a restarted worker counts as one that died
        clock = Clock(lambda: len(list(tmp_path.glob("*.0"))) == 4, caplog)
        assert Cluster(client, patience=3, clock=clock, glance=0.05).merge(one, pieces, operator.add) == 4
    assert "does not respond: restarted" in notices(caplog)


def test_a_merge_that_never_ends_is_given_up(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, "multires")  # the clock goes on after a restart
    with local_cluster(tmp_path / "dask", allowed_failures=3) as client:
        clock = Clock(lambda: (tmp_path / "always hangs.0").exists(), caplog)
        engine = Cluster(client, patience=2, attempts=2, clock=clock, glance=0.05)
        with pytest.raises(MultiresError, match=r"could not be merged: tcp://.* was not done after 2 s"):
            engine.merge(one, [("always hangs", str(tmp_path))], operator.add)
