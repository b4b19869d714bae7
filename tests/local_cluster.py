"""Dask clusters on this machine for tests, each with folders and ports of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def local_cluster(folder: Path, preload: str = "multires.runtime.cluster", **config: Any) -> Iterator[Any]:
    """A client of two worker processes of one thread; `config` are Dask's settings below ``distributed.scheduler``.

    Workers join when they have imported `preload`, also those that replace others.
    """
    distributed = pytest.importorskip("distributed")
    import dask

    settings = {
        "distributed.worker.preload": [preload],
        "logging.distributed": "error",
        **{f"distributed.scheduler.{name.replace('_', '-')}": value for name, value in config.items()},
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0", local_directory=str(folder)
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield client
