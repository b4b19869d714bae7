"""Vectors to numbers: measures on arrays. Names are loaded on first use, so that intervals need no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multires.measures.abx import ABXResult
    from multires.measures.alignment import dtw_distances
    from multires.measures.anisotropy import AnisotropyResult, remove_dimensions, standardize
    from multires.measures.bootstrap import MIN_CLUSTERS, Bootstrap, resampling_clusters
    from multires.measures.cca import CCA, SHUFFLED, VARIANTS, cca_score, cca_scores
    from multires.measures.cca_result import CCAResult, CCATrial
    from multires.measures.cka import debiased_cka, linear_cka
    from multires.measures.context import ContextResult, effective_context
    from multires.measures.control import DescriptionLength, SelectivityResult, control_labels, description_length
    from multires.measures.folds import assign_folds, choose_trials
    from multires.measures.kmeans import KMeans, fit_kmeans
    from multires.measures.mutual_information import MIResult, MIRun
    from multires.measures.regression import RegressionResult, Ridge, fit_ridge, ridge_probe
    from multires.measures.resolution import Frames, frame_spans, match_resolution
    from multires.measures.rows import Pieces
    from multires.measures.semantics import RankCorrelation, word_similarity
    from multires.measures.similarity_map import SimilarityMap, cca_map, cka_map
    from multires.measures.statistics import CCAStatistics, Moments
    from multires.measures.units import UnitResult, unit_scores

__all__ = [
    "CCA",
    "MIN_CLUSTERS",
    "SHUFFLED",
    "VARIANTS",
    "ABXResult",
    "AnisotropyResult",
    "Bootstrap",
    "CCAResult",
    "CCAStatistics",
    "CCATrial",
    "ContextResult",
    "DescriptionLength",
    "Frames",
    "KMeans",
    "MIResult",
    "MIRun",
    "Moments",
    "Pieces",
    "RankCorrelation",
    "RegressionResult",
    "Ridge",
    "SelectivityResult",
    "SimilarityMap",
    "UnitResult",
    "assign_folds",
    "cca_map",
    "cca_score",
    "cca_scores",
    "choose_trials",
    "cka_map",
    "control_labels",
    "debiased_cka",
    "description_length",
    "dtw_distances",
    "effective_context",
    "fit_kmeans",
    "fit_ridge",
    "frame_spans",
    "linear_cka",
    "match_resolution",
    "remove_dimensions",
    "resampling_clusters",
    "ridge_probe",
    "standardize",
    "unit_scores",
    "word_similarity",
]

_MODULES = {
    "semantics": (
        "RankCorrelation",
        "word_similarity",
    ),
    "regression": (
        "RegressionResult",
        "Ridge",
        "fit_ridge",
        "ridge_probe",
    ),
    "control": (
        "DescriptionLength",
        "SelectivityResult",
        "control_labels",
        "description_length",
    ),
    "context": (
        "ContextResult",
        "effective_context",
    ),
    "anisotropy": (
        "AnisotropyResult",
        "remove_dimensions",
        "standardize",
    ),
    "abx": ("ABXResult",),
    "alignment": ("dtw_distances",),
    "bootstrap": ("MIN_CLUSTERS", "Bootstrap", "resampling_clusters"),
    "cca": ("CCA", "SHUFFLED", "VARIANTS", "cca_score", "cca_scores"),
    "cca_result": ("CCAResult", "CCATrial"),
    "cka": ("debiased_cka", "linear_cka"),
    "folds": ("assign_folds", "choose_trials"),
    "kmeans": ("KMeans", "fit_kmeans"),
    "mutual_information": ("MIResult", "MIRun"),
    "resolution": ("Frames", "frame_spans", "match_resolution"),
    "rows": ("Pieces",),
    "similarity_map": ("SimilarityMap", "cca_map", "cka_map"),
    "statistics": ("CCAStatistics", "Moments"),
    "units": ("UnitResult", "unit_scores"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
