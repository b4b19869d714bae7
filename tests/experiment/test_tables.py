"""The tables of the controlled experiment: one's own, or those in the package."""

import shutil

import pandas as pd
import pytest

from multires.errors import MultiresError
from multires.experiment import tables


def test_the_package_has_both_corpora():
    found = tables.experiment_tables()
    assert [each.corpus for each in found] == list(tables.NAMES.values())
    for each in found:
        assert f"{each.seeds} seed" in each.title
        assert set(each.effects["effect"]) >= {"auxiliary loss", "downsampling", "interaction"}
        assert len(each.carries) == 5
    assert list(dict.fromkeys(tables.all_effects(found)["corpus"])) == list(tables.NAMES.values())


def test_a_corpus_that_ones_own_folder_lacks_comes_from_the_package(tmp_path):
    place = tmp_path / "librispeech" / "tables"
    shutil.copytree(tables._SHIPPED / "embedded", place)  # told apart from the package's by its rows
    shipped = tables.experiment_tables()
    own = tables.experiment_tables(tmp_path)
    assert [each.corpus for each in own] == [each.corpus for each in shipped]
    pd.testing.assert_frame_equal(own[0].effects, shipped[0].effects)
    pd.testing.assert_frame_equal(own[1].effects, shipped[0].effects)


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(MultiresError, match="holds no tables of the experiment"):
        tables.experiment_tables(tmp_path)
