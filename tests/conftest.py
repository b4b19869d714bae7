"""What all tests share: threads for the cores there are, and one small run of every stage."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits

from multires.analysis.run import Run, open_run

matplotlib.use("agg")

# In CI the same examples each time, however slow the machine; elsewhere new ones, so that rare faults are found.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

# Every worker of pytest-xdist would start a thread for each core. Threads that outnumber the cores wait for one another
# by spinning: training a small model takes ten times longer then.
THREADS = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))  # of kernels and other processes that tests start
torch.set_num_threads(min(THREADS, torch.get_num_threads()))
threadpool_limits(THREADS)

COSTLY = ("run", "drawn", "client")
"""Fixtures that take long to make: the run, its figures, and a cluster."""

SETTINGS = {
    "hours": 0.06,
    "frames": 1200,
    "models": "untrained/mono-small,untrained/multi-small",
    "folds": 5,
    "resamples": 40,
    "cluster_seeds": 2,
    "phone_clusters": 40,
    "word_clusters": 20,
    "word_instances": 4,
    "frame_utterances": 20,
    "matched_instances": 200,
    "grid_frames": 600,
    "unit_clusters": "10,20",
    "efficiency_size": "small",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give tests to the next free worker one by one, but all that share what is `COSTLY` to the same: it is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, name = nodeid.partition("::")
            return "costly" if name.partition("[")[0] in _costly_tests(config.rootpath / file) else nodeid

    return Scheduling(config, log)


@cache
def _costly_tests(file: Path) -> frozenset[str]:
    """The tests of a file that take one of `COSTLY`."""
    pattern = rf"^def (test_\w+)\([^)]*\b(?:{'|'.join(COSTLY)})\b"
    return frozenset(re.findall(pattern, file.read_text(), re.MULTILINE))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Speech and downloads of these tests, not those of the user or of another test process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTIRES_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three minutes of synthetic speech, two untrained models, one workspace for the whole session."""
    return open_run("synthetic", workspace=tmp_path_factory.mktemp("workspace"), progress=False, **SETTINGS)


@pytest.fixture(scope="session")
def librispeech_mini() -> Path | None:
    """Real speech beside the repository, or None where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "librispeech-mini"
    return folder if folder.is_dir() else None
