"""Loading of any kind of corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from multires.corpus.folder import load_folder
from multires.corpus.librispeech import load_librispeech
from multires.corpus.sample import NAME, load_sample
from multires.corpus.spread import spread
from multires.corpus.synthetic import load_synthetic
from multires.corpus.utterance import Corpus
from multires.errors import MultiresError, choose
from multires.profiles import present_name

KINDS = (NAME, "synthetic", "librispeech", "folder")


def load_corpus(
    kind: str = NAME,
    root: str | Path | None = None,
    *,
    splits: Sequence[str] | str | None = None,
    alignments: str | Path | None = None,
    seed: int = 0,
    hours: float | None = None,
    cache: str | Path | None = None,
    limit: int | None = None,
    force_align: bool = False,
    progress: bool = True,
) -> Corpus:
    """Utterances with audio that is read on demand, and timed words and phones where known.

    Parameters
    ----------
    kind
        ``librispeech-sample``: half an hour of read speech that comes with the package; ``synthetic``: speech with exact
        times, synthesized on first use; ``librispeech``: LibriSpeech's layout; ``folder``: audio files with alignments
        or text beside them.
    root
        The folder to read; for ``librispeech`` and ``folder`` only.
    splits
        Which parts: ``train`` and ``evaluation`` where no folder is read; LibriSpeech's own, such as ``dev-clean``; the first
        level of sub-folders for ``folder``. All that are there when not given.
    alignments
        The folder of TextGrids. For ``librispeech``, ``alignments`` in or beside `root` when not given; for ``folder``,
        those beside the audio.
    seed
        For ``synthetic``: the same seed gives the same samples.
    hours
        For ``synthetic``: how much in all (0.6 when not given); half is for evaluation, but at most 0.6 hours.
    cache
        Where ``synthetic`` speech and forced alignments are kept; else the variable MULTIRES_CACHE, else the user's
        cache folder.
    limit
        At most this many utterances a split, spread over its speakers.
    force_align
        For ``folder``: align text that has no times with PocketSphinx (needs the extra ``align``).
    progress
        Show progress bars.

    Raises
    ------
    MultiresError
        Where the kind or a split is unknown, a folder is missing, or nothing in it can be used.
    """
    kind = present_name("corpus", kind)
    kind = choose("corpus", kind, KINDS)
    wanted = (splits,) if isinstance(splits, str) else splits
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise MultiresError(f"limit {limit!r} is not a number of utterances: give a whole number from 1 up")
    if kind in (NAME, "synthetic"):
        if kind == NAME:
            corpus = load_sample(splits=wanted)
        else:
            corpus = load_synthetic(splits=wanted, seed=seed, hours=hours, cache=cache, progress=progress)
        if limit is None:
            return corpus
        fingerprint = f"{corpus.fingerprint}-{limit}"
        return replace(corpus, utterances=tuple(spread(corpus.utterances, limit)), fingerprint=fingerprint)
    if root is None:
        raise MultiresError(f"the {kind} corpus needs root: give the folder that holds it")
    place = Path(root).expanduser()
    if kind == "librispeech":
        return load_librispeech(place, splits=wanted, alignments=alignments, limit=limit, progress=progress)
    return load_folder(
        place,
        splits=wanted,
        alignments=alignments,
        force_align=force_align,
        cache=cache,
        limit=limit,
        progress=progress,
    )
