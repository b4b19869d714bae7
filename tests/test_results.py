import errno
import os

import pandas as pd
import pytest

from multires.errors import MultiresError
from multires.results import COLUMNS, export, provenance, read_table, tidy, write_table


def test_tidy_orders_columns_and_fills_those_that_no_row_names():
    table = tidy([{"value": 1.0, "extra": "x", "model": "m"}, {"value": 2.0, "layer": "conv"}])
    assert list(table.columns) == [*COLUMNS, "extra"]
    assert table["seed"].isna().all()
    assert list(table["value"]) == [1.0, 2.0]


def test_a_table_and_its_provenance_come_back(tmp_path):
    table = tidy([{"value": 1.5, "model": "m", "layer_index": 2}])
    path = write_table(table, tmp_path / "deep" / "t.parquet", provenance("synthetic", {"seed": 3}, note="x"))
    back, source = read_table(path)
    assert back["value"].tolist() == [1.5]
    assert source["parameters"] == {"seed": 3}
    assert source["note"] == "x"
    assert sorted(file.name for file in path.parent.iterdir()) == ["t.json", "t.parquet"]  # nothing partial is left


def test_faults_name_the_file(tmp_path):
    with pytest.raises(MultiresError, match=r"missing\.parquet"):
        read_table(tmp_path / "missing.parquet")
    (tmp_path / "file").touch()
    with pytest.raises(MultiresError, match="cannot write"):
        write_table(tidy([{"value": 1}]), tmp_path / "file" / "t.parquet", {})
    with pytest.raises(MultiresError, match=r"must end in \.csv or \.parquet"):
        export(pd.DataFrame({"a": [1]}), tmp_path / "t.xls")


def test_export_writes_csv(tmp_path):
    path = export(pd.DataFrame({"a": [1, 2]}), tmp_path / "new" / "t.csv")
    assert path.read_text() == "a\n1\n2\n"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_cannot_be_exported_as_a_whole_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    path = export(pd.DataFrame({"a": [1, 2]}), tmp_path / f"t{suffix}")
    before = path.read_bytes()
    planted = tmp_path / "planted"
    planted.write_text("of another")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(MultiresError, match=rf"t\{suffix}: there is no room"):
            export(pd.DataFrame({"a": range(10_000)}), path)
    assert path.read_bytes() == before
    path.unlink()
    path.symlink_to(planted)
    export(pd.DataFrame({"a": [3]}), path)
    assert planted.read_text() == "of another", "a link is replaced, not followed"
    assert sorted(os.listdir(tmp_path)) == ["planted", f"t{suffix}"]
