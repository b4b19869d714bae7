"""Windows on a common grid: their phones and the frames of layers in them."""

import numpy as np
import pandas as pd
import pytest

from multires.analysis.stages.grid import PERIOD, grid_vectors, grid_windows, sampled_windows
from multires.models.layers import Layer


def items(*phones):
    rows = [
        {"unit": "phone", "number": n, "utterance": str(n), "speaker": "s", "split": "train", "label": label,
         "start": start, "end": end}
        for n, label, start, end in phones
    ]  # fmt: skip
    return pd.DataFrame([*rows, {**rows[0], "unit": "word", "label": "a word"}])


@pytest.mark.parametrize("period", [0.02, 0.04])
def test_a_window_has_the_phone_that_its_middle_is_in(period):
    phones = [(0, "a", 0.03, 0.11), (0, "b", 0.11, 0.12), (1, "c", 0.0, 0.09)]
    table = grid_windows(items(*phones), period)
    found = {(row.number, row.window): row.label for row in table.itertuples()}
    wanted = {}
    for number, label, start, end in phones:
        for window in range(10):
            if start - 1e-9 <= (window + 0.5) * period < end - 1e-9:
                wanted[number, window] = label
    assert found == wanted


class Store:
    def frames(self, name):
        return np.arange(9.0, dtype=np.float32)[:, None], np.array([4, 5])


def test_vectors_are_means_of_the_frames_in_a_window_and_the_last_one_beyond_the_end():
    layer = Layer("fine", "F", "encoder.0", 1, 0.02, 1, 0.01)
    table = pd.DataFrame({"number": [0, 0, 1, 1, 1], "window": [0, 1, 0, 2, 7]})
    assert grid_vectors(Store(), layer, table, 0.04).ravel().tolist() == [0.5, 2.5, 4.5, 8.0, 8.0]
    coarse = Layer("coarse", "C", "middle", 2, 0.04, 1, 0.02)
    assert grid_vectors(Store(), coarse, table.iloc[:2], 0.02).ravel().tolist() == [0.0, 0.0]


@pytest.mark.slow
def test_every_model_is_read_in_the_same_windows(framed):
    tables = [
        sampled_windows(framed, framed.frames(name, seed).items(), PERIOD, ("evaluation",))
        for name, seed in (("untrained/mono-small", 0), ("untrained/multi-small", 1), ("mel", 0))
    ]
    assert len(tables[0]) == framed.profile.grid_frames
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other)
