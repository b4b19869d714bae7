"""One model trained by masked unit prediction, from corpus to file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multires.corpus.detect import training_corpus
from multires.errors import MultiresError, choose
from multires.experiment.conditions import CONDITIONS, CORPORA, SIZES, Size, Targets, changed
from multires.experiment.estimate import estimate
from multires.experiment.train import load_material_of, train_all
from multires.profiles import present_name


def train_one(
    condition: str = "multi+aux",
    corpus: str = "synthetic",
    *,
    data: str | Path | Sequence[str | Path] | None = None,
    size: str | Size = "cpu",
    seed: int = 0,
    steps: int | None = None,
    teacher: Targets | tuple[str, str] | None = None,
    classes: int | None = None,
    recipe: Sequence[str] = (),
    out: str | Path = "experiment",
    device: str = "cpu",
    estimate_only: bool = False,
    progress: bool = True,
) -> Path:
    """Train one condition of the experiment with one seed; goes on where it was stopped.

    Parameters
    ----------
    condition
        One of `multires.experiment.run.CONDITIONS`.
    corpus, data
        ``synthetic``, or ``librispeech`` with the folder of the corpus.
    size
        One of `multires.experiment.run.SIZES`, or a `Size`.
    steps, classes
        In place of those of the size's recipe.
    recipe
        Further changes of it, such as ``auxiliary_weight=2``.
    teacher
        Model and layer whose clusters are predicted, in place of the size's targets.
    out
        The model is written to ``<out>/<corpus>/single/models``, apart from the experiment's own models.
    estimate_only
        Measure a few steps, print what the training would take, and stop.

    Returns
    -------
    pathlib.Path
        The safetensors file, which `load_model` takes as a name; with `estimate_only`, where it would be.

    Raises
    ------
    MultiresError
        For an unknown condition, corpus or size, or a folder that is missing or cannot be written.
    """
    choose("condition", condition, tuple(CONDITIONS))
    corpus = choose("corpus", present_name("corpus", corpus), tuple(CORPORA))
    corpus = training_corpus(corpus, data)
    chosen = size if isinstance(size, Size) else SIZES[choose("size", size, tuple(SIZES))]
    chosen = changed(chosen, steps=steps, teacher=teacher, classes=classes, recipe=recipe)
    if corpus != "synthetic" and not data:
        raise MultiresError(f"corpus {corpus!r} is read from a folder: name it with data (--data)")
    folder = Path(out) / corpus / "single" / "models"
    _, _, material = load_material_of(corpus, data, chosen, device, progress, Path(out) / corpus / "material")
    print(estimate(material, chosen, [condition], [seed], device), flush=True)
    if estimate_only:
        return folder / f"{condition}-{seed}.safetensors"
    try:
        (path,) = train_all(material, chosen, [condition], [seed], folder, progress=progress)
    except OSError as error:
        raise MultiresError(f"cannot write {folder}: {error.strerror or error}; choose another out") from error
    return path
