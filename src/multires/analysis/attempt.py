"""Stages that speech may be too little for: their table, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from multires.analysis.run import Run
from multires.errors import TooLittleSpeech
from multires.results import Result, no_rows, provenance


def attempt(stage: Callable[..., Result], run: Run, **parameters: Any) -> Result:
    """The table of a stage, or one without rows where the speech is too little for it.

    Parameters
    ----------
    stage
        One of `multires.analysis.stages`, or another function of a run that gives a result.
    run
        Handed to it.
    parameters
        Handed to it by name.

    Returns
    -------
    Result
        Without rows, the reason is in the provenance as ``left_out`` and `multires.results.why_empty` gives it. Nothing
        is then written to the workspace.
    """
    try:
        return stage(run, **parameters)
    except TooLittleSpeech as error:
        source = provenance(run.profile.name, parameters, left_out=str(error))
        return Result(no_rows(str(error)), source, run.workspace)
