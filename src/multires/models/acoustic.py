"""Log-mel and cepstra as models of one layer, so that the same extraction and measures serve them."""

from __future__ import annotations

import torch
import torchaudio
from jaxtyping import Float, Int
from torch import Tensor

from multires.errors import MultiresError
from multires.models.layers import Layer, LayeredModel, LayerOutputs

RATE, WINDOW, HOP = 16_000, 400, 160
"""Hertz; samples under a frame (25 ms); samples from frame to frame (10 ms)."""

FFT = 1024
BANDS = 80
COEFFICIENTS = 13
_FLOOR = 1e-6


class _Acoustic(LayeredModel):
    """Frame i covers samples ``160 i`` to ``160 i + 400`` and is centered 12.5 ms after the first of them."""

    trained = True
    reach = "local"
    name: str
    dim: int
    mel: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.key = self.name
        # One band's triangle is narrower than a bin of a 400-point transform; zeros behind the window interpolate.
        mel = torchaudio.functional.melscale_fbanks(
            FFT // 2 + 1, 20.0, RATE / 2, BANDS, RATE, norm=None, mel_scale="htk"
        )
        self.register_buffer("mel", mel, persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The one layer."""
        center = WINDOW / 2 / RATE
        return (Layer(self.name, self.name, self.name, 0, HOP / RATE, self.dim, center),)

    def log_mel(self, waveforms: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch frames bands"]:
        """The natural logarithm of the power in 80 triangular bands from 20 Hz to 8 kHz, even on the mel scale."""
        frames = waveforms.float().unfold(1, WINDOW, HOP) * self.window
        power = torch.fft.rfft(frames, n=FFT).abs().square()
        return (power @ self.mel + _FLOOR).log()

    def frames(
        self, waveforms: Float[Tensor, "batch samples"], counts: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch frames dim"]:
        """The layer, of which each utterance's first `counts` frames are its own."""
        raise TypeError(f"{type(self).__name__} does not define frames")

    def forward(
        self,
        waveforms: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> LayerOutputs:
        """The layer of a batch of 16 kHz waveforms; `lengths` in samples, all of them full where None.

        Raises
        ------
        MultiresError
            If a waveform is shorter than one frame.
        """
        batch, samples = waveforms.shape
        if lengths is None:
            lengths = torch.full((batch,), samples, device=waveforms.device)
        if batch and (int(lengths.min()) < WINDOW or int(lengths.max()) > samples):
            raise MultiresError(
                f"waveform lengths from {int(lengths.min())} to {int(lengths.max())} samples do not lie between one "
                f"frame's {WINDOW} and the waveforms' {samples}"
            )
        counts = (lengths.to(waveforms.device) - WINDOW) // HOP + 1
        x = self.frames(waveforms, counts)[:, : int(counts.max())]
        own = torch.arange(x.shape[1], device=x.device) < counts[:, None]
        return LayerOutputs({self.name: torch.where(own[..., None], x, 0.0)}, {self.name: counts})


class LogMel(_Acoustic):
    """80 log-mel bands, 25 ms under a Hann window, every 10 ms."""

    name, dim = "mel", BANDS
    receptive_field = WINDOW
    description = "log-mel filterbank, 80 bands"

    def frames(
        self, waveforms: Float[Tensor, "batch samples"], counts: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch frames dim"]:
        """Log-mel; no frame sees another."""
        return self.log_mel(waveforms)


class Mfcc(_Acoustic):
    """13 mel-frequency cepstral coefficients with their first and second differences over time, every 10 ms."""

    name, dim = "mfcc", 3 * COEFFICIENTS
    receptive_field = WINDOW + 8 * HOP  # differences of differences, over 5 frames each
    dct: Tensor
    description = "mel-frequency cepstral coefficients, 13 with first and second differences"

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("dct", torchaudio.functional.create_dct(COEFFICIENTS, BANDS, "ortho"), persistent=False)

    def frames(
        self, waveforms: Float[Tensor, "batch samples"], counts: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch frames dim"]:
        """Cepstra and differences over 5 frames; the first and last frame are repeated beyond the ends."""
        cepstra = (self.log_mel(waveforms) @ self.dct).transpose(1, 2)
        padded = torch.zeros(cepstra.shape[0], self.dim, cepstra.shape[2], device=cepstra.device)
        for index, count in enumerate(counts.tolist()):
            own = cepstra[index, :, :count]
            first = torchaudio.functional.compute_deltas(own)
            padded[index, :, :count] = torch.cat([own, first, torchaudio.functional.compute_deltas(first)])
        return padded.transpose(1, 2)


ACOUSTIC: dict[str, type[_Acoustic]] = {"mel": LogMel, "mfcc": Mfcc}
"""By the name that `load_model` knows."""
