import errno
import os
import signal
import socket
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from multires import open_run
from multires.analysis import stages
from multires.errors import MultiresError
from multires.runtime import storage


def test_a_place_is_a_path_or_a_url(tmp_path):
    assert storage.place(tmp_path) == tmp_path.resolve()
    assert not storage.is_remote(storage.place("somewhere"))
    url = storage.place("memory://bucket/run")
    assert storage.is_remote(url)
    assert str(url / "tables") == "memory://bucket/run/tables"
    with pytest.raises(MultiresError, match=r"gopher://hole .*fsspec"):
        storage.place("gopher://hole")


def test_a_file_url_is_a_local_path_and_file_servers_are_refused(tmp_path, monkeypatch):
    assert storage.place(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert storage.place(f"local://{tmp_path}") == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage.place("~/here") == tmp_path / "here"
    with pytest.raises(MultiresError, match="names another machine"):
        storage.place("file://elsewhere/folder")
    for url in ("sftp://host/folder", "smb://host/share", "ssh://host/folder"):
        with pytest.raises(MultiresError, match=r"is not supported.*mount the folder"):
            storage.place(url)


def as_nobody(work):
    """What `work` gives as another user, in a process of its own; skipped where this one may not change users."""
    if not hasattr(os, "fork") or os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            answer = work()
        except MultiresError as error:
            answer = f"MultiresError: {error}"
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(tell, str(answer).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer


@pytest.fixture
def shared():
    """A folder that other users reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_a_finished_workspace_of_another_user_can_be_read(shared):
    (shared / "tables").mkdir()
    (shared / "tables" / "x").write_text("found")
    assert as_nobody(lambda: (storage.open_workspace(shared) / "tables" / "x").read_text()) == "found"
    assert "cannot write" in as_nobody(lambda: storage.replace_file(shared / "tables" / "y", lambda path: path.touch()))
    assert as_nobody(lambda: storage.open_workspace(shared / "new")).startswith("MultiresError: workspace")


def test_a_workspace_that_another_user_hides_is_refused_in_a_sentence(shared):
    os.chmod(shared, 0o777)
    (shared / "tables").mkdir(mode=0o700)
    assert "you cannot read (tables)" in as_nobody(lambda: storage.open_workspace(shared))
    os.chmod(shared, 0o700)
    assert "cannot be written" in as_nobody(lambda: storage.open_workspace(shared))


def test_what_a_killed_run_left_is_removed_when_the_workspace_is_opened(tmp_path):
    for name in (".partial-1-table", "features/model/.shard-0001.x", "tables/.partial-2-x"):
        (tmp_path / name).mkdir(parents=True)
    storage.open_workspace(tmp_path)
    assert not list(tmp_path.rglob(".*"))


def test_a_file_is_replaced_as_a_whole_or_stays_as_it_was(tmp_path):
    target = tmp_path / "deep" / "file"
    storage.replace_file(target, lambda file: file.write_text("one"))

    def full(file):
        file.write_text("tw")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(MultiresError, match=r"deep/file: there is no room \(No space left on device\); free some"):
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
    folder = storage.open_workspace("memory://bucket/files")
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


@contextmanager
def s3():
    """An empty bucket of an S3 server on this machine."""
    s3fs = pytest.importorskip("s3fs")
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "BOTO3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": host,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # those that know another address
        boto3.client("s3").create_bucket(Bucket="lab")
        yield "s3://lab"
        s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


@contextmanager
def gs():
    """An empty bucket of a server of Google's storage on this machine."""
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    environment = {"NO_PROXY": "127.0.0.1", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false", "GOOGLE_CLOUD_PROJECT": "lab"}
    with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        for name, value in {**environment, "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}.items():
            patch.setenv(name, value)
        free.close()
        running = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="lab")
        running.start()
        gcsfs = pytest.importorskip("gcsfs")
        gcsfs.GCSFileSystem.clear_instance_cache()
        yield "gs://lab"
        gcsfs.GCSFileSystem.clear_instance_cache()
        running.stop()


@pytest.fixture(scope="module", params=[s3, gs])
def bucket(request):
    with request.param() as url:
        yield url


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*training rows for.*columns", "ignore::DeprecationWarning")
def test_a_run_in_a_bucket_has_the_tables_of_a_local_one(bucket, tmp_path):
    settings = {
        "hours": 0.02, "frames": 200, "models": "untrained/mono-small", "layers": "conv,middle.0", "views": "mel,phone",
        "folds": 4, "trials": 1, "resamples": 20, "word_instances": 2, "progress": False,
    }  # fmt: skip
    found = stages.cca(open_run("synthetic", workspace=f"{bucket}/run", **settings))
    local = stages.cca(open_run("synthetic", workspace=tmp_path, **settings))
    assert found.table.equals(local.table)
    again = stages.cca(open_run("synthetic", workspace=f"{bucket}/run", **settings))
    assert again.source["date"] == found.source["date"], "read, not made again"


@pytest.mark.slow
def test_papermill_writes_to_a_bucket(bucket, tmp_path):
    import nbformat
    import papermill
    from upath import UPath

    cell = nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    book = nbformat.v4.new_notebook(
        metadata={"kernelspec": kernel}, cells=[cell, nbformat.v4.new_code_cell("print(seed)")]
    )
    nbformat.write(book, tmp_path / "in.ipynb")
    papermill.execute_notebook(
        str(tmp_path / "in.ipynb"), f"{bucket}/out.ipynb", {"seed": 7}, kernel_name="python3", progress_bar=False
    )
    assert '"7\\n"' in UPath(f"{bucket}/out.ipynb").read_text()
