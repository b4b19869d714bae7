"""One small run whose frames several stages share."""

import pytest

from multires.analysis.run import Run, open_run


@pytest.fixture(scope="session")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two seeds of two untrained models, two layers each."""
    return open_run(
        "synthetic", workspace=tmp_path_factory.mktemp("framed"), progress=False, hours=0.12, resamples=20, folds=4,
        trials=1, models="untrained/mono-small,untrained/multi-small", model_seeds="0,1", layers="encoder.0.1,middle.0",
        word_instances=3, frame_utterances=15, grid_frames=300, unit_clusters="10", frames=100, reference_model="mel",
        matched_instances=100, probe_instances=300,
    )  # fmt: skip
