"""The controlled experiment: training, scoring, statistics."""
