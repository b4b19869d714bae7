"""Executable companion to 'An Empirical Analysis of Speech Self-Supervised Learning at Multiple Resolutions'.

Names are imported at first use: ``import multires`` loads neither torch nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multires.analysis import stages
    from multires.analysis.run import open_run
    from multires.corpus import load_corpus
    from multires.errors import MultiresError
    from multires.models import load_model

__all__ = ["MultiresError", "load_corpus", "load_model", "open_run", "stages"]

_MODULES = {
    "MultiresError": "multires.errors",
    "load_corpus": "multires.corpus",
    "load_model": "multires.models",
    "open_run": "multires.analysis.run",
    "stages": "multires.analysis.stages",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("multires")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_MODULES[name])
    value = module if _MODULES[name].endswith(f".{name}") else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
