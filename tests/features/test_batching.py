"""Batches and runs of items: nothing lost, nothing over the limit."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from multires.features.batching import batches, pad, runs

DURATIONS = st.lists(st.floats(0.1, 40), max_size=30)


@given(DURATIONS, st.floats(1, 100))
def test_batches_hold_each_item_once_and_no_more_than_the_limit_with_padding(durations, limit):
    items = list(enumerate(durations))
    made = list(batches(items, lambda item: item[1], limit))
    assert sorted(item for batch in made for item in batch) == items
    for batch in made:
        assert len(batch) == 1 or max(seconds for _, seconds in batch) * len(batch) <= limit
    order = [seconds for batch in made for _, seconds in batch]
    assert order == sorted(order, reverse=True)


@given(DURATIONS, st.floats(1, 100))
def test_runs_keep_the_order_and_end_as_soon_as_they_are_long_enough(durations, least):
    made = list(runs(durations, float, least))
    assert [seconds for run in made for seconds in run] == durations
    assert all(sum(run) >= least for run in made[:-1])
    assert all(sum(run[:-1]) < least for run in made)


def test_padding_is_zero_and_lengths_are_in_samples():
    waveforms, lengths = pad([np.ones(3, np.float32), np.full(5, 2, np.float32)])
    assert waveforms.dtype is torch.float32
    assert waveforms.tolist() == [[1, 1, 1, 0, 0], [2, 2, 2, 2, 2]]
    assert lengths.tolist() == [3, 5]
