"""Models, a recipe and weights small enough to train within a test."""

from multires.models.checkpoint import load_checkpoint
from multires.models.config import LOG_MEL_GEOMETRY, preset
from multires.training.recipe import Recipe

TINY = {
    "width": 32, "heads": 2, "ffn": 64, "final_dim": 16, "conv_pos": 8, "conv_pos_groups": 4,
    "convolutions": tuple((16, k, s) for k, s in ((10, 5), *((3, 2),) * 4, *((2, 2),) * 2)),
}  # fmt: skip

RECIPE = Recipe(steps=6, batch_seconds=4, crop_seconds=1.0, classes=8, warm_steps=0, log_every=2, dropout=0.1)

LOG_MEL = {"front_end": "log_mel", "convolutions": LOG_MEL_GEOMETRY}


def config(architecture="hubert", **changes):
    depths = {"hubert": (2,), "mono": (1, 1, 1), "multi": (1, 1, 1)}[architecture]
    return preset(architecture, "small", classes=8, depths=depths, **{**TINY, **changes})


def weights(path):
    return load_checkpoint(path).state_dict()
