"""Whisper's encoder (arXiv 2212.04356) of transformers, with every layer under the same interface."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from multires.errors import MultiresError
from multires.models.layers import Layer, LayeredModel, LayerOutputs

RATE, HOP = 16_000, 320
"""Hertz; samples from frame to frame (20 ms)."""


class WhisperEncoder(LayeredModel):
    """The encoder of a `transformers.WhisperModel`, in windows of 30 s as it was trained.

    Its layers are ``conv`` (after both convolutions, before positions are added) and ``encoder.0.0`` onwards, each
    Transformer layer's output (the last one before the final layer norm). Log-mel frames are centered on multiples of
    10 ms and the second convolution keeps every other one, so frame i is centered on ``i * 20 ms`` and n samples have
    ``ceil(n / 320)`` frames. Longer audio is read in consecutive windows; frames beyond the audio are dropped.

    Parameters
    ----------
    encoder, extractor
        Of transformers.
    key, description
        As in `LayeredModel`.
    pad
        Whether to fill each window with silence up to 30 s, as in training. Without, frames differ a little and short
        utterances take a fraction of the time.
    """

    def __init__(self, encoder: Any, extractor: Any, *, key: str, description: str, pad: bool = True) -> None:
        super().__init__()
        self.encoder = encoder
        self.extractor = extractor
        self.key, self.description, self.trained, self.pad = key, description, True, pad
        self.depth = len(encoder.layers)
        # 25 ms, and two convolutions over three frames 10 ms apart.
        self.receptive_field = 400 + 4 * 160
        self.window = int(extractor.n_samples)
        self.reach = self.window / RATE
        width = int(encoder.config.d_model)
        period = HOP / RATE
        self._layers = (
            Layer("conv", "conv", "conv", 0, period, width, 0.0),
            *(
                Layer(f"encoder.0.{index}", f"E{index + 1}", "encoder.0", index + 1, period, width, 0.0)
                for index in range(len(encoder.layers))
            ),
        )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """``conv``, then the first `depth` Transformer layers, all of them unless `depth` is changed."""
        return self._layers[: 1 + self.depth]

    def forward(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> LayerOutputs:
        """Every layer of a batch of 16 kHz waveforms; `lengths` in samples, all of them full where None.

        Raises
        ------
        MultiresError
            If a waveform is shorter than 25 ms.
        """
        batch, samples = waveforms.shape
        if lengths is None:
            lengths = torch.full((batch,), samples)
        if batch and int(lengths.min()) < 400:
            raise MultiresError(
                f"a waveform of {int(lengths.min())} samples is shorter than one frame of 400: leave it out"
            )
        counts = -(-lengths // HOP)
        each = [self._utterance(waveforms[i, : int(n)]) for i, n in enumerate(lengths)]
        frames = {
            layer.name: torch.nn.utils.rnn.pad_sequence([one[layer.name] for one in each], batch_first=True)
            for layer in self.layers
        }
        return LayerOutputs(frames, {layer.name: counts.to(waveforms.device) for layer in self.layers})

    def _utterance(self, waveform: Tensor) -> dict[str, Float[Tensor, "frames dim"]]:
        """All windows of one utterance, one after the other."""
        found = [self._window(part) for part in waveform.split(self.window)]
        return {name: torch.cat([one[name] for one in found]) for name in found[0]}

    def _window(self, waveform: Tensor) -> dict[str, Float[Tensor, "frames dim"]]:
        encoder, count = self.encoder, -(-len(waveform) // HOP)
        size = self.window if self.pad else max(count * HOP, 2 * HOP)
        audio = F.pad(waveform.float(), (0, size - len(waveform))).cpu().numpy()
        mel = self.extractor(
            audio, sampling_rate=RATE, return_tensors="pt", padding="do_not_pad", truncation=False
        ).input_features
        x = mel.to(waveform.device, encoder.conv1.weight.dtype)
        x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(x)))).transpose(1, 2)
        frames = {"conv": x[0, :count]}
        x = x + encoder.embed_positions.weight[: x.shape[1]]
        for index, layer in enumerate(encoder.layers[: self.depth]):
            output = layer(x, attention_mask=None)
            x = output[0] if isinstance(output, tuple) else output
            frames[f"encoder.0.{index}"] = x[0, :count]
        return frames
