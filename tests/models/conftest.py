"""What the tests of models share: fairseq's checkpoints, and speech where there is some."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import soundfile
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def speech() -> torch.Tensor:
    """30 s of real speech where it is at hand, of a sum of swept tones in noise otherwise."""
    files = sorted((ROOT.parent / "shared" / "librispeech-mini").rglob("*.flac"))[:8]
    if files:
        found = torch.cat([torch.from_numpy(soundfile.read(file, dtype="float32")[0]) for file in files])
        if len(found) >= 480_000:
            return found[:480_000]
    time = torch.arange(480_000) / 16_000
    tones = sum(
        torch.sin(2 * torch.pi * f * time + 40 * torch.sin(2 * torch.pi * r * time))
        for f, r in ((180, 2.3), (900, 3.1))
    )
    noise = torch.randn(480_000, generator=torch.Generator().manual_seed(0))
    return 0.05 * tones * (1 + torch.sin(2 * torch.pi * 4 * time)) + 0.003 * noise


@pytest.fixture(scope="session")
def narrow(tmp_path_factory):
    """A narrow MR-HuBERT that fairseq built and wrote."""
    pytest.importorskip("fairseq", reason="fairseq has no build for this Python")
    from benchmarks.reference import FAMILIES, build_reference

    return build_reference(FAMILIES["4-4-4"].narrow(), tmp_path_factory.mktemp("narrow"))
