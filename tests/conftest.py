"""One small run of every stage, shared by the tests that look at its tables."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest

from multires.run import Run, open_run

matplotlib.use("agg")

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
    "efficiency_size": "small",
}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three minutes of embedded speech, two untrained models, one workspace for the whole session."""
    return open_run("embedded", workspace=tmp_path_factory.mktemp("workspace"), progress=False, **SETTINGS)


@pytest.fixture(scope="session")
def librispeech_mini() -> Path | None:
    """Real speech beside the repository, or None where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "librispeech-mini"
    return folder if folder.is_dir() else None
