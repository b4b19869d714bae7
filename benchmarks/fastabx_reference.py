"""Seconds and ABX errors of fastabx on stored items; run by an interpreter that has it, as it needs Python 3.12."""

from __future__ import annotations

import inspect
import json
import sys
import time

import numpy as np


def main(path: str) -> None:
    import fastabx
    import polars
    import torch
    from fastabx.dataset import InMemoryAccessor

    torch.set_num_threads(int(sys.argv[2]))
    with np.load(path) as stored:
        arrays = dict(stored)
    indices = {i: (int(a), int(b)) for i, (a, b) in enumerate(arrays["spans"])}
    device = {"device": torch.device("cpu")} if "device" in inspect.signature(InMemoryAccessor).parameters else {}
    names = {column: arrays[column].astype(str) for column in ("label", "speaker", "context")}
    figures = {}
    for speakers in ("within", "across"):
        accessor = InMemoryAccessor(indices, torch.from_numpy(arrays["frames"].copy()), **device)
        by, across = (["context", "speaker"], None) if speakers == "within" else (["context"], ["speaker"])
        start, used = time.perf_counter(), time.process_time()
        dataset = fastabx.Dataset(labels=polars.DataFrame(names), accessor=accessor)
        subsampler = (
            fastabx.Subsampler(None, None) if arrays["limit"] == 0 else fastabx.Subsampler(int(arrays["limit"]), 5)
        )
        task = fastabx.Task(dataset, on="label", by=by, across=across, subsampler=subsampler)
        error = fastabx.Score(task, "angular").collapse(levels=["context", "speaker"])
        figures[speakers] = {
            "wall": time.perf_counter() - start,
            "processor": time.process_time() - used,
            "error": error,
            "cells": len(task),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
