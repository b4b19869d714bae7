"""The excerpt of LibriSpeech in the package, made from folders of the corpus.

From a shell, with the folders that the experiment is trained on and evaluated with::

    python -m multires.experiment.excerpt FOLDER [FOLDER ...] --out NEW_FOLDER

The same folders and the same libsndfile give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from multires.corpus.ogg import with_serial
from multires.corpus.sample import FOLDER, INDEX, audio_path, pack
from multires.corpus.utterance import SAMPLE_RATE, Corpus, Utterance
from multires.errors import MultiresError
from multires.experiment.speech import Roles, load_experiment_speech

BITRATE = 24_000
"""Bits per second of audio that is encoded here; audio that is Ogg Opus already is copied."""

SINGLE = {"train": 45, "evaluation": 60}
"""Speakers of train-clean-100 in each split, one utterance each."""

SEVERAL = 8
"""Utterances of each speaker of test-clean and test-other; the probe of speakers needs several."""

SHORTEST, LONGEST = 2.0, 8.0
"""Seconds of utterances of speakers who have several."""

ROLES = {"train": "fit", "evaluation": "test"}
"""The experiment's role of the speakers of each split."""

_LICENSE = """\
The recordings in this folder are an excerpt of LibriSpeech, (c) 2014 by Vassil Panayotov, and are licensed under the
Creative Commons Attribution 4.0 International License: https://creativecommons.org/licenses/by/4.0/

Vassil Panayotov, Guoguo Chen, Daniel Povey and Sanjeev Khudanpur: LibriSpeech: an ASR corpus based on public domain
audio books. ICASSP 2015. https://www.openslr.org/12

Changes: {count} utterances were selected and encoded as Ogg Opus, and times of words and phones were added.
"""

_README = """\
# librispeech-sample

{minutes:.1f} minutes of read English speech: {count} utterances by {speakers} speakers of LibriSpeech (Panayotov et al.,
2015; CC BY 4.0, see LICENSE.txt). None of these speakers is among those that the package's models are trained on, and
no speaker is in both splits.

| split | from | speakers | utterances | minutes |
|---|---|---|---|---|
{rows}

- `audio/<speaker>-<chapter>-<number>.opus`: Ogg Opus, 16 kHz, mono; 24 kbit/s where encoded here from FLAC, 32 kbit/s
  for test-clean, as found.
- `utterances.jsonl`: an object a line with `id`, `speaker`, `split`, `source` (LibriSpeech's own split), `samples`,
  `sha256` of the audio file, `transcript`, and `words` and `phones` (ARPAbet without stress, `sil` for silence). Each of
  the last two lists labels with their ends in hundredths of a second; a segment starts where the one before it ends,
  and `-` stands for a stretch without a word.

Transcripts of train-clean-100 were made by a speech recognizer, so that a few words are wrong; the others are
LibriSpeech's own. Times of words and phones come from PocketSphinx's forced aligner.

`python -m multires.experiment.excerpt` makes this folder from folders of LibriSpeech.
"""


def select(corpus: Corpus, roles: Roles) -> dict[str, list[Utterance]]:
    """Aligned utterances of each split, a function of names, durations and roles.

    Speakers and utterances are taken in the order of a digest of their names.

    Raises
    ------
    MultiresError
        If a split would be empty.
    """
    usable = [u for u in corpus if u.words and u.phones and u.transcript]
    chosen: dict[str, list[Utterance]] = {}
    for split, role in ROLES.items():
        speakers = set(getattr(roles, role))
        by_speaker: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
        for utterance in sorted(usable, key=lambda u: _digest(u.id)):
            if utterance.speaker in speakers:
                by_speaker[utterance.split, utterance.speaker].append(utterance)
        ordered = sorted(by_speaker, key=lambda key: _digest(key[1]))
        single = [by_speaker[key][0] for key in ordered if key[0] == "train-clean-100"][: SINGLE[split]]
        several = [
            utterance
            for key in ordered
            if key[0] != "train-clean-100"
            for utterance in [u for u in by_speaker[key] if SHORTEST <= u.duration <= LONGEST][:SEVERAL]
        ]
        chosen[split] = sorted([*single, *several], key=lambda u: u.id)
        if not chosen[split]:
            raise MultiresError(f"the folders hold no aligned utterance of a speaker whose role is {role}")
    return chosen


def write(chosen: dict[str, list[Utterance]], out: Path) -> Path:
    """Write audio, index, license and description of the utterances of each split to a new folder.

    Raises
    ------
    MultiresError
        If the folder exists, or an utterance's audio has other samples once it is encoded.
    """
    if out.exists():
        raise MultiresError(f"out: {out} exists already: name a new folder")
    audio_path(out, "x").parent.mkdir(parents=True)
    lines, rows = [], []
    for split, utterances in chosen.items():
        for utterance in utterances:
            data = _encoded(utterance)
            audio_path(out, utterance.id).write_bytes(data)
            entry = {
                "id": utterance.id, "speaker": utterance.speaker, "split": split, "source": utterance.split,
                "samples": round(utterance.duration * SAMPLE_RATE), "sha256": hashlib.sha256(data).hexdigest(),
                "transcript": utterance.transcript, "words": pack(utterance.words or ()),
                "phones": pack(utterance.phones or ()),
            }  # fmt: skip
            lines.append(json.dumps(entry, separators=(",", ":")))
        for source in sorted({u.split for u in utterances}):
            part = [u for u in utterances if u.split == source]
            minutes = sum(u.duration for u in part) / 60
            rows.append(f"| {split} | {source} | {len({u.speaker for u in part})} | {len(part)} | {minutes:.1f} |")
    everything = [utterance for utterances in chosen.values() for utterance in utterances]
    facts = {
        "count": len(everything), "speakers": len({u.speaker for u in everything}), "rows": "\n".join(rows),
        "minutes": sum(u.duration for u in everything) / 60,
    }  # fmt: skip
    (out / INDEX).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / "LICENSE.txt").write_text(_LICENSE.format(**facts), encoding="utf-8")
    (out / "README.md").write_text(_README.format(**facts), encoding="utf-8")
    return out


def _encoded(utterance: Utterance) -> bytes:
    """The utterance as Ogg Opus: its own file where it is that already."""
    path = getattr(utterance.read, "path", None)
    if isinstance(path, Path) and path.suffix == ".opus":
        return path.read_bytes()
    samples = utterance.audio
    packed = io.BytesIO()
    # libsndfile's scale from 0 to 1 stands for 256 to 6 kbit/s.
    level = 1 - (BITRATE - 6_000) / 250_000
    soundfile.write(packed, samples, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=level)
    data = with_serial(packed.getvalue(), int(_digest(utterance.id)[:8], 16))
    decoded, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    if len(decoded) != len(samples) or np.abs(decoded).max() > 1:
        raise MultiresError(f"{utterance.id} has other samples once it is encoded: leave it out")
    return data


def _digest(name: str) -> str:
    return hashlib.sha256(f"excerpt {name}".encode()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m multires.experiment.excerpt``."""
    parser = argparse.ArgumentParser(prog="python -m multires.experiment.excerpt", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("folders", nargs="+", help="folders that each hold a part of LibriSpeech, with alignments")
    parser.add_argument("--out", type=Path, default=FOLDER, help="a new folder; the package's own if not given")
    given = parser.parse_args(arguments)
    try:
        out = write(select(*load_experiment_speech(given.folders)), given.out)
    except MultiresError as error:
        raise SystemExit(f"multires: {error}") from error
    print((out / "README.md").read_text(encoding="utf-8").partition("- `audio")[0])


if __name__ == "__main__":
    main()
