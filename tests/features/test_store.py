"""The store under damage, and as other processes read it."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from multires.errors import MultiresError
from multires.features.segments import UNITS


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
def test_a_damaged_shard_is_noticed_and_extracted_again(store, damage, capsys):
    model, made = store
    before = {unit: made.vectors("conv", unit) for unit in UNITS}
    damage(made.path / "shard-0001" / "phone" / "conv" / "c" / "0" / "0")
    for unit in UNITS:
        np.testing.assert_array_equal(made.vectors("conv", unit), before[unit])
    assert model.calls == 1
    assert "extracting shard-0001 again" in capsys.readouterr().err
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
