"""A player for one utterance, and for the same utterance resynthesized from frames of each resolution."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
import torchaudio
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from multires.corpus.utterance import SAMPLE_RATE, SILENCE, Segment, Utterance
from multires.report.escape import for_html

PERIODS = (0.02, 0.04, 0.08)
"""Frame periods in seconds that the utterance is heard at."""

_HOP = 160
_WINDOW = 1024
_MELS = 80
_ITERATIONS = 48
_QUIETEST = 1e-5
_LONGEST = 8.0


@dataclass(frozen=True)
class Version:
    """One way to hear the utterance: its name, its samples, and its log-mel spectrogram ``(mels, hops)``."""

    name: str
    audio: np.ndarray
    mel: np.ndarray


@dataclass(frozen=True)
class Player:
    """A player as HTML that needs no file and no network; Jupyter and the book show it."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def listen(utterance: Utterance, *, periods: Sequence[float] = PERIODS, seed: int = 0) -> Player:
    """A player for an utterance, as recorded and from log-mel frames of each period.

    Parameters
    ----------
    utterance
        Of which at most the first eight seconds are heard.
    periods
        Frame periods in seconds, multiples of 0.01.
    seed
        Of the phase that resynthesis begins with.
    """
    audio = torch.from_numpy(np.asarray(utterance.audio, dtype=np.float32))[: int(_LONGEST * SAMPLE_RATE)]
    versions = [Version("as recorded", audio.numpy(), log_mel(audio).numpy())]
    for period in periods:
        frames = averaged(log_mel(audio), period)
        versions.append(
            Version(f"{1000 * period:.0f} ms frames", resynthesized(frames, len(audio), seed), frames.numpy())
        )
    return Player(_page(utterance, versions))


def log_mel(audio: Float[Tensor, " samples"]) -> Float[Tensor, "mels hops"]:
    """Natural logarithm of the energy in 80 mel bands, every 10 ms."""
    spectrogram = torchaudio.transforms.MelSpectrogram(
        SAMPLE_RATE, n_fft=_WINDOW, win_length=400, hop_length=_HOP, n_mels=_MELS
    )
    energy: Tensor = spectrogram(audio)
    return (energy + _QUIETEST).log()


def averaged(mel: Float[Tensor, "mels hops"], period: float) -> Float[Tensor, "mels hops"]:
    """A log-mel spectrogram in which each frame of `period` seconds has its mean for as long as it lasts.

    Examples
    --------
    >>> averaged(torch.tensor([[0.0, 2.0, 4.0, 6.0, 5.0]]), 0.02)
    tensor([[1., 1., 5., 5., 5.]])
    """
    hops = round(period * SAMPLE_RATE / _HOP)
    frames = [part.mean(dim=1, keepdim=True).expand_as(part) for part in mel.split(hops, dim=1)]
    return torch.cat(frames, dim=1)


def resynthesized(mel: Float[Tensor, "mels hops"], samples: int, seed: int = 0) -> np.ndarray:
    """Sound with a given log-mel spectrogram; its phase is estimated (Griffin and Lim, 1984)."""
    energy = (mel.exp() - _QUIETEST).clamp_min(0)
    linear = torchaudio.transforms.InverseMelScale(_WINDOW // 2 + 1, n_mels=_MELS, sample_rate=SAMPLE_RATE)(energy)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        audio: Tensor = torchaudio.transforms.GriffinLim(
            _WINDOW, n_iter=_ITERATIONS, win_length=400, hop_length=_HOP, length=samples
        )(linear.clamp_min(0))
    peak = float(audio.abs().max())
    return (audio * min(1.0, 0.95 / peak) if peak else audio).numpy()


def _page(utterance: Utterance, versions: Sequence[Version]) -> str:
    duration = len(versions[0].audio) / SAMPLE_RATE
    name = f"listen-{abs(hash(utterance.id)) % 10**8}"
    choices = "".join(
        f'<label><input type="radio" name="{name}" value="{index}"{" checked" if index == 0 else ""}> '
        f"{for_html(version.name)}</label>"
        for index, version in enumerate(versions)
    )
    lowest, highest = np.percentile(versions[0].mel, [5, 99.5])
    data = [
        {"audio": _uri("audio/mpeg", _mp3(version.audio)),
         "picture": _uri("image/png", _png(version.mel, float(lowest), float(highest))), "name": version.name}
        for version in versions
    ]  # fmt: skip
    phones = [phone for phone in utterance.phones or () if phone.label != SILENCE]
    tracks = _track("Words", utterance.words or (), duration) + _track("Phones", phones, duration)
    spoken = " ".join(for_html(word.label) for word in utterance.words or ()) or for_html(utterance.transcript or "")
    # The data are text in a script element: a closing tag in a name must not end it.
    packed = json.dumps(data).replace("<", "\\u003c")
    return (
        f'<div class="listen" id="{name}"><style>{_STYLE}</style>'
        f"<fieldset><legend>Heard from</legend>{choices}</fieldset>"
        f'<audio controls preload="auto" aria-label="The utterance: {spoken}"></audio>'
        f'<div class="listen-time"><div class="listen-picture" role="img" aria-label="Log-mel spectrogram of what is '
        f'heard, {duration:.1f} seconds"></div>{tracks}<div class="listen-now" hidden></div></div>'
        f'<script type="application/json">{packed}</script><script>{_SCRIPT.replace("ID", name)}</script></div>'
    )


