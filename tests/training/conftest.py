"""Noise with units, as training takes them."""

import numpy as np
import pytest

from multires.corpus.utterance import Corpus, Utterance
from multires.training.speech import load_speech
from multires.training.targets import cepstral_units


@pytest.fixture(scope="session")
def data():
    rng = np.random.default_rng(0)
    utterances = []
    for i, samples in enumerate(rng.integers(9_000, 40_000, 30)):
        audio = (0.1 * rng.normal(size=samples)).astype(np.float32)
        utterances.append(Utterance(f"u{i}", "s", "train", samples / 16000, lambda audio=audio: audio))
    speech = load_speech(Corpus("noise", utterances), ["train"], progress=False)
    return speech, cepstral_units(speech, 8, seed=0, progress=False)(speech, progress=False)
