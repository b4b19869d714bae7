"""Speech to layers."""

from multires.models.checkpoint import load_model
from multires.models.encoder import Regularization
from multires.models.layers import Layer, LayeredModel, LayerOutputs
from multires.models.mr_hubert import (
    ModelConfig,
    MultiResHubert,
    ResolutionOutput,
    TrainingOutputs,
    build_model,
    preset,
)

__all__ = [
    "Layer",
    "LayerOutputs",
    "LayeredModel",
    "ModelConfig",
    "MultiResHubert",
    "Regularization",
    "ResolutionOutput",
    "TrainingOutputs",
    "build_model",
    "load_model",
    "preset",
]
