from dataclasses import replace

import pytest

from multires.efficiency import measurements, stored_costs, table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("costs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(table.SETTINGS, "quick", replace(table.SETTINGS["quick"], seconds=0.0))
        patch.setattr(measurements, "_memory", lambda bench, configs: None)  # starts a process of its own
        stored_costs.measure_here(
            size="small", setting="quick", threads=1, folder=place, durations=(0.2, 0.5, 1.0), progress=False
        )
    return place


def test_a_machine_is_kept_with_its_name_and_versions(folder):
    (kept,) = stored_costs.stored_costs(folder)
    assert kept.source["parameters"]["size"] == "small"
    assert kept.source["threads"] == 1
    assert kept.source["machine"]["processor"]
    assert kept.source["libraries"]["torch"]
    assert len(kept.table) == kept.source["rows"]


def test_tables_stand_beside_one_another(folder):
    table = stored_costs.stored_costs(folder)[0].table
    shown = stored_costs.beside([table, table.assign(precision="bfloat16", device="cuda", machine="some GPU")])
    assert shown["machine"].tolist() == [table["machine"].iloc[0], "some GPU"]
    assert shown["seconds of speech"].tolist() == ["1", "1"]
    assert shown["threads"].tolist() == ["1", ""]
    row = table[(table["measure"] == "ratio") & (table["model"] == "multi") & (table["view"] == "mono")].iloc[-1]
    assert shown["ratio to control"][0] == ("too noisy" if row["note"] else stored_costs._cell(row))


def test_what_is_missing_is_said(folder, tmp_path):
    assert stored_costs.stored_costs(tmp_path / "none") == []
    assert "No table of a GPU" in stored_costs.summary_of(stored_costs.stored_costs(folder))
    gpu = stored_costs.StoredCosts(stored_costs.stored_costs(folder)[0].table.assign(device="cuda"), {})
    assert "No table of a GPU" not in stored_costs.summary_of([gpu])
    assert stored_costs.precisions("cuda:0") == ("float32", "bfloat16")


def test_a_device_that_is_not_there_is_one_line():
    with pytest.raises(SystemExit, match="unknown device"):
        stored_costs.main(["--device", "tpu"])
