"""Stages of the analysis: each takes a run and returns a tidy table, kept in the workspace."""

from multires.analysis.stages.control import selectivities
from multires.analysis.stages.correlation import GROUPINGS, REPLICATE, cca, cca_grouping, cca_replicates, cca_variants
from multires.analysis.stages.costs import efficiency
from multires.analysis.stages.gather import distinct_models, kept_or, layer_table, subject_table
from multires.analysis.stages.geometry import layer_geometry
from multires.analysis.stages.information import (
    CLUSTER_COUNTS,
    mi_clusters,
    mutual_information,
    mutual_information_replicates,
)
from multires.analysis.stages.maps import layer_similarity
from multires.analysis.stages.overview import corpus_summary, example_utterance, log_mel
from multires.analysis.stages.probing import TASKS, agreement, probe_replicates, probes
from multires.analysis.stages.prosody import prosody
from multires.analysis.stages.reach import context
from multires.analysis.stages.resolution import resolution, resolution_replicates
from multires.analysis.stages.similarity import extraction
from multires.analysis.stages.units import frame_units

__all__ = [
    "CLUSTER_COUNTS",
    "GROUPINGS",
    "REPLICATE",
    "TASKS",
    "agreement",
    "cca",
    "cca_grouping",
    "cca_replicates",
    "cca_variants",
    "context",
    "corpus_summary",
    "distinct_models",
    "efficiency",
    "example_utterance",
    "extraction",
    "frame_units",
    "kept_or",
    "layer_geometry",
    "layer_similarity",
    "layer_table",
    "log_mel",
    "mi_clusters",
    "mutual_information",
    "mutual_information_replicates",
    "probe_replicates",
    "probes",
    "prosody",
    "resolution",
    "resolution_replicates",
    "selectivities",
    "subject_table",
]
