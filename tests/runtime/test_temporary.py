"""Temporary files: never a planted link, never another process's, and none left by the dead."""

import os
import signal
import stat
import time

import pytest

from multires.runtime.temporary import PREFIX, remove_abandoned, temporary_file, temporary_folder


def test_a_temporary_file_has_the_suffix_and_the_mode_of_an_ordinary_one(tmp_path):
    (tmp_path / "plain").touch()
    with temporary_file(tmp_path / "table.csv") as path:
        assert path.parent == tmp_path
        assert path.suffix == ".csv"
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert os.listdir(tmp_path) == ["plain"]


def test_a_planted_link_is_not_followed(tmp_path, monkeypatch):
    """Names cannot be guessed; one that is taken all the same is refused."""
    (tmp_path / "victim").write_text("precious")
    monkeypatch.setattr("multires.runtime.temporary.secrets.token_hex", lambda size: "guessed")
    (tmp_path / f"{PREFIX}guessed-table").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError), temporary_file(tmp_path / "table"):
        pass
    with pytest.raises(FileExistsError), temporary_folder(tmp_path / "table"):
        pass
    remove_abandoned(tmp_path)
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_is_in_use_is_kept_and_what_is_abandoned_removed(tmp_path):
    (tmp_path / f"{PREFIX}0-old").touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"{PREFIX}1-old").mkdir()
    (tmp_path / "deep" / f"{PREFIX}1-old" / "file").touch()
    (tmp_path / ".shard-0000.1234abcd").mkdir()
    (tmp_path / "kept").touch()
    with temporary_file(tmp_path / "file") as file, temporary_folder(tmp_path / "folder") as folder:
        assert len(remove_abandoned(tmp_path, below=1)) == 3
        assert file.exists()
        assert folder.exists()
    assert sorted(os.listdir(tmp_path)) == ["deep", "kept"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork")
def test_what_a_killed_process_left_is_removed(tmp_path):
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        with temporary_folder(tmp_path / "shard") as folder:
            (folder / "array").touch()
            os.write(tell, b"x")
            time.sleep(600)
        os._exit(0)
    os.read(told, 1)
    assert remove_abandoned(tmp_path) == []
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(remove_abandoned(tmp_path)) == 1
    assert os.listdir(tmp_path) == []
