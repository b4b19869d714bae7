"""Executable companion to 'An Empirical Analysis of Speech Self-Supervised Learning at Multiple Resolutions'."""

from multires.corpus import load_corpus
from multires.errors import MultiresError
from multires.models import load_model
from multires.run import open_run

__all__ = ["MultiresError", "load_corpus", "load_model", "open_run"]
