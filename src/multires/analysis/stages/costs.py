"""The efficiency table of a run."""

from __future__ import annotations

import pandas as pd

from multires.analysis.run import Run
from multires.efficiency.table import efficiency_table
from multires.results import Result


def efficiency(run: Run, *, precision: str = "float32") -> Result:
    """Counted and measured cost of HuBERT, its mono-resolution control and MR-HuBERT (see `measures.efficiency`)."""

    def compute() -> pd.DataFrame:
        return efficiency_table(
            size=run.profile.efficiency_size, setting=run.profile.efficiency_setting, device=run.device, seed=run.seed,
            precision=precision, progress=run.progress,
        )  # fmt: skip

    parameters = {
        "size": run.profile.efficiency_size, "setting": run.profile.efficiency_setting, "precision": precision,
    }  # fmt: skip
    return run.table("efficiency", parameters, compute, corpus=False)
