"""Settings of streamed CCA."""

from __future__ import annotations

from dataclasses import dataclass

from multires.errors import MultiresError, choose
from multires.measures.folds import Trials

FRAME_VIEWS = ("mel", "conv", "layer")
"""Views of frames: log-mel, the model's own waveform encoder, a layer of another model."""

LABEL_VIEWS = ("phone", "word", "part_of_speech", "word_vectors")
"""Views of segments of speech."""

GROUPINGS = ("segment", "utterance", "speaker")
"""Groups that are kept whole within one fold."""


@dataclass(frozen=True)
class Settings:
    """Views, layers and folds of a streamed CCA; statistics with equal settings can be merged.

    Attributes
    ----------
    views
        Among `FRAME_VIEWS` and `LABEL_VIEWS`.
    layers
        Names; all where None.
    window
        Seconds that every frame view averages over, such as 0.08; None for each layer's own frame period (or that of
        the other layer where it is coarser).
    other_layer
        The layer of the other model that is the view ``layer``; its last where empty.
    word_types, word_instances
        The views of words look at so many of the most frequent words, and at none that occurs less often.
    folds, trials
        As in `multires.measures.CCA`.
    group_by
        One of `GROUPINGS`.
    blocks
        Most clusters that the bootstrap keeps apart; more speakers or utterances are joined at random.
    seed
        Of folds, trials, blocks, shuffles and the order of utterances.
    """

    views: tuple[str, ...] = ("mel", "conv", "phone", "word", "part_of_speech")
    layers: tuple[str, ...] | None = None
    window: float | None = None
    other_layer: str = ""
    word_types: int = 500
    word_instances: int = 1
    folds: int = 10
    trials: Trials = 3
    group_by: str = "utterance"
    blocks: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for view in self.views:
            choose("view", view, (*FRAME_VIEWS, *LABEL_VIEWS))
        choose("group_by", self.group_by, GROUPINGS)
        least = {"blocks": self.blocks, "word_types": self.word_types, "word_instances": self.word_instances}
        for name, value in least.items():
            if value < 1:
                raise MultiresError(f"{name} is {value}: it must be at least 1")
        if self.window is not None and not self.window > 0:
            raise MultiresError(f"window is {self.window}: give seconds above 0, or None for each layer's own period")
