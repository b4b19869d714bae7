"""The profile `paper` from its downloads to its conclusions, against a server on this machine with stand-ins.

    python -m benchmarks.paper                      # narrow checkpoints, a few minutes of speech
    python -m benchmarks.paper --base hubert_base   # that checkpoint at its true size

Archives have the layout of the published ones (openslr.org/12, Zenodo record 2619474) and hold synthetic speech;
checkpoints are written by fairseq's own trainer, with random weights. Needs the extra `reference`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import soundfile

from benchmarks.machine import print_machine
from multires.analysis import stages
from multires.analysis.run import Run, open_run
from multires.book.evidence import claims
from multires.book.landing import verdict_lines
from multires.corpus import load_corpus, openslr
from multires.corpus.utterance import SAMPLE_RATE, SILENCE, Segment, Utterance
from multires.models.registry import published
from multires.report import verdicts

STAND_INS = {"hubert_base": "hubert", "mono_base": "single target", "b4-a": "single prediction", "b5-a": "mono"}
"""The checkpoints of the profile, and the family of `benchmarks.reference.FAMILIES` that is expected of each.

As the published training configuration says, one stream of targets serves every resolution; b4-a has no prediction at
the low resolution.
"""

SPLITS = {"train": "train-clean-100", "evaluation": "dev-clean"}
"""The LibriSpeech split that each split of the synthetic corpus stands in for."""

SMALL: dict[str, Any] = {
    "frames": 400, "phones_each": 40, "words_each": 20, "word_instances": 3, "folds": 5, "resamples": 20,
    "cluster_seeds": 1, "phone_clusters": 20, "word_clusters": 10, "probe_instances": 300, "efficiency_size": "small",
    "efficiency_setting": "quick",
}  # fmt: skip
"""Sample sizes that a few minutes of speech can fill."""


def write_mirror(folder: Path, *, hours: float = 0.04, base: Sequence[str] = ()) -> Path:
    """Files as ``<host>/<path>``: two splits, their alignments, and the checkpoints; those in `base` at true size."""
    from benchmarks.reference import FAMILIES, build_reference

    tree = folder / "tree"
    grids = _place(folder, openslr.ALIGNMENTS.url)
    with zipfile.ZipFile(grids, "w", zipfile.ZIP_DEFLATED) as alignments:
        for utterance in load_corpus("synthetic", hours=hours, progress=False):
            _write(utterance, tree / "LibriSpeech", alignments)
    for split in SPLITS.values():
        with tarfile.open(_place(folder, openslr.SPLITS[split].archive.url), "w:gz") as archive:
            archive.add(tree / "LibriSpeech" / split, f"LibriSpeech/{split}")
    shutil.rmtree(tree)
    for key, family in STAND_INS.items():
        made = folder / f"made-{key}"
        made.mkdir()
        chosen = FAMILIES[family] if key in base else FAMILIES[family].narrow()
        shutil.move(build_reference(chosen, made).path, _place(folder, published()[key].url))
        shutil.rmtree(made)
    return folder


def _place(folder: Path, url: str) -> Path:
    parts = urlsplit(url)
    path = folder / parts.netloc / parts.path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(utterance: Utterance, root: Path, alignments: zipfile.ZipFile) -> None:
    """An utterance as LibriSpeech has it: FLAC, a line of the chapter's transcript, a TextGrid."""
    split = SPLITS[utterance.split]
    speaker = str(1000 + int(hashlib.sha256(utterance.speaker.encode()).hexdigest(), 16) % 8000)
    chapter = root / split / speaker / "7"
    chapter.mkdir(parents=True, exist_ok=True)
    name = f"{speaker}-7-{len(list(chapter.glob('*.flac'))):04d}"
    soundfile.write(chapter / f"{name}.flac", utterance.audio, SAMPLE_RATE)
    with (chapter / f"{speaker}-7.trans.txt").open("a") as transcripts:
        transcripts.write(f"{name} {(utterance.transcript or '').upper()}\n")
    grid = _textgrid(utterance)
    alignments.writestr(f"LibriSpeech/{split}/{speaker}/7/{name}.TextGrid", grid)


def _textgrid(utterance: Utterance) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {utterance.duration}",
             "tiers? <exists>", "size = 2", "item []:"]  # fmt: skip
    for number, (name, segments) in enumerate((("words", utterance.words), ("phones", utterance.phones)), start=1):
        filled = _without_gaps(segments or (), utterance.duration)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"', "        xmin = 0",
                  f"        xmax = {utterance.duration}", f"        intervals: size = {len(filled)}"]  # fmt: skip
        for place, segment in enumerate(filled, start=1):
            label = "sil" if segment.label == SILENCE else segment.label.upper()
            lines += [f"        intervals [{place}]:", f"            xmin = {segment.start}",
                      f"            xmax = {segment.end}", f'            text = "{label}"']  # fmt: skip
    return "\n".join(lines) + "\n"


def _without_gaps(segments: Sequence[Segment], duration: float) -> list[Segment]:
    filled, time = [], 0.0
    for segment in segments:
        if segment.start > time + 1e-6:
            filled.append(Segment("", time, segment.start))
        filled.append(segment)
        time = segment.end
    if duration > time + 1e-6:
        filled.append(Segment("", time, duration))
    return filled


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass


@contextmanager
def served(mirror: Path, cache: Path) -> Iterator[None]:
    """The mirror in place of the publishers, its digests in place of theirs, and an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(mirror)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    splits = {
        split: replace(
            openslr.SPLITS[split], archive=_known(openslr.SPLITS[split].archive, mirror, "sha256"), hours=0.02
        )
        for split in SPLITS.values()
    }
    variables = {"MULTIRES_MIRROR": f"http://127.0.0.1:{server.server_port}", "MULTIRES_CACHE": str(cache)}
    try:
        with (
            mock.patch.dict(os.environ, variables),
            mock.patch.dict(openslr.SPLITS, splits),
            mock.patch.object(openslr, "ALIGNMENTS", _known(openslr.ALIGNMENTS, mirror, "md5")),
        ):
            yield
    finally:
        server.shutdown()
        server.server_close()


def _known(archive: openslr.Archive, mirror: Path, kind: str) -> openslr.Archive:
    path = _place(mirror, archive.url)
    digest = hashlib.new(kind, path.read_bytes()).hexdigest()
    size = max(1, round(path.stat().st_size / 1e6))
    return replace(archive, digest=f"{kind}:{digest}", megabytes=size, unpacked=size)


def conclude(workspace: Path, *, progress: bool = True, **settings: Any) -> tuple[Run, str]:
    """The run of the profile, and its verdicts as the terminal shows them."""
    run = open_run("paper", workspace=workspace, progress=progress, **{**SMALL, **settings})
    return run, verdict_lines(verdicts.summary(claims(run).table))


def main() -> None:
    """Make the stand-ins, run the profile and print its verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="", help=f"comma-separated among {', '.join(STAND_INS)}: at true size")
    parser.add_argument("--hours", type=float, default=0.04, help="of speech in both splits together")
    given = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mirror = write_mirror(folder / "mirror", hours=given.hours, base=[key for key in given.base.split(",") if key])
        with served(mirror, folder / "cache"):
            run, said = conclude(folder / "workspace")
            print(stages.corpus_summary(run).to_string(index=False))
            print(said)


if __name__ == "__main__":
    main()