def _track(name: str, segments: Sequence[Segment], duration: float) -> str:
    """A row of labels, each as wide as it lasts."""
    shown = [segment for segment in segments if segment.start < duration]
    labels = "".join(
        f'<span data-start="{segment.start:.3f}" data-end="{segment.end:.3f}" style="left:{100 * segment.start / duration:.2f}%;'
        f'width:{100 * (min(segment.end, duration) - segment.start) / duration:.2f}%">{for_html(segment.label)}</span>'
        for segment in shown
    )
    return f'<div class="listen-track" role="group" aria-label="{name}">{labels}</div>' if shown else ""


def _mp3(audio: np.ndarray) -> bytes:
    packed = io.BytesIO()
    soundfile.write(packed, audio, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III")
    return packed.getvalue()


def _png(mel: np.ndarray, lowest: float, highest: float) -> bytes:
    """Dark where there is energy, low bands at the bottom."""
    shade = 255 * (1 - np.clip((mel[::-1] - lowest) / max(highest - lowest, 1e-6), 0, 1))
    packed = io.BytesIO()
    Image.fromarray(shade.astype(np.uint8)).save(packed, "png", optimize=True)
    return packed.getvalue()


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


_STYLE = """
.listen{max-width:46rem;margin-block:.5rem 1rem}
.listen fieldset{border:0;padding:0;margin:0 0 .4rem;display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:center}
.listen legend{float:left;width:auto;font-size:1rem;font-weight:600;margin:0;padding:0}
.listen label{display:inline-flex;gap:.35rem;align-items:center;min-height:1.75rem}
.listen audio{width:100%;display:block}
.listen-time{position:relative;margin-top:.4rem;overflow:hidden;background:#fff;color:#222;border:1px solid #767676}
.listen-picture{height:9rem;background-size:100% 100%;image-rendering:pixelated;cursor:pointer}
.listen-track{position:relative;height:1.5rem;font-size:.8rem;border-top:1px solid #767676}
.listen-track span{position:absolute;inset-block:0;overflow:hidden;white-space:nowrap;text-align:center;line-height:1.5rem;
border-inline:1px solid #767676;box-sizing:border-box}
.listen-track span.listen-on{background:#00477e;color:#fff}
.listen-now{position:absolute;inset-block:0;width:2px;background:#bf4f00}
"""

_SCRIPT = """
(() => {
  const root = document.getElementById("ID");
  const versions = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const audio = root.querySelector("audio"), picture = root.querySelector(".listen-picture");
  const now = root.querySelector(".listen-now"), labels = [...root.querySelectorAll("[data-start]")];
  function move() {
    const part = audio.duration ? audio.currentTime / audio.duration : 0;
    now.hidden = part === 0;
    now.style.left = `${100 * part}%`;
    for (const label of labels) {
      label.classList.toggle("listen-on", part > 0 && !audio.ended && audio.currentTime >= Number(label.dataset.start)
        && audio.currentTime < Number(label.dataset.end));
    }
    if (!audio.paused) requestAnimationFrame(move);
  }
  function choose(index) {
    const at = audio.ended ? 0 : audio.currentTime, playing = !audio.paused;
    audio.src = versions[index].audio;
    picture.style.backgroundImage = `url(${versions[index].picture})`;
    audio.addEventListener("loadedmetadata", () => {
      audio.currentTime = at;
      if (playing) audio.play();
    }, { once: true });
  }
  root.addEventListener("change", (event) => choose(Number(event.target.value)));
  for (const kind of ["play", "seeked", "timeupdate", "ended"]) audio.addEventListener(kind, move);
  picture.addEventListener("click", (event) => {
    audio.currentTime = event.offsetX / picture.clientWidth * audio.duration;
  });
  choose(Number(root.querySelector("input:checked").value));
})();
"""
