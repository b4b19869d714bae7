"""The README's verdicts and picture: `python -m multires.book.readme write` makes them, `check` compares."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import pandas as pd
import torch

from multires.book.landing import verdict_markdown
from multires.book.notebooks import checkout
from multires.efficiency.counting import count_total
from multires.errors import MultiresError
from multires.experiment.tables import experiment_tables
from multires.models.config import preset
from multires.models.mr_hubert import MultiResHubert
from multires.report import sentences
from multires.report import verdicts as claims
from multires.report.figures import schematic, use_style
from multires.runtime.notices import show_notices

BEGIN, END = "<!-- verdicts: written by `make readme` -->", "<!-- end of verdicts -->"
_LOG = logging.getLogger(__name__)


PICTURE = Path("book") / "_static" / "readme.png"

_SECONDS = 10.0
_SIZE = "base"


def verdicts() -> str:
    """The verdict table in Markdown, from the experiment's tables in the package and operations counted here.

    Everything in it is the same on every machine: measured times are not among it.
    """
    experiments = experiment_tables()
    found = [claims.judge_experiment(each) for each in experiments]
    parts = [claims.summary(pd.concat(found, ignore_index=True))] if found else []
    multi, mono = (count_total(preset(name, _SIZE), _SECONDS) for name in ("multi", "mono"))
    cost = {
        "source": f"operations counted, {_SIZE} size", "claim": 3, "title": claims.CLAIMS[3],
        "verdict": claims.SUPPORTS if multi < mono else claims.CONTRADICTS, "sentence": "",
        "evidence": f"operations with / without downsampling, {_SECONDS:.0f} s", "value": multi / mono,
        "low": float("nan"), "high": float("nan"), "n": 1, "chapter": claims.CHAPTERS[3],
    }  # fmt: skip
    table = pd.concat([*parts, pd.DataFrame([cost])], ignore_index=True)
    heading = "What this companion finds (models of the controlled experiment, trained here; base size for the cost)"
    text = verdict_markdown(table, heading, linked=False)
    text += "".join(f"\n{sentences.finding(each)} {sentences.small_models(each)}\n" for each in experiments)
    if not found:
        text += "\nThe tables of the controlled experiment, on which the first two verdicts rest, are not in this version.\n"
    return text


def with_verdicts(readme: str) -> str:
    """The README's text with its verdicts regenerated.

    Raises
    ------
    MultiresError
        Where the marks between which they stand are missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MultiresError(f"README.md needs the lines {BEGIN} and {END}: the verdicts stand between them")
    return f"{before}{begin}\n\n{verdicts()}\n{end}{after}"


def draw(path: Path) -> Path:
    """The picture: which layer of HuBERT and of MR-HuBERT has which frame period, at base size."""
    use_style()
    rows, losses = [], {}
    for name, architecture in (("HuBERT", "hubert"), ("MR-HuBERT", "multi")):
        with torch.device("meta"):
            model = MultiResHubert(preset(architecture, _SIZE), seed=None)
        losses[name] = model.predicts_from
        rows += [
            {"model": name, "layer": layer.name, "label": layer.label, "block": layer.block, "depth": layer.index,
             "frame_period": layer.frame_period * 1000}
            for layer in model.layers
        ]  # fmt: skip
    figure = schematic(pd.DataFrame(rows), losses)
    path.parent.mkdir(parents=True, exist_ok=True)
    # White behind it, since GitHub's page may be dark; without the version of matplotlib, so that it stays the same.
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run ``write`` or ``check`` on the checkout."""
    parser = argparse.ArgumentParser(prog="python -m multires.book.readme", description=__doc__)
    parser.add_argument("command", choices=["write", "check"])
    command = parser.parse_args(arguments).command
    show_notices()
    try:
        root = checkout()
        readme = root / "README.md"
        text = readme.read_text(encoding="utf-8")
        wanted = with_verdicts(text)
        if command == "write":
            readme.write_text(wanted, encoding="utf-8")
            print(f"wrote {readme.name} and {draw(root / PICTURE).relative_to(root)}")
            return 0
    except MultiresError as error:
        _LOG.error("multires: %s", error)
        return 2
    if text != wanted:
        _LOG.error("README.md: its verdicts are not those of the tables in the package: run `make readme`")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
