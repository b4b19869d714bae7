"""Figures of tables without rows: a note in their place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from textwrap import fill
from typing import Concatenate, ParamSpec

import pandas as pd
from matplotlib.figure import Figure

from multires.report.escape import for_figure
from multires.report.figures.style import heading, new_figure
from multires.report.names import speech_name
from multires.results import why_empty

P = ParamSpec("P")

NO_SCORES = "this run has no such scores: see the parameters views and models"


def nothing(title: str, why: str = NO_SCORES) -> Figure:
    """A figure that says why it is empty."""
    figure, axes = new_figure(1, 1, height=1.6)
    axes.flat[0].set_axis_off()
    axes.flat[0].text(0.5, 0.5, fill(for_figure(why, longest=300), 78), ha="center", va="center")
    heading(figure, title)
    return figure


def of_rows(draw: Callable[Concatenate[pd.DataFrame, P], Figure]) -> Callable[Concatenate[pd.DataFrame, P], Figure]:
    """Let a function that draws a table draw a note where the table has no rows: the reason, where it has one."""

    @functools.wraps(draw)
    def drawn(table: pd.DataFrame, /, *args: P.args, **kwargs: P.kwargs) -> Figure:
        if len(table):
            return draw(table, *args, **kwargs)
        reason = why_empty(table)
        note = f"not computed: {reason}" if reason else NO_SCORES
        return nothing(speech_name(str(kwargs.get("corpus", ""))), note)

    return drawn
