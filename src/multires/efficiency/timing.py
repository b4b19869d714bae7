"""Times that can be compared: interleaved, warmed up, with intervals, and withheld where the machine is too noisy."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import nn

from multires.errors import MultiresError

LEVEL = 0.95
"""Nominal coverage of every interval here."""

REPLICATES = 2000
"""Bootstrap resamples."""

RATIO_TOLERANCE = 0.15
"""A ratio whose interval reaches further than this from its median, relative to it, is withheld."""

TIME_TOLERANCE = 0.5
"""The same for a time by itself, which drifts with the machine's load where a ratio of neighbours does not."""

LEAST_REPEATS = 4
"""Fewer repeats give no interval."""

Clock = Callable[[Callable[[], object]], float]
"""Runs a callable and gives the seconds that it took."""


@dataclass(frozen=True)
class Estimate:
    """A median with its interval, or the reason why there is none.

    Attributes
    ----------
    median, low, high
        NaN where the measurement is withheld.
    n
        Repeats.
    note
        Empty, or why the number is withheld.
    """

    median: float
    low: float
    high: float
    n: int
    note: str = ""

    @property
    def withheld(self) -> bool:
        """Whether there is no number."""
        return bool(self.note)


def time_interleaved(
    callables: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warmup: int = 1,
    seconds: float = 0.0,
    device: str = "cpu",
    clock: Clock | None = None,
) -> pd.DataFrame:
    """Time several callables in turn, A B C A B C ..., so that a change of the machine's speed meets all alike.

    Parameters
    ----------
    callables
        What to time, by name.
    repeats
        Rounds that are kept, at least.
    warmup
        Rounds before them that are not.
    seconds
        Go on after `repeats` rounds until this much time is spent: the stopping rule never looks at the results.
    device
        ``cpu``, or a CUDA device, whose own events are read after synchronisation.
    clock
        Another way to time; for tests.

    Returns
    -------
    DataFrame
        name, repeat (from 0) and seconds, one row a call.

    Raises
    ------
    MultiresError
        Where `repeats` is not positive.
    """
    if repeats < 1:
        raise MultiresError(f"repeats is {repeats}: give a positive number")
    clock = clock or (cuda_clock(device) if device.startswith("cuda") else wall_clock)
    for _ in range(warmup):
        for call in callables.values():
            clock(call)
    rows: list[tuple[str, int, float]] = []
    spent, repeat = 0.0, 0
    with _no_collection():
        while repeat < repeats or spent < seconds:
            for name, call in callables.items():
                took = clock(call)
                rows.append((name, repeat, took))
                spent += took
            repeat += 1
    return pd.DataFrame(rows, columns=["name", "repeat", "seconds"])


def wall_clock(call: Callable[[], object]) -> float:
    """Seconds by the monotonic clock."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cuda_clock(device: str) -> Clock:
    """Seconds between two events on the device's current stream."""

    def clock(call: Callable[[], object]) -> float:
        with torch.cuda.device(device):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
        return start.elapsed_time(end) / 1e3

    return clock


def summarise(times: pd.DataFrame, *, seed: int = 0, tolerance: float = TIME_TOLERANCE) -> dict[str, Estimate]:
    """The median time of each name with its interval; withheld where it is too wide."""
    return {
        str(name): estimate(group["seconds"].to_numpy(), seed=seed, tolerance=tolerance)
        for name, group in times.groupby("name", sort=False)
    }


def paired_ratio(
    times: pd.DataFrame, name: str, reference: str, *, seed: int = 0, tolerance: float = RATIO_TOLERANCE
) -> Estimate:
    """The median of the ratios of `name` to `reference`, repeat by repeat, with its interval; withheld if too wide."""
    return estimate(ratios(times, name, reference), seed=seed, tolerance=tolerance)


