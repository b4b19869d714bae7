"""torchaudio's bundles through the common interface; `test_parity` compares their layers with ours."""

from __future__ import annotations

import pytest

from multires.errors import MultiresError
from multires.models import load_model


def test_a_bundle_of_torchaudio_is_read_as_data(monkeypatch):
    """Its weights come from the net: here from a stand-in for the download, which is asked to run nothing."""
    import torchaudio

    asked = []

    def download(url, **options):
        asked.append(options)
        raise RuntimeError("no network")

    monkeypatch.setattr("torchaudio.pipelines._wav2vec2.utils.load_state_dict_from_url", download)
    assert "HUBERT_BASE" in dir(torchaudio.pipelines)
    with pytest.raises(MultiresError, match=r"cannot get the weights of HUBERT_BASE .*hub.checkpoints"):
        load_model("torchaudio:HUBERT_BASE")
    assert asked == [{"weights_only": True}]
