"""Tables of segments in a file: a changed file is never read."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multires.errors import MultiresError
from multires.features.shared import SharedTable

TABLE = pd.DataFrame({"unit": ["phone"] * 3, "label": ["t", "k", "s"], "start": [0.0, 0.1, 0.25]})


def test_a_table_is_read_as_it_was_written(tmp_path):
    shared = SharedTable.write(TABLE, tmp_path / "segments")
    pd.testing.assert_frame_equal(shared.read(), TABLE)
    assert SharedTable.write(TABLE, tmp_path / "segments") == shared
    assert SharedTable.write(TABLE[::-1], tmp_path / "segments").path != shared.path


@given(st.data())
def test_no_flipped_bit_passes(tmp_path_factory, data):
    shared = SharedTable.write(TABLE, tmp_path_factory.getbasetemp() / "flipped")
    content = bytearray(shared.path.read_bytes())
    whole = bytes(content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    shared.path.write_bytes(content)
    try:
        with pytest.raises(MultiresError, match="changed or damaged"):
            SharedTable(shared.path, shared.sha256)._bytes()
    finally:
        shared.path.write_bytes(whole)


def test_shuffled_labels_in_a_well_formed_file_are_refused_and_the_writer_restores_them(tmp_path, caplog):
    shared = SharedTable.write(TABLE, tmp_path)
    altered = io.BytesIO()
    TABLE.assign(label=["k", "t", "s"]).to_parquet(altered, index=False)
    shared.path.write_bytes(altered.getvalue())
    with pytest.raises(MultiresError, match=r"parquet was changed or damaged"):
        shared.read()
    assert SharedTable.write(TABLE, tmp_path) == shared
    assert "writing it again" in caplog.text
    pd.testing.assert_frame_equal(shared.read(), TABLE)


def test_a_missing_file_is_named(tmp_path):
    shared = SharedTable.write(TABLE, tmp_path)
    shared.path.unlink()
    with pytest.raises(MultiresError, match=r"cannot read .*parquet"):
        shared.read()
