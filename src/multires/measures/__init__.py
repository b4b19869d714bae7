"""Vectors to numbers."""

from multires.measures.cca import (
    CCA,
    SHUFFLED,
    VARIANTS,
    CCAResult,
    CCATrial,
    cca_score,
    cca_scores,
    compare_scores,
    linear_cka,
)
from multires.measures.folds import assign_folds, choose_trials
from multires.measures.intervals import MIN_UNITS, Bootstrap, Comparison, resampling_units
from multires.measures.resolution import coarsen
from multires.measures.statistics import CCAStatistics, Moments

__all__ = [
    "CCA",
    "MIN_UNITS",
    "SHUFFLED",
    "VARIANTS",
    "Bootstrap",
    "CCAResult",
    "CCAStatistics",
    "CCATrial",
    "Comparison",
    "Moments",
    "assign_folds",
    "cca_score",
    "cca_scores",
    "choose_trials",
    "coarsen",
    "compare_scores",
    "linear_cka",
    "resampling_units",
]
