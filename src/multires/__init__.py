"""Executable companion to 'An Empirical Analysis of Speech Self-Supervised Learning at Multiple Resolutions'."""

from multires.analysis.run import open_run
from multires.corpus import load_corpus
from multires.errors import MultiresError
from multires.models import load_model

__all__ = ["MultiresError", "load_corpus", "load_model", "open_run"]
