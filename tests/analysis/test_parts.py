"""Chapters that need a part of a table compute that part only, and find the same numbers."""

import pandas as pd
import pytest

from multires.analysis import stages
from multires.analysis.kept import NotKept, only_kept_tables
from multires.analysis.run import open_run
from multires.book.evidence import claims


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The same small run in two workspaces: all tables are made in one, and those of claims and agreement in the other."""
    settings = {
        "hours": 0.06, "frames": 200, "folds": 4, "trials": 1, "resamples": 20, "cluster_seeds": 1, "phone_clusters": 20,
        "word_clusters": 10, "word_instances": 4, "probe_instances": 300, "layers": "middle.0", "efficiency_size": "small",
        "models": "librispeech/mono-0,librispeech/multi-0,untrained/mono-mel", "reference_model": "mel",
    }  # fmt: skip
    return [open_run("synthetic", workspace=tmp_path_factory.mktemp(name), progress=False, **settings) for name in "ab"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns")
def test_claims_and_agreement_compute_what_they_need_and_find_the_same(opened):
    whole, part = opened
    with pytest.raises(NotKept, match="cca"), only_kept_tables():
        stages.cca(whole)
    for stage in (stages.cca, stages.mutual_information, stages.probes):
        made = stage(whole)
        with only_kept_tables():
            assert stage(whole).path == made.path
    pd.testing.assert_frame_equal(without_costs(claims(whole).table), without_costs(claims(part).table))
    extracted = {path.name.rsplit("-", 2)[0] for path in (part.workspace / "features").iterdir() if path.is_dir()}
    assert {name for name in extracted if not name.startswith(".")} == {"librispeech-mono-0", "librispeech-multi-0"}
    pd.testing.assert_frame_equal(stages.agreement(whole).table, stages.agreement(part).table)
    assert {path.name.split("-")[1] for path in (part.workspace / "tables").glob("*.parquet")} >= {"cca", "agreement"}


def without_costs(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are not timed on this machine."""
    return table[table["claim"].isin([1, 2])].reset_index(drop=True)