def ratios(times: pd.DataFrame, name: str, reference: str) -> Float[np.ndarray, " repeats"]:
    """Each repeat's time of `name` over that of `reference`.

    Raises
    ------
    MultiresError
        Where either was not timed.
    """
    table = times.pivot_table(index="repeat", columns="name", values="seconds")
    for column in (name, reference):
        if column not in table:
            raise MultiresError(f"{column!r} was not timed: timed were {', '.join(map(str, table.columns))}")
    return (table[name] / table[reference]).dropna().to_numpy()


def null_ratio(times: pd.DataFrame, name: str, *, seed: int = 0, tolerance: float = RATIO_TOLERANCE) -> Estimate:
    """What `paired_ratio` gives where nothing differs: each repeat of `name` over the one before it."""
    values = times.loc[times["name"] == name].sort_values("repeat")["seconds"].to_numpy()
    return estimate(values[1:] / values[:-1], seed=seed, tolerance=tolerance)


def estimate(values: Float[np.ndarray, " repeats"], *, seed: int = 0, tolerance: float) -> Estimate:
    """Median and bootstrap interval over repeats, or NaN and the reason where the interval is too wide to say anything.

    Parameters
    ----------
    values
        One for each repeat.
    seed
        Of the resamples.
    tolerance
        How far the interval may reach from the median, relative to it.
    """
    n = len(values)
    if n < LEAST_REPEATS:
        return Estimate(
            np.nan, np.nan, np.nan, n, f"{n} repeats are too few for an interval: {LEAST_REPEATS} are needed"
        )
    median = float(np.median(values))
    draws = np.random.default_rng(seed).integers(n, size=(REPLICATES, n))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.median(values[draws], axis=1), [tail, 1 - tail])
    reach = max(high - median, median - low) / abs(median) if median else np.inf
    if reach > tolerance:
        return Estimate(
            np.nan, np.nan, np.nan, n,
            f"too noisy: the interval reaches {reach:.0%} from the median of {n} repeats, {tolerance:.0%} is the limit; "
            "close other programs or raise the repeats",
        )  # fmt: skip
    return Estimate(median, float(low), float(high), n)


# -- the shape of time over duration ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """Coefficients of ``a + b T + c T^2`` and of every bootstrap replicate.

    Attributes
    ----------
    coefficients
        (a, b, c): seconds, seconds per second of audio, and seconds per squared second.
    replicates
        The same of each resample, shape (replicates, 3).
    """

    coefficients: Float[np.ndarray, " 3"]
    replicates: Float[np.ndarray, "replicates 3"]

    def at(self, durations: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Fitted time, and its lower and upper limit, at each duration in seconds."""
        design = _design(np.asarray(durations, float))
        low, high = np.quantile(self.replicates @ design.T, _tails(), axis=0)
        return np.stack([design @ self.coefficients, low, high], axis=1)

    def interval(self) -> Float[np.ndarray, "3 2"]:
        """Lower and upper limit of a, b and c."""
        return np.quantile(self.replicates, _tails(), axis=0).T


def fit_duration(times: pd.DataFrame, *, replicates: int = 500, seed: int = 0) -> dict[str, Fit]:
    """Fit ``t(T) = a + b T + c T^2`` with none of them negative to the times of each name, with relative errors.

    The overhead of a call does not grow with the audio, most layers' work grows with it, and attention's scores with
    its square. Repeats are resampled within a duration, by the same draws for every name, so that fits can be compared
    replicate by replicate.

    Parameters
    ----------
    times
        As `time_interleaved` gives, with a further column duration in seconds.
    replicates, seed
        Of the bootstrap.

    Raises
    ------
    MultiresError
        Where fewer than three durations were timed.
    """
    durations = np.sort(times["duration"].unique())
    if len(durations) < 3:
        raise MultiresError(f"{len(durations)} durations cannot give three coefficients: time at least 3")
    rng = np.random.default_rng(seed)
    counts = {d: times.loc[times["duration"] == d, "repeat"].nunique() for d in durations}
    draws = {d: rng.integers(n, size=(replicates, n)) for d, n in counts.items()}
    fits = {}
    for name, group in times.groupby("name", sort=False):
        values = {d: part.sort_values("repeat")["seconds"].to_numpy() for d, part in group.groupby("duration")}
        centre = np.array([np.median(values[d]) for d in durations])
        resampled = np.stack([np.median(values[d][draws[d]], axis=1) for d in durations], axis=1)
        fits[str(name)] = Fit(_solve(durations, centre), np.stack([_solve(durations, y) for y in resampled]))
    return fits


