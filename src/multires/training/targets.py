"""Units to predict: k-means on cepstra or on a model's layer, one label every 20 ms."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import torch
import torchaudio
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from torch import Tensor
from tqdm.auto import tqdm

from multires.corpus.utterance import SAMPLE_RATE
from multires.errors import MultiresError
from multires.models.layers import Layer, LayeredModel
from multires.training.speech import HOP, WINDOW, Speech, frame_count

KMEANS_FRAMES = 60_000
"""Frames that clusters are fitted to, at most."""


class Cepstra(torch.nn.Module):
    """Mel-frequency cepstra on the waveform encoder's own frames: frame i covers samples 320 i to 320 i + 400.

    Parameters
    ----------
    coefficients
        Number of coefficients, including the first (energy).
    deltas
        Whether to append their first and second differences over time (5 frames wide).
    """

    def __init__(self, coefficients: int = 13, deltas: bool = True) -> None:
        super().__init__()
        self.deltas = deltas
        self.dim = coefficients * (3 if deltas else 1)
        mel = {"n_fft": WINDOW, "hop_length": HOP, "n_mels": 40, "center": False}
        self.cepstra = torchaudio.transforms.MFCC(SAMPLE_RATE, coefficients, log_mels=True, melkwargs=mel)

    def forward(self, waveforms: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch frames dim"]:
        """Cepstra of a batch without padding, with each utterance's mean subtracted."""
        x = self.cepstra(waveforms)
        x = x - x.mean(2, keepdim=True)
        if self.deltas:
            first = torchaudio.functional.compute_deltas(x)
            x = torch.cat([x, first, torchaudio.functional.compute_deltas(first)], dim=1)
        return x.transpose(1, 2)


@dataclass(frozen=True)
class Units:
    """Cluster labels that frames are trained to predict.

    Attributes
    ----------
    labels
        One label per 20 ms frame, utterances concatenated as in `Speech.frame_starts`.
    classes
        Number of units.
    source
        Display name, such as ``MFCC`` or ``hubert encoder.0.3``.
    fingerprint
        Changes with the labels.
    """

    labels: Int[Tensor, " frames"]
    classes: int
    source: str
    fingerprint: str


class Quantizer:
    """k-means on standardized vectors.

    Parameters
    ----------
    vectors
        Training vectors; at most 60,000 are used, sampled at random.
    classes
        Clusters.
    seed
        Seed of the sample and of the clusters.
    """

    def __init__(self, vectors: Float[np.ndarray, "frames dim"], classes: int, seed: int) -> None:
        if len(vectors) < classes:
            raise MultiresError(f"{len(vectors)} frames cannot fill {classes} units: give more speech or fewer units")
        rng = np.random.default_rng(seed)
        if len(vectors) > KMEANS_FRAMES:
            vectors = vectors[np.sort(rng.choice(len(vectors), KMEANS_FRAMES, replace=False))]
        deviation = vectors.std(0)
        self.mean = torch.from_numpy(vectors.mean(0))
        self.deviation = torch.from_numpy(np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32))
        scaled = (torch.from_numpy(vectors) - self.mean) / self.deviation
        kmeans = KMeans(classes, n_init=1, max_iter=60, random_state=seed)
        self.centroids = torch.from_numpy(kmeans.fit(scaled.numpy()).cluster_centers_.astype(np.float32))

    def __call__(self, vectors: Float[Tensor, "frames dim"]) -> Int[Tensor, " frames"]:
        """The nearest centroid of each vector."""
        centroids = self.centroids.to(vectors.device)
        scaled = (vectors - self.mean.to(vectors.device)) / self.deviation.to(vectors.device)
        return (centroids.square().sum(1) - 2 * scaled @ centroids.T).argmin(1)


def sampled_utterances(speech: Speech, seed: int) -> list[int]:
    """Indices of a random sample of utterances that clusters are fitted to, somewhat more than `KMEANS_FRAMES`."""
    rng = np.random.default_rng(seed)
    share = min(1.0, 1.2 * KMEANS_FRAMES / speech.frame_starts[-1])
    return [i for i in range(len(speech.lengths)) if rng.random() < share] or [0]


