"""The tables and figures of a run in one folder, for a paper."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from multires.analysis import stages
from multires.analysis.effects import block_effects
from multires.analysis.run import Run
from multires.book.evidence import claims
from multires.errors import MultiresError, TooLittleSpeech, choose
from multires.report import figures, sentences
from multires.report.escape import for_markdown
from multires.report.export import FORMATS, SECTIONS, write_figures, write_tables, write_text
from multires.results import Result

_LOG = logging.getLogger(__name__)

STAGES: dict[str, Callable[[Run], Result]] = {
    "extraction": stages.extraction,
    "cca": stages.cca,
    "cca-variants": stages.cca_variants,
    "cca-grouping": stages.cca_grouping,
    "mutual-information": stages.mutual_information,
    "mi-clusters": stages.mi_clusters,
    "units": stages.frame_units,
    "similarity": stages.layer_similarity,
    "geometry": stages.layer_geometry,
    "efficiency": stages.efficiency,
    "probes": stages.probes,
    "selectivity": stages.selectivities,
    "prosody": stages.prosody,
    "context": stages.context,
    "agreement": stages.agreement,
    "resolution": stages.resolution,
    "block-effects": block_effects,
    "claims": claims,
}
"""The stage that gives the table of each section of a report."""


def report(run: Run, folder: str | Path, *, formats: Sequence[str] = FORMATS, only: Sequence[str] = ()) -> Path:
    """Write every table and figure of a run; what its workspace does not hold yet is computed first.

    A section for which there is too little speech is left out, and the index says why.

    Every file is replaced in one step: on a full disk those written before are whole, and the others as they were.
    Each stage gives ``<stage>.csv`` (all its numbers), ``<stage>.json`` (where they come from), ``<stage>.tex`` (a
    table that fits a page, for the package booktabs), and its figures as PDF and SVG. ``index.md`` lists them.

    Parameters
    ----------
    formats
        Some of `FORMATS`.
    only
        Some of the keys of `STAGES`; all where empty.

    Returns
    -------
    pathlib.Path
        The index.

    Raises
    ------
    MultiresError
        For an unknown format or section, a folder that cannot be written, or speech too little for every section.
    """
    kinds = [choose("format", kind, FORMATS) for kind in dict.fromkeys(formats)]
    chosen = [choose("section", name, tuple(STAGES)) for name in dict.fromkeys(only)] or list(STAGES)
    place = Path(folder).expanduser()
    figures.use_style()
    corpus = run.corpus.name
    entries: list[str] = []
    missing: list[TooLittleSpeech] = []
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name in tqdm(chosen, desc="report", unit="section", disable=not run.progress):
            section = SECTIONS[name]
            try:
                result = STAGES[name](run)
            except TooLittleSpeech as error:
                missing.append(error)
                _LOG.info("%s is left out: %s", name, error)
                entries.append(f"## {section.title}\n\nLeft out: {for_markdown(error)}.\n")
                continue
            written = write_tables(result, place / name, section, kinds)
            subjects = stages.subject_table(run) if name == "claims" else result.table
            models = sentences.models(subjects) if "trained" in subjects else ""
            written += write_figures(result.table, place, section, corpus, models, kinds)
            entries.append(f"## {section.title}\n\n" + "".join(f"- [{path.name}]({path.name})\n" for path in written))
        if len(missing) == len(chosen):
            raise missing[0]
        index = place / "index.md"
        heading = (
            f"# {run.profile.name}, seed {run.seed}: {for_markdown(corpus)} speech\n\n"
            f"Models: {', '.join(map(for_markdown, run.profile.models))}.\n\n"
        )
        write_text(index, heading + "\n".join(entries))
    except OSError as error:
        raise MultiresError(f"cannot write the report to {place}: {error.strerror or error}") from error
    return index
