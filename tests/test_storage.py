import errno
import os
import signal
import time

import pytest

from multires import storage
from multires.errors import MultiresError


def test_a_place_is_a_path_or_a_url(tmp_path):
    assert storage.place(tmp_path) == tmp_path.resolve()
    assert not storage.is_remote(storage.place("somewhere"))
    url = storage.place("memory://bucket/run")
    assert storage.is_remote(url)
    assert str(url / "tables") == "memory://bucket/run/tables"
    with pytest.raises(MultiresError, match=r"gopher://hole .*fsspec"):
        storage.place("gopher://hole")


def test_a_file_is_replaced_as_a_whole_or_stays_as_it_was(tmp_path):
    target = tmp_path / "deep" / "file"
    storage.replace_file(target, lambda file: file.write_text("one"))

    def full(file):
        file.write_text("tw")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(MultiresError, match=r"deep/file: there is no room \(No space left on device\); make some"):
        storage.replace_file(target, full)
    assert target.read_text() == "one"
    assert os.listdir(target.parent) == ["file"]


def test_what_a_library_makes_of_a_full_disk_is_seen_through(tmp_path):
    def library():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("the archive could not be written") from error

    with pytest.raises(MultiresError, match="there is no room"), storage.writing(tmp_path):
        library()


def test_files_at_a_url_are_written_and_removed():
    folder = storage.writable("memory://bucket/files")
    assert list(folder.iterdir()) == []
    storage.replace_file(folder / "a" / "b", lambda file: file.write_bytes(b"x"))
    with storage.making(folder / "a"):
        assert (folder / "a" / "b").read_bytes() == b"x"
    storage.remove(folder)
    storage.remove(folder)
    assert not folder.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork")
def test_a_lock_ends_with_its_process(tmp_path):
    """SIGKILL leaves no time to unlock."""
    told, tell = os.pipe()
    holder = os.fork()
    if not holder:
        with storage.making(tmp_path / "t"):
            os.write(tell, b"held")
            time.sleep(60)
        os._exit(0)
    assert os.read(told, 4) == b"held"
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    start = time.monotonic()
    with storage.making(tmp_path / "t"):
        assert time.monotonic() - start < 10
