"""The machine that a benchmark ran on, with rates measured in the same run.

Figures of different processors, or of the same one under load, are not comparable without them.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import torch

from multires.results import processor_name
from multires.runtime.speed import processor_features, product_rates


def machine() -> dict[str, Any]:
    """Processor, features, threads, load, and 10^9 operations per second of processor time of products."""
    return {
        "processor": processor_name(),
        "features": processor_features(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "product_gflops": {name: round(rate, 1) for name, rate in product_rates().items()},
    }


def print_machine() -> None:
    """Print it to standard error, so that a benchmark's JSON on standard output stays one object."""
    print(json.dumps(machine()), file=sys.stderr, flush=True)
