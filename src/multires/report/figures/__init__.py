"""Tables to figures."""

from multires.report.figures.claims import claims
from multires.report.figures.effects import factorial
from multires.report.figures.extraction import durations, extraction_summary, schematic, utterance
from multires.report.figures.frame_rates import frame_rates
from multires.report.figures.measures import (
    agreement,
    all_curves,
    cca_by_layer,
    cca_by_window,
    cca_variants,
    mi_by_clusters,
    mi_by_layer,
    probes_by_layer,
    weighted_sums,
)
from multires.report.figures.outcomes import outcome_layers
from multires.report.figures.reference import reference_curves
from multires.report.figures.resolution import block_effects, low_resolution, resolution_by_layer
from multires.report.figures.sensitivity import sensitivity
from multires.report.figures.structure import (
    context_by_layer,
    dominant_dimensions,
    prosody,
    selectivity,
    shared_by_depth,
    similarity_maps,
    treated_dimensions,
    units_by_layer,
)
from multires.report.figures.style import use_style
from multires.report.figures.training import carries, training_curves

__all__ = [
    "agreement",
    "all_curves",
    "block_effects",
    "carries",
    "cca_by_layer",
    "cca_by_window",
    "cca_variants",
    "claims",
    "context_by_layer",
    "dominant_dimensions",
    "durations",
    "extraction_summary",
    "factorial",
    "frame_rates",
    "low_resolution",
    "mi_by_clusters",
    "mi_by_layer",
    "outcome_layers",
    "probes_by_layer",
    "prosody",
    "reference_curves",
    "resolution_by_layer",
    "schematic",
    "selectivity",
    "sensitivity",
    "shared_by_depth",
    "similarity_maps",
    "training_curves",
    "treated_dimensions",
    "units_by_layer",
    "use_style",
    "utterance",
    "weighted_sums",
]
