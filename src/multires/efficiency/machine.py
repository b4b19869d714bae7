"""The machine itself: rate of matrix products, energy counters, threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from multires.efficiency.estimates import TIME_TOLERANCE, Estimate, estimate
from multires.efficiency.timing import time_interleaved
from multires.errors import MultiresError


def matrix_product_rate(
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    seconds: float = 1.0,
    size: int | None = None,
    seed: int = 0,
) -> Estimate:
    """Multiply-accumulates per second of one large square matrix product: what this machine gives at best.

    Parameters
    ----------
    device, dtype
        As for the models.
    seconds
        How long to measure.
    size
        Rows and columns; 1536 on a processor, 8192 on a GPU where None.
    seed
        Of the entries and the bootstrap.
    """
    size = size or (8192 if device.startswith("cuda") else 1536)
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(size, size, generator=generator).to(device, dtype) for _ in range(2))
    times = time_interleaved({"product": lambda: a @ b}, repeats=5, warmup=2, seconds=seconds, device=device)
    return estimate(size**3 / times["seconds"].to_numpy(), seed=seed, tolerance=TIME_TOLERANCE)


def energy_counters() -> tuple[list[Path], str]:
    """The processor packages' energy counters (RAPL) that can be read, and why there are none."""
    root = Path("/sys/class/powercap")
    found = sorted(path / "energy_uj" for path in root.glob("intel-rapl:?") if (path / "energy_uj").exists())
    if not found:
        return [], "this machine has no RAPL energy counters"
    try:
        for path in found:
            path.read_text()
    except OSError:
        return [], "the RAPL energy counters can be read by the administrator only"
    return found, ""


def measure_energy(call: Callable[[], object], counters: list[Path], *, calls: int) -> float:
    """Joules that the processor packages took for each of `calls` calls, everything else they did included."""
    limits = [int((path.parent / "max_energy_range_uj").read_text()) for path in counters]
    before = [int(path.read_text()) for path in counters]
    for _ in range(calls):
        call()
    after = [int(path.read_text()) for path in counters]
    # The counters wrap around.
    used = sum((b - a) % (limit + 1) for a, b, limit in zip(before, after, limits, strict=True))
    return used / 1e6 / calls


@contextmanager
def threads(number: int | None) -> Iterator[int]:
    """Set torch's number of threads for a block, or keep it where None; yields the number.

    Raises
    ------
    MultiresError
        If `number` is not positive.
    """
    before = torch.get_num_threads()
    if number is not None:
        if number < 1:
            raise MultiresError(f"threads is {number}: give a positive number")
        torch.set_num_threads(number)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
