"""Operation counts, timings, memory, and reference timings."""
