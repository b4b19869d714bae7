"""Forced alignment: a function of the audio and the text alone."""

from contextlib import suppress

import numpy as np
import pytest
import torch
from torchaudio.functional import resample

from multires.corpus.forced import align
from multires.corpus.speaking import Voice, speak
from multires.corpus.utterance import SAMPLE_RATE
from multires.errors import MultiresError

pytest.importorskip("pocketsphinx")

TEXT = "my sister washed the sheep"


def test_an_alignment_does_not_depend_on_the_utterances_before_it():
    [spoken] = speak(Voice("m1", 160, 50, 50), [TEXT.split()])
    samples = torch.from_numpy(np.pad(spoken.samples, 2_205).astype(np.float32) / 32768)
    audio = resample(samples, spoken.sample_rate, SAMPLE_RATE).numpy()
    alone = align(audio, TEXT)
    dull = np.convolve(audio, np.ones(12) / 12, mode="same")
    for other in (0.02 * audio, dull, np.diff(audio, prepend=0)):
        with suppress(MultiresError):  # an utterance that cannot be aligned adapts the decoder too
            align(other, TEXT)
        assert align(audio, TEXT) == alone
