"""Speech to layers."""

from multires.models.checkpoint import convert, load_checkpoint, save_model
from multires.models.condition import Condition
from multires.models.config import ModelConfig, preset
from multires.models.encoder import Regularization
from multires.models.hooked import wrap
from multires.models.layers import Layer, LayeredModel, LayerOutputs
from multires.models.loading import load_model
from multires.models.mr_hubert import MultiResHubert, ResolutionOutput, TrainingOutputs, build_model
from multires.models.registry import models_table

__all__ = [
    "Condition",
    "Layer",
    "LayerOutputs",
    "LayeredModel",
    "ModelConfig",
    "MultiResHubert",
    "Regularization",
    "ResolutionOutput",
    "TrainingOutputs",
    "build_model",
    "convert",
    "load_checkpoint",
    "load_model",
    "models_table",
    "preset",
    "save_model",
    "wrap",
]
