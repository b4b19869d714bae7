"""Downloads against a server on this machine: resumed, checked, and clear where they fail."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from multires.errors import MultiresError
from multires.models import build_model, load_model, save_model
from multires.models.download import cached, fetch, fetch_and_load
from multires.runtime import download

CONTENT = bytes(range(256)) * 40_000


class Server(ThreadingHTTPServer):
    """Serves `content` with ranges; can break off, forget its ranges, or refuse."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.break_after, self.status, self.tag = CONTENT, None, None, '"one"'
        self.asked: list[str | None] = []
        self.answers: dict[str, dict] = {}

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
        if (answer := self.server.answers.get("resumed" if start else "first")) is not None:
            self.answer(start, **answer)
            return
        rest = self.server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(self.server.content) - 1}/{len(self.server.content)}"
            )
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("ETag", self.server.tag)
        self.end_headers()
        self.wfile.write(rest[: self.server.break_after])

    def answer(self, start: int, *, status: int = 200, body: bytes = b"", endless: bool = False, **headers) -> None:
        """Whatever a test wants; `START` and `REST` in a header are those of the range that was asked for."""
        rest = len(self.server.content) - start
        body = body or (self.server.content[start:] if start else b"")
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            if value is not None:
                self.send_header(name, value.replace("START", str(start)).replace("REST", str(rest)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)
            while endless:
                self.wfile.write(b"x" * 4096)

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
    with pytest.raises(MultiresError, match="has changed since it was first loaded"):
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
    def full(part, response, *rest):
        part.path.write_bytes(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_receive_body", full)
    with pytest.raises(MultiresError, match=r"there is no room for it.*MULTIRES_CACHE"):
        get(server, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "sent nothing"),
        ({"status": 204}, "answered 204"),
        ({"body": b"\n<!DOCTYPE html><p>Log in"}, "a web page in its place"),
        ({"body": b"<html>Hotel"}, "a web page in its place"),
        ({"body": b"xx", "Content_Length": "many"}, "gave the size 'many'"),
        ({"body": b"xx", "Content_Length": "-5"}, "cannot download model"),
        ({"body": b"xx", "Content_Length": str(1 << 40)}, "more than the"),
        ({"body": b"xx", "Content_Encoding": "gzip"}, "compressed it"),
        ({"status": 206, "body": b"xx", "Content_Range": "bytes 5-6/7"}, "a part that was not asked for"),
        ({"status": 302, "Location": "file:///etc/passwd"}, "something other than http"),
        ({"status": 302, "Location": "/model.pt"}, "redirected too often"),
        ({"status": 416}, "answered 416"),
        ({"body": b"x", "endless": True, "Content_Length": None}, "more than the 1000000 bytes"),
    ],
)
def test_what_is_not_the_file_is_refused_and_never_remembered(server, tmp_path, monkeypatch, answer, message):
    monkeypatch.setattr(download, "MOST_BYTES", 1_000_000)
    server.answers["first"] = answer
    with pytest.raises(MultiresError, match=message) as found:
        get(server, tmp_path)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "models" / "hashes.json").exists()
    assert not (tmp_path / "models" / "model.pt").exists()


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 206, "ETag": '"one"', "Content_Range": "bytes 0-REST/10240000"},
        {"status": 206, "ETag": '"one"', "Content_Range": "bytes START-10239999/10240001"},
        {"status": 206, "ETag": '"two"', "Content_Range": "bytes START-10239999/10240000"},
        {"status": 206, "ETag": '"one"', "Content_Type": "multipart/byteranges; boundary=X"},
        {"status": 416},
    ],
    ids=["another-start", "another-size", "another-file", "multipart", "refused"],
)
def test_a_part_of_something_else_is_dropped_and_the_file_fetched_whole(server, tmp_path, answer):
    server.break_after = 3_000_000
    with pytest.raises(MultiresError, match="try again to resume"):
        get(server, tmp_path)
    server.break_after = None
    server.answers["resumed"] = {"body": b"x" * 100, **answer}
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert [wanted is None for wanted in server.asked] == [True, False, True]


def test_a_server_that_trickles_is_given_up():
    class Trickle:
        def read1(self, size, decode_content):
            return b"x"

    class Response:
        raw = Trickle()

    seconds = iter(range(10_000))
    with pytest.raises(download.Refused, match="sent 31 bytes in 30 s"):
        list(download._chunks(Response(), clock=lambda: next(seconds)))


def test_a_file_is_remembered_only_when_it_loads(server, tmp_path):
    """Behind a login page, and after it."""

    def load(path):
        if path.read_bytes() != CONTENT:
            raise MultiresError(f"{path} is no checkpoint")
        return "loaded"

    server.content = b"something else"
    with pytest.raises(MultiresError, match=r"is deleted, since it does not load: .*is no checkpoint"):
        fetch_and_load("model", server.url, load, cache=tmp_path, progress=False)
    assert names(tmp_path) == []
    server.content = CONTENT
    assert fetch_and_load("model", server.url, load, cache=tmp_path, progress=False) == "loaded"
    assert names(tmp_path) == ["hashes.json", "model.pt"]


def test_records_of_processes_that_fetch_together_are_all_kept(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("there is nothing to fork")
    children = []
    for number in range(6):
        child = os.fork()
        if not child:
            for turn in range(5):
                download.add_to_record(tmp_path / "hashes.json", f"{number}-{turn}", number)
            os._exit(0)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    assert len(json.loads((tmp_path / "hashes.json").read_text())) == 30


def test_queries_and_passwords_are_in_no_name_and_no_message(server, tmp_path):
    url = server.url.replace("//", "//me:secret@").replace("model.pt", "weights.safetensors") + "?token=hidden"
    assert cached("key", url, cache=tmp_path).name == "key.safetensors"
    assert len(cached("a" * 400, url, cache=tmp_path).name) < 150
    server.status = 403
    with pytest.raises(MultiresError) as found:
        load_model(url, cache=tmp_path)
    for text in (str(found.value), *names(tmp_path)):
        assert "secret" not in text
        assert "hidden" not in text
    assert found.value.__cause__ is None


def test_a_planted_link_is_not_written_through(server, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ".model.pt.part").symlink_to(victim)
    (tmp_path / "models" / ".model.pt.part.json").write_text('{"validator": "\\"one\\""}')
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert victim.read_text() == "precious"


def test_a_model_by_its_address(server, tmp_path):
    server.content = save_model(build_model("hubert", "small"), tmp_path / "x.safetensors").read_bytes()
    model = load_model(server.url.replace(".pt", ".safetensors"), cache=tmp_path)
    assert model.config == build_model("hubert", "small").config