class Labeler:
    """Units for any speech: the nearest centroid of each frame's features.

    Parameters
    ----------
    features
        From one utterance's samples to ``(frames, dim)`` at 20 ms.
    speech
        Training speech of the centroids: a random sample of its utterances, about 60,000 frames.
    classes, seed
        As for `Quantizer`.
    source
        Display name of the features.
    """

    def __init__(
        self,
        features: Callable[[Float[Tensor, " samples"]], Float[Tensor, "frames dim"]],
        speech: Speech,
        classes: int,
        seed: int,
        source: str,
        progress: bool = True,
    ) -> None:
        self.features, self.classes, self.source = features, classes, source
        bar = tqdm(
            sampled_utterances(speech, seed), desc=f"k-means on {source}", unit="utterance", disable=not progress
        )
        with torch.inference_mode():
            vectors = np.concatenate([features(speech.utterance(i)).cpu().numpy() for i in bar])
        self.quantizer = Quantizer(vectors, classes, seed)

    def __call__(self, speech: Speech, *, progress: bool = True) -> Units:
        """Label every frame of some speech, which need not be the speech that the centroids were fitted to."""
        bar = tqdm(range(len(speech.lengths)), desc=f"units from {self.source}", unit="utterance", disable=not progress)
        with torch.inference_mode():
            labels = torch.cat([self.quantizer(self.features(speech.utterance(i))) for i in bar]).to(torch.int32)
        digest = hashlib.sha256(labels.cpu().numpy().tobytes()).hexdigest()[:16]
        return Units(labels.clone(), self.classes, self.source, digest)


def cepstral_units(speech: Speech, classes: int, *, seed: int, context: int = 0, progress: bool = True) -> Labeler:
    """Units of the first iteration, fitted to `speech`: k-means on MFCC with differences.

    Parameters
    ----------
    context
        Neighboring frames on either side whose cepstra are stacked with a frame's own (without differences if above
        0), which makes units last longer.
    """
    cepstra = Cepstra(deltas=context == 0).to(speech.device)
    source = "MFCC" if context == 0 else f"MFCC of {2 * context + 1} frames"
    return Labeler(lambda samples: stack(cepstra(samples[None])[0], context), speech, classes, seed, source, progress)


def layer_units(
    speech: Speech, model: LayeredModel, layer: str, classes: int, *, seed: int, progress: bool = True
) -> Labeler:
    """Units fitted to `speech`: k-means on a 20 ms layer of another model, a later iteration or a teacher.

    If the layer's frames are centered elsewhere than the waveform encoder's, each frame takes the nearest one.

    Raises
    ------
    MultiresError
        If the model has no such layer with a frame period of 20 ms.
    """
    known = {found.name: found for found in model.layers}
    if layer not in known or abs(known[layer].frame_period - HOP / SAMPLE_RATE) > 1e-9:
        fine = [name for name, found in known.items() if abs(found.frame_period - HOP / SAMPLE_RATE) < 1e-9]
        raise MultiresError(f"{model.key} has no 20 ms layer {layer!r}: choose one of {', '.join(fine)}")
    model = model.to(speech.device).eval()

    def features(samples: Float[Tensor, " samples"]) -> Float[Tensor, "frames dim"]:
        return on_waveform_frames(model(samples[None]).frames[layer][0], known[layer], len(samples))

    return Labeler(features, speech, classes, seed, f"{without_folder(model.key)} {layer}", progress)


def without_folder(model: str) -> str:
    """The name of a model without the folder that it is in, for what is kept or published.

    Examples
    --------
    >>> without_folder("transformers:/data/models/whisper-base"), without_folder("hubert_base")
    ('transformers:whisper-base', 'hubert_base')
    """
    kind, separator, place = model.rpartition(":")
    path = PurePath(place)
    return f"{kind}{separator}{path.name if path.is_absolute() else place}"


def on_waveform_frames(
    frames: Float[Tensor, "layer_frames dim"], layer: Layer, samples: int
) -> Float[Tensor, "frames dim"]:
    """A 20 ms layer's frames at the places of the waveform encoder's frames: for each of these, the nearest one."""
    shift = round((WINDOW / 2 / SAMPLE_RATE - layer.first_center) / (HOP / SAMPLE_RATE))
    at = torch.arange(frame_count(samples), device=frames.device) + shift
    return frames.float()[at.clamp(0, len(frames) - 1)]


def stack(x: Float[Tensor, "frames dim"], context: int) -> Float[Tensor, "frames stacked"]:
    """Each frame with `context` neighbors on either side; the ends repeat."""
    if context == 0:
        return x
    at = torch.arange(len(x), device=x.device)
    return torch.cat([x[(at + shift).clamp(0, len(x) - 1)] for shift in range(-context, context + 1)], dim=1)
