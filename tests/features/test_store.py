"""The store under damage, and as other processes read it."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multires.errors import MultiresError
from multires.features.segments import UNITS
from multires.features.store import Damaged, read_array


def _cut(file):
    file.write_bytes(file.read_bytes()[:-3])


def _flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _confuse(file):
    note = file.parents[2] / "zarr.json"
    note.write_text(note.read_text().replace('"shape"', '"shade"'))


@pytest.mark.parametrize("damage", [_cut, _flip, _confuse, Path.unlink, lambda file: shutil.rmtree(file.parents[4])])
def test_a_damaged_shard_is_noticed_and_extracted_again(store, damage, caplog):
    model, made = store
    before = {unit: made.vectors("conv", unit) for unit in UNITS}
    damage(made.path / "shard-0001" / "phone" / "conv" / "c" / "0" / "0")
    for unit in UNITS:
        np.testing.assert_array_equal(made.vectors("conv", unit), before[unit])
    assert model.calls == 1
    assert "extracting shard-0001 again" in caplog.text
    assert sorted(file.name for file in made.path.iterdir()) == ["shard-0000", "shard-0001", "shard-0002"]


def test_what_reads_a_shard_elsewhere_takes_no_table_along(store):
    _, made = store
    rows = np.arange(len(made.labels("phone"))) % 2 == 0
    readers = made.readers("conv", "phone", rows)
    sent = [pickle.dumps(reader) for reader in readers]
    assert len(sent) > 1
    assert all(b"utterance" not in each for each in sent)
    for found in ([reader() for reader in readers], [pickle.loads(each)() for each in sent]):
        np.testing.assert_array_equal(np.concatenate(found), made.vectors("conv", "phone")[rows])


def test_where_nothing_can_extract_it_again_a_damaged_shard_is_named(store):
    _, made = store
    elsewhere = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(elsewhere.vectors("conv", "word"), made.vectors("conv", "word"))
    _flip(made.path / "shard-0001" / "word" / "conv" / "c" / "0" / "0")
    with pytest.raises(MultiresError, match=r"conv is damaged .*delete .*shard-0001 to have it"):
        elsewhere.vectors("conv", "word")


class Command:
    """Writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_an_array_in_zarr_v2_with_a_pickle_filter_is_never_opened(store, tmp_path):
    _, made = store
    before, mark = made.vectors("conv", "phone"), tmp_path / "mark"
    place = made.path / "shard-0000" / "phone" / "conv"
    shape = json.loads((place / "zarr.json").read_text())["shape"]
    shutil.rmtree(place)
    place.mkdir()
    described = {
        "zarr_format": 2, "shape": shape, "chunks": shape, "dtype": "|O", "order": "C", "fill_value": None,
        "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 4}], "compressor": None,
        "dimension_separator": ".",
    }  # fmt: skip
    (place / ".zarray").write_text(json.dumps(described))
    (place / ".zattrs").write_text('{"crc32": 1}')
    (place / "0.0").write_bytes(pickle.dumps(Command(mark)))
    with pytest.raises(MultiresError, match="is damaged"):
        pickle.loads(pickle.dumps(made)).vectors("conv", "phone")
    np.testing.assert_array_equal(made.vectors("conv", "phone"), before)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("codecs", [{"name": "numcodecs.pickle", "configuration": {}}]),
        ("codecs", [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip"}]),
        ("zarr_format", 2),
        ("data_type", "float64"),
        ("shape", [10**12, 2]),
        ("shape", [3]),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [10**9, 2]}}),
        ("storage_transformers", [{"name": "other"}]),
    ],
)
def test_a_description_of_another_array_is_refused_before_a_value_is_read(store, name, value, monkeypatch):
    _, made = store
    described = made.path / "shard-0001" / "phone" / "conv" / "zarr.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), name: value}))
    monkeypatch.setattr("zarr.open_array", lambda *_, **__: pytest.fail("the array was opened"))
    shape = (int(made._rows_in_shards("phone")[1]), 2)
    with pytest.raises(Damaged, match=name.replace("_", ".")):
        read_array(described.parent, shape)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_flipped_bit_of_an_array_passes(store, data):
    _, made = store
    place = made.path / "shard-0000" / "phone" / "middle.0"
    shape = (int(made._rows_in_shards("phone")[0]), 3)
    before = read_array(place, shape)
    file = data.draw(st.sampled_from([place / "zarr.json", place / "c" / "0" / "0"]))
    whole = file.read_bytes()
    content = bytearray(whole)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    try:
        found = read_array(place, shape)
    except Damaged:
        found = before
    finally:
        file.write_bytes(whole)
    np.testing.assert_array_equal(found, before)
