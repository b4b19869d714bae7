"""Sentences on tables without rows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import pandas as pd

from multires.results import why_empty

P = ParamSpec("P")

NO_SCORES = "This run has no scores to describe here."
"""The sentence on a table without rows."""


def of_rows(describe: Callable[Concatenate[pd.DataFrame, P], str]) -> Callable[Concatenate[pd.DataFrame, P], str]:
    """Let a function that describes a table say that one without rows has none.

    It says nothing of a table that could not be computed: the chapter gives the reason where it shows the table.
    """

    @functools.wraps(describe)
    def described(table: pd.DataFrame, /, *args: P.args, **kwargs: P.kwargs) -> str:
        if len(table):
            return describe(table, *args, **kwargs)
        return "" if why_empty(table) else NO_SCORES

    return described
