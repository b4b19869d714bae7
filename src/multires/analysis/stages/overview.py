"""Summary of a run's corpus, and an example utterance with its spectrogram."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torchaudio
from jaxtyping import Float

from multires.analysis.run import Run
from multires.corpus.utterance import SAMPLE_RATE, Utterance


def corpus_summary(run: Run) -> pd.DataFrame:
    """One row a split: utterances, speakers, minutes, phones and words, utterances without alignment or transcript."""
    rows = []
    units = run.segments.groupby(["split", "unit"]).size()
    for split in run.corpus.splits:
        part = [utterance for utterance in run.corpus if utterance.split == split]
        words = run.segments[(run.segments["split"] == split) & (run.segments["unit"] == "word")]["label"]
        rows.append({
            "split": split,
            "utterances": len(part),
            "speakers": len({utterance.speaker for utterance in part}),
            "minutes": sum(utterance.duration for utterance in part) / 60,
            "phones": int(units.get((split, "phone"), 0)),
            "words": int(units.get((split, "word"), 0)),
            "different words": words.nunique(),
            "without alignment": sum(utterance.phones is None for utterance in part),
            "without transcript": sum(utterance.transcript is None for utterance in part),
        })  # fmt: skip
    return pd.DataFrame(rows)


def example_utterance(run: Run) -> Utterance:
    """The first aligned utterance of at least a second and a half."""
    for utterance in run.corpus:
        if utterance.phones and utterance.words and utterance.duration >= 1.5:
            return utterance
    return run.corpus.utterances[0]


def log_mel(utterance: Utterance) -> Float[np.ndarray, "bands frames"]:
    """Log-mel spectrogram of an utterance for a picture: 80 bands, a frame each 10 ms."""
    audio = torch.from_numpy(utterance.audio)
    mel = torchaudio.transforms.MelSpectrogram(SAMPLE_RATE, n_fft=400, hop_length=SAMPLE_RATE // 100, n_mels=80)
    return torch.log10(mel(audio) + 1e-6).numpy()
