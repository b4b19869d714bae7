"""Checkpoints of models for another sample rate than the one that is read."""

from pathlib import Path

import pytest

from multires.errors import MultiresError
from multires.models.fairseq import fairseq_config


@pytest.mark.parametrize("rate", [8000, "8000", 44_100])
def test_a_fairseq_model_for_another_rate_is_refused(rate):
    state = {"cfg": {"model": {"_name": "hubert"}, "task": {"_name": "hubert_pretraining", "sample_rate": rate}}}
    with pytest.raises(MultiresError, match=rf"a\.pt was trained on audio at {rate} Hz, and multires reads 16,000 Hz"):
        fairseq_config(state, Path("a.pt"))
