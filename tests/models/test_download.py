"""Downloads against a server on this machine: resumed, checked, and clear where they fail."""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from multires.errors import MultiresError
from multires.models import build_model, load_model, save_model
from multires.models.download import fetch
from multires.runtime.download import Resuming

CONTENT = bytes(range(256)) * 40_000


class Server(ThreadingHTTPServer):
    """Serves `content` with ranges; can break off, forget its ranges, or refuse."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.break_after, self.status, self.tag = CONTENT, None, None, '"one"'
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.pt"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.server.status:
            self.send_error(self.server.status)
            return
        start = 0
        if wanted and self.headers.get("If-Range") == self.server.tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start > len(self.server.content) or (start and start == len(self.server.content)):
            self.send_error(416)
            return
        rest = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("ETag", self.server.tag)
        self.end_headers()
        self.wfile.write(rest[: self.server.break_after])

    def log_message(self, *_arguments) -> None:
        pass


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


def get(server, tmp_path):
    return fetch("model", server.url, cache=tmp_path, progress=False)


def names(tmp_path):
    return sorted(file.name for file in (tmp_path / "models").iterdir() if file.name != ".locks")


def test_once_downloaded_the_file_is_kept(server, tmp_path):
    path = get(server, tmp_path)
    assert path.read_bytes() == CONTENT
    assert get(server, tmp_path) == path
    assert len(server.asked) == 1
    assert names(tmp_path) == ["hashes.json", "model.pt"]
    hashes = json.loads((tmp_path / "models" / "hashes.json").read_text())
    assert hashes == {"model.pt": hashlib.sha256(CONTENT).hexdigest()}


def test_an_interrupted_download_is_resumed(server, tmp_path):
    server.break_after = 3_000_000
    with pytest.raises(MultiresError, match="try again to resume"):
        get(server, tmp_path)
    kept = (tmp_path / "models" / ".model.pt.part").stat().st_size
    assert 0 < kept <= 3_000_000
    server.break_after = None
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]
    assert names(tmp_path) == ["hashes.json", "model.pt"]


def test_a_file_changed_in_between_is_fetched_from_the_start(server, tmp_path):
    server.break_after = 3_000_000
    with pytest.raises(MultiresError):
        get(server, tmp_path)
    server.break_after, server.tag, server.content = None, '"two"', CONTENT[::-1]
    assert get(server, tmp_path).read_bytes() == CONTENT[::-1]


def test_a_part_that_is_already_whole(server, tmp_path):
    server.break_after = 3_000_000
    with pytest.raises(MultiresError):
        get(server, tmp_path)
    (tmp_path / "models" / ".model.pt.part").write_bytes(CONTENT)
    server.break_after = None
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_changed_file_is_refused(server, tmp_path):
    path = get(server, tmp_path)
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(MultiresError, match="has changed since it was first fetched"):
        get(server, tmp_path)


def test_a_different_file_from_the_server_is_refused(server, tmp_path):
    path = get(server, tmp_path)
    path.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(MultiresError, match="not the model first fetched"):
        get(server, tmp_path)
    assert names(tmp_path) == ["hashes.json"]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_says_where_to_put_the_file(status, server, tmp_path):
    server.status = status
    with pytest.raises(MultiresError, match=f"answered {status}.*models/model.pt by other means"):
        get(server, tmp_path)
    assert names(tmp_path) == []


def test_offline_says_where_to_put_the_file(tmp_path):
    with pytest.raises(MultiresError) as found:
        fetch("model", "http://127.0.0.1:9/model.pt", cache=tmp_path, progress=False)
    assert str(tmp_path / "models" / "model.pt") in str(found.value)
    assert "\n" not in str(found.value)
    assert names(tmp_path) == []


def test_a_file_put_by_hand_is_used_and_remembered(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_bytes(CONTENT)
    path = fetch("model", "http://127.0.0.1:9/model.pt", cache=tmp_path)
    assert path.read_bytes() == CONTENT
    path.write_bytes(b"other")
    with pytest.raises(MultiresError, match="has changed"):
        fetch("model", "http://127.0.0.1:9/model.pt", cache=tmp_path)


def test_a_full_disk_leaves_nothing_behind(server, tmp_path, monkeypatch):
    def full(self, response, have, total):
        self.part.write_bytes(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Resuming, "_receive", full)
    with pytest.raises(MultiresError, match=r"there is no room for it.*MULTIRES_CACHE"):
        get(server, tmp_path)
    assert names(tmp_path) == []


def test_a_model_by_its_address(server, tmp_path):
    server.content = save_model(build_model("hubert", "small"), tmp_path / "x.safetensors").read_bytes()
    model = load_model(server.url.replace(".pt", ".safetensors"), cache=tmp_path)
    assert model.config == build_model("hubert", "small").config
