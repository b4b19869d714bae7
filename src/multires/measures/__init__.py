"""Vectors to numbers."""

from multires.measures.cca import (
    CCA,
    SHUFFLED,
    VARIANTS,
    CCAResult,
    CCATrial,
    cca_score,
    cca_scores,
    linear_cka,
)
from multires.measures.folds import assign_folds, choose_trials
from multires.measures.intervals import MIN_UNITS, Bootstrap, Comparison, compare_scores, resampling_units
from multires.measures.kmeans import KMeans, Pieces, fit_kmeans
from multires.measures.mutual_information import MIResult, MIRun, mutual_information, mutual_informations
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
    "KMeans",
    "MIResult",
    "MIRun",
    "Moments",
    "Pieces",
    "assign_folds",
    "cca_score",
    "cca_scores",
    "choose_trials",
    "coarsen",
    "compare_scores",
    "fit_kmeans",
    "linear_cka",
    "mutual_information",
    "mutual_informations",
    "resampling_units",
]
