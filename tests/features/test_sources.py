"""Fingerprints of models."""

import torch

from multires.features.sources import fingerprint
from tests.features.ramp import Ramp


def test_fingerprint_follows_the_weights():
    one, other = Ramp(), Ramp()
    assert fingerprint(one) == fingerprint(other)
    with torch.no_grad():
        other.weight += 1
    assert fingerprint(one) != fingerprint(other)
