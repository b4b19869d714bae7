"""Figures of the chapter on efficiency: counted operations, measured times, and cost against scores."""

from multires.report.figures.efficiency.downsampling import savings
from multires.report.figures.efficiency.durations import latency
from multires.report.figures.efficiency.parts import macs_by_part, time_by_part
from multires.report.figures.efficiency.trade import traded

__all__ = ["latency", "macs_by_part", "savings", "time_by_part", "traded"]