def fitted_ratio(fit: Fit, reference: Fit, durations: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """The ratio of two fitted curves, and its lower and upper limit, at each duration in seconds."""
    design = _design(np.asarray(durations, float))
    low, high = np.quantile((fit.replicates @ design.T) / (reference.replicates @ design.T), _tails(), axis=0)
    return np.stack([(design @ fit.coefficients) / (design @ reference.coefficients), low, high], axis=1)


def pays_from(cheaper: Fit, reference: Fit) -> tuple[float, float, float]:
    """The duration in seconds from which `cheaper` takes less time for good, with its interval.

    0 where it always does, infinity where it never does.
    """
    difference = reference.replicates - cheaper.replicates
    low, high = np.quantile([_last_root(row) for row in difference], _tails(), method="nearest")
    return _last_root(reference.coefficients - cheaper.coefficients), float(low), float(high)


def _last_root(saving: Float[np.ndarray, " 3"]) -> float:
    """The last positive T at which a + b T + c T^2 turns positive."""
    # Differences of equal coefficients leave rounding errors, which have signs.
    a, b, c = (0.0 if abs(x) < 1e-12 else float(x) for x in saving)
    settled = next((x for x in (c, b, a) if x), 0.0)
    if settled <= 0:
        return np.inf
    roots = np.roots(np.trim_zeros(np.array([c, b, a]), "f"))
    positive = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and root.real > 0]
    return max(positive, default=0.0)


def _design(durations: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(durations), durations, durations**2], axis=1)


def _solve(durations: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    return nnls(_design(durations) / seconds[:, None], np.ones(len(durations)))[0]


def _tails() -> list[float]:
    return [(1 - LEVEL) / 2, (1 + LEVEL) / 2]


# -- where the time goes ------------------------------------------------------------------------------------------


def time_modules(
    model: nn.Module, names: list[str], call: Callable[[], object], *, device: str = "cpu"
) -> dict[str, float]:
    """Seconds spent within each named submodule during one call; the modules must not contain one another.

    On a GPU the device's events are read after one synchronisation at the end, so that nothing waits in between.
    """
    cuda = device.startswith("cuda")
    marks: dict[str, list[object]] = {name: [] for name in names}

    def mark(name: str) -> None:
        if cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            marks[name].append(event)
        else:
            marks[name].append(time.perf_counter())

    hooks = []
    for name in names:
        module = model.get_submodule(name)
        hooks.append(module.register_forward_pre_hook(lambda _m, _i, name=name: mark(name)))
        hooks.append(module.register_forward_hook(lambda _m, _i, _o, name=name: mark(name)))
    try:
        call()
        if cuda:
            torch.cuda.synchronize()
    finally:
        for hook in hooks:
            hook.remove()
    return {name: sum(_between(a, b) for a, b in zip(m[::2], m[1::2], strict=True)) for name, m in marks.items()}


def _between(start: object, end: object) -> float:
    if isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        return start.elapsed_time(end) / 1e3
    if isinstance(start, float) and isinstance(end, float):
        return end - start
    raise TypeError("a start and an end of the same kind are needed")


# -- the machine --------------------------------------------------------------------------------------------------


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
    """Let torch use so many threads within, as many as now where None; gives the number.

    Raises
    ------
    MultiresError
        Where `number` is not positive.
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


@contextmanager
def _no_collection() -> Iterator[None]:
    """Garbage is collected before, not in the middle of a measurement."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
