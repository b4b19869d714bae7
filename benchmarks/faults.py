"""Faults, by doing them: processes killed at random moments, full disks, damaged files, workers that die or hang.

Every fault is done to a small run of its own and followed by another run, whose tables must be those of a run that
nothing happened to. The exit status is 1 where one was not survived::

    python -m benchmarks.faults --quick      # a few of each kind, about a minute on 2 cores
    python -m benchmarks.faults --kills 20   # everything
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch

from multires.analysis import run, stages
from multires.analysis.run import Run, open_run
from multires.errors import MultiresError
from multires.features import extract
from multires.models.download import fetch
from multires.training import pretrain as training

SHARD = 8.0
"""Seconds of audio in a shard here, in place of `multires.features.extract.SHARD_SECONDS`, so that a small run has several."""

SETTINGS = {
    "hours": 0.02, "frames": 200, "models": "untrained/mono-small", "views": "mel,phone", "folds": 4, "trials": 1,
    "resamples": 20, "word_instances": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """How often a fault was done, how often the next run gave the undisturbed run's tables, and the most that was lost."""

    fault: str
    tries: int
    survived: int
    lost: str


# -- children ------------------------------------------------------------------------------------------------------


class Child:
    """A process of its own, forked with everything imported; what it returns goes to a file."""

    def __init__(self, work: Callable[[], Any], home: Path) -> None:
        self._result = home / f"result-{random.getrandbits(64):x}.json"
        self.started = time.monotonic()
        self.pid = os.fork()
        if not self.pid:
            self._live(work)

    def _live(self, work: Callable[[], Any]) -> None:
        try:
            value = work()
        except MultiresError as error:
            value = {"error": str(error)}
        except BaseException:
            value = {"error": traceback.format_exc()}
        partial = self._result.with_suffix(".part")
        partial.write_text(json.dumps(value))
        partial.rename(self._result)
        os._exit(0)

    def kill(self) -> bool:
        """SIGKILL; False where the process had ended before."""
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        return os.WIFSIGNALED(status)

    def result(self) -> Any:
        """What the work gave, once it has ended."""
        os.waitpid(self.pid, 0)
        return json.loads(self._result.read_text()) if self._result.exists() else {"error": "it left no result"}


def small_run(workspace: Path, **changes: Any) -> Run:
    return open_run("synthetic", workspace=workspace, progress=False, **{**SETTINGS, **changes})


def measured(workspace: Path, **changes: Any) -> dict[str, str]:
    """The digests of a small run's tables."""
    small = small_run(workspace, **changes)
    return {"extraction": digest_of(stages.extraction(small).table), "cca": digest_of(stages.cca(small).table)}


def digest_of(table: Any) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def journalled(workspace: Path) -> Callable[[], dict[str, str]]:
    """The small run; the shards that it begins are noted in a file beside the workspace."""

    def work() -> dict[str, str]:
        inner = extract.run_shard

        def noted(model: Any, layers: Any, shard: extract.Shard, *rest: Any) -> Any:
            with journal(workspace).open("a") as file:
                file.write(f"{model.key} {shard}\n")
            return inner(model, layers, shard, *rest)

        setattr(extract, "run_shard", noted)  # noqa: B010 (a plain assignment is a type error)
        return measured(workspace)

    return work


def journal(workspace: Path) -> Path:
    return workspace.with_name(f"{workspace.name}.journal")


def begun(workspace: Path) -> int:
    return len(journal(workspace).read_text().splitlines()) if journal(workspace).exists() else 0


def whole_shards(workspace: Path) -> list[Path]:
    return sorted(workspace.glob("features/*/shard-*/zarr.json"))


def files_of(folder: Path) -> dict[str, str]:
    """The digest of every file, locks aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".locks" not in path.parts
    }


# -- killed processes ----------------------------------------------------------------------------------------------


class Lab:
    """A folder for the workspaces, what an undisturbed run gives, and how long it takes."""

    def __init__(self, home: Path, kills: int, seed: int) -> None:
        self.home, self.kills = home, kills
        self.random = random.Random(seed)
        self._number = 0
        extract.SHARD_SECONDS = SHARD
        Child(lambda: len(small_run(self.workspace()).corpus), home).result()  # the speech is spoken once
        calm = self.workspace()
        begin = time.monotonic()
        self.tables = Child(journalled(calm), home).result()
        self.seconds = time.monotonic() - begin
        self.shards = begun(calm)
        self.kept = calm
        if "error" in self.tables:
            raise SystemExit(f"the undisturbed run failed: {self.tables['error']}")

    def workspace(self) -> Path:
        """A new one."""
        self._number += 1
        return self.home / f"workspace-{self._number}"

    def copy(self) -> Path:
        """A workspace in which everything is done."""
        target = self.workspace()
        shutil.copytree(self.kept, target)
        return target

    def same(self, found: Any) -> bool:
        """Whether tables are those of the undisturbed run."""
        if found != self.tables:
            print(f"not the tables of the undisturbed run: {found}", file=sys.stderr)
        return bool(found == self.tables)

    def killed_extraction(self) -> Row:
        """At a random moment of the whole run: what is lost is the shard that was begun and not whole."""
        survived, lost = 0, []
        for _ in range(self.kills):
            where = self.workspace()
            child = Child(journalled(where), self.home)
            time.sleep(self.random.uniform(0.05, 1) * self.seconds)
            child.kill()
            lost.append(begun(where) - len(whole_shards(where)))
            good = self.same(Child(journalled(where), self.home).result())
            survived += good and lost[-1] <= 1 and begun(where) == self.shards + lost[-1]
        return Row("SIGKILL, any moment of a run", self.kills, survived, f"at most {max(lost)} shard")

    def killed_write(self, fault: str, module: Any, name: str) -> Row:
        """While one function writes."""
        survived, lost = 0, []
        for _ in range(self.kills):
            where = self.workspace()
            told, tell = os.pipe()
            nth = self.random.randrange(2 if name == "write_table" else self.shards)

            def work(where: Path = where, tell: int = tell, nth: int = nth) -> Any:
                inner, calls = getattr(module, name), [0]

                def noted(*arguments: Any) -> Any:
                    if calls[0] == nth:
                        os.write(tell, b"x")
                    calls[0] += 1
                    return inner(*arguments)

                setattr(module, name, noted)
                return journalled(where)()

            child = Child(work, self.home)
            os.read(told, 1)
            time.sleep(self.random.uniform(0, 0.05))
            child.kill()
            os.close(told)
            os.close(tell)
            lost.append(begun(where) - len(whole_shards(where)))
            survived += self.same(Child(journalled(where), self.home).result()) and lost[-1] <= 1
        return Row(fault, self.kills, survived, f"at most {max(lost)} shard")

    def killed_training(self) -> Row:
        """The weights must be those of an undisturbed training, to the bit."""
        speech, units = noise_material()
        recipe = training.Recipe(
            steps=60, batch_seconds=6, crop_seconds=1.2, classes=10, warm_steps=0, log_every=10, precision="float32"
        )
        config = smoke_config()
        training._SAVE_SECONDS = 0.05  # type: ignore[assignment]

        def work(out: Path) -> Callable[[], str]:
            def train() -> str:
                path = training.pretrain(config, speech, units, recipe, seed=0, out=out, key="m", progress=False)
                from safetensors.torch import load_file

                tensors = load_file(path)
                return hashlib.sha256(b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))).hexdigest()

            return train

        begin = time.monotonic()
        calm = Child(work(self.home / "calm.safetensors"), self.home).result()
        seconds = time.monotonic() - begin
        survived, lost = 0, []
        for number in range(self.kills):
            out = self.home / f"model-{number}.safetensors"
            child = Child(work(out), self.home)
            time.sleep(self.random.uniform(0.1, 1) * seconds)
            ran = time.monotonic() - child.started
            if child.kill():
                saved = out.with_name(f"{out.name}.checkpoint")
                lost.append(time.time() - saved.stat().st_mtime if saved.exists() else ran)
            survived += Child(work(out), self.home).result() == calm
        return Row(
            "SIGKILL in training", self.kills, survived, f"at most {max(lost, default=0):.1f} s, saved each 0.05 s"
        )

    def killed_download(self) -> Row:
        """What is lost is what was fetched twice."""
        server = Slow(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/model.pt"
        survived, lost = 0, []
        for number in range(self.kills):
            cache = self.home / f"cache-{number}"

            def work(cache: Path = cache) -> str:
                path = fetch("model", url, cache=cache, progress=False)
                return hashlib.sha256(path.read_bytes()).hexdigest()

            server.sent = 0
            child = Child(work, self.home)
            time.sleep(self.random.uniform(0.1, 1) * server.seconds)
            child.kill()
            found = Child(work, self.home).result()
            lost.append(max(0, server.sent - len(server.content)))
            survived += found == hashlib.sha256(server.content).hexdigest() and server.sent < 2 * len(server.content)
        server.shutdown()
        return Row("SIGKILL in a download", self.kills, survived, f"at most {max(lost) / 2**20:.1f} MB fetched twice")

    # -- disks and workspaces --------------------------------------------------------------------------------------

    def full_disk(self) -> Row:
        """Says that there is no room, changes nothing that is whole, and goes on when there is."""
        tries = min(self.kills, 5)
        survived = 0
        how = "a small file system" if mounts_allowed() else "a limit on file sizes"
        for _ in range(tries):
            where = self.workspace()
            room = self.random.randrange(150, 900) * 1024

            def work(where: Path = where, room: int = room) -> Any:
                with little_room(where, room) as more:
                    refused, before = None, {}
                    try:
                        measured(where)
                    except MultiresError as error:
                        refused, before = str(error), files_of(where)
                    more()
                    found = measured(where)
                    after = files_of(where)
                    kept = all(after.get(name) == digest for name, digest in before.items() if "tables" not in name)
                    return {"refused": refused, "kept": kept, "tables": found}

            found = Child(work, self.home).result()
            said = found.get("refused") or ""
            good = "there is no room" in said and "\n" not in said and found["kept"] and self.same(found["tables"])
            if not good:
                print(found, file=sys.stderr)
            survived += good
        return Row(f"full disk ({how})", tries, survived, "nothing")

    def read_only(self) -> Row:
        """Refused before any work, in one sentence that names the folder."""
        if not mounts_allowed():
            return Row("read-only workspace (not done here: needs mount)", 0, 0, "")
        where = self.copy()

        def work() -> Any:
            own_mounts()
            mount("--bind", str(where), str(where))
            mount("-o", "remount,bind,ro", str(where))
            before = files_of(where)
            try:
                measured(where, seed=1)
            except MultiresError as error:
                return {"said": str(error), "kept": files_of(where) == before}
            return {"said": "", "kept": False}

        found = Child(work, self.home).result()
        good = f"cannot write {where}" in found.get("said", "") and found["kept"]
        return Row("read-only workspace", 1, int(good), "nothing")

    def another_version(self) -> Row:
        """What another version or other parameters left is neither used nor changed."""
        survived = 0
        for change in ("version", "seed"):
            where = self.copy()
            before = files_of(where)

            def work(where: Path = where, change: str = change) -> Any:
                if change == "seed":
                    return measured(where, seed=1)
                run.code_digest = lambda: "another version"  # type: ignore[assignment]
                return measured(where)

            found = Child(work, self.home).result()
            after = files_of(where)
            kept = {name: digest for name, digest in after.items() if name in before} == before
            again = Child(journalled(where), self.home).result()
            right = self.same(found) if change == "version" else "error" not in found and found != self.tables
            survived += right and kept and len(after) > len(before) and self.same(again) and begun(where) == 0
        return Row("workspace of another version, of other parameters", 2, survived, "nothing")

    def two_at_once(self) -> Row:
        """The second waits: no shard is extracted twice, and both have the same tables."""
        survived = 0
        for _ in range(self.kills):
            where = self.workspace()
            first = Child(journalled(where), self.home)
            time.sleep(self.random.uniform(0, 0.5) * self.seconds)
            second = Child(journalled(where), self.home)
            both = [self.same(child.result()) for child in (first, second)]
            survived += all(both) and begun(where) == self.shards
        return Row("two runs in one workspace at once", self.kills, survived, "nothing, the second waits")

    def damaged_shard(self) -> Row:
        """Only what is damaged is extracted again."""
        survived, lost = 0, []
        for _ in range(self.kills):
            where = self.copy()
            files = [path for path in where.glob("features/*/shard-*/*/*/**/*") if path.is_file()]
            damage(self.random.choice(files), self.random)
            shutil.rmtree(where / "tables")
            survived += self.same(Child(journalled(where), self.home).result()) and begun(where) <= 1
            lost.append(begun(where))
        return Row("a damaged or missing file of a shard", self.kills, survived, f"at most {max(lost)} shard")

    def damaged_table(self) -> Row:
        """The table is made again from the vectors that are there."""
        survived = 0
        for _ in range(self.kills):
            where = self.copy()
            damage(self.random.choice(sorted((where / "tables").glob("[!.]*.*"))), self.random)
            survived += self.same(Child(journalled(where), self.home).result()) and begun(where) == 0
        return Row("a damaged or missing table or provenance", self.kills, survived, "the table")


def damage(path: Path, dice: random.Random) -> None:
    """Change a byte, cut the end off, fill with zeros, or delete."""
    content = bytearray(path.read_bytes())
    kind = dice.choice(("byte", "cut", "zeros", "delete"))
    if kind == "delete" or not content:
        path.unlink()
        return
    if kind == "byte":
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    elif kind == "zeros":
        content = bytearray(len(content))
    else:
        del content[dice.randrange(len(content)) :]
    path.write_bytes(content)


def smoke_config() -> Any:
    from multires.experiment.conditions import SIZES, condition_config

    return condition_config("multi+aux", SIZES["smoke"])


def noise_material() -> tuple[training.Speech, training.Units]:
    """Noise to train on, and units for it; made without a thread of torch, which children could not use."""
    generator = np.random.default_rng(0)
    lengths = np.array([24_000] * 12)
    samples = torch.from_numpy(generator.integers(-9000, 9000, int(lengths.sum()), dtype=np.int16))
    speech = training.Speech("noise", samples, np.cumsum(lengths) - lengths, lengths, "noise")
    labels = torch.from_numpy(generator.integers(0, 10, int(speech.frame_starts[-1]), dtype=np.int32))
    return speech, training.Units(labels, 10, "noise", "noise")


class Slow(ThreadingHTTPServer):
    """Serves one file with ranges, slowly, and counts what it has sent."""

    daemon_threads = True
    content = np.random.default_rng(0).bytes(12 << 20)
    seconds = 1.0
    sent = 0


class Handler(BaseHTTPRequestHandler):
    """The answers of `Slow`."""

    server: Slow

    def do_GET(self) -> None:
        """The file, or the rest of it."""
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        rest = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("ETag", '"one"')
        if start:
            size = len(self.server.content)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        step = 1 << 17
        try:
            for at in range(0, len(rest), step):
                self.wfile.write(rest[at : at + step])
                self.server.sent += len(rest[at : at + step])
                time.sleep(self.server.seconds * step / len(self.server.content))
        except OSError:
            pass  # killed

    def log_message(self, *_arguments: Any) -> None:
        """Nothing."""


# -- mounts --------------------------------------------------------------------------------------------------------


def mounts_allowed() -> bool:
    """Whether a process here may have mounts of its own."""
    if sys.platform != "linux":
        return False
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    return done.returncode == 0


def own_mounts() -> None:
    """From here on, what this process mounts is seen by no other and goes with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@contextmanager
def little_room(where: Path, room: int) -> Iterator[Callable[[], None]]:
    """A workspace with so many bytes of room, and what makes more: a file system of its own, or a limit of the process."""
    where.mkdir()
    if mounts_allowed():
        own_mounts()
        mount("-t", "tmpfs", "-o", f"size={room}", "none", str(where))
        yield lambda: mount("-o", "remount,size=256m", str(where))
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room // 64, hard))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- workers -------------------------------------------------------------------------------------------------------


def cluster_faults(lab: Lab, kills: int) -> list[Row]:
    """A worker that is killed, one that is stopped, and a piece that takes more memory than there is."""
    import dask

    from multires.runtime.cluster import Cluster

    rows = []
    dask.config.set({"distributed.scheduler.allowed-failures": 1, "logging.distributed": "error"})
    for fault, signaled in (
        ("a worker dies (SIGKILL)", signal.SIGKILL),
        ("a worker hangs (SIGSTOP)", signal.SIGSTOP),
    ):
        survived = 0
        with _two_workers() as client:
            for _ in range(kills):
                where = lab.workspace()
                engine = Cluster(client, patience=max(15.0, 3 * lab.seconds))
                timer = threading.Timer(lab.random.uniform(0.2, 1.5), _signal_worker, (client, signaled, lab.random))
                timer.start()
                try:
                    found = measured(where, engine=engine)
                except MultiresError as error:
                    found = {"error": str(error)}
                timer.join()
                survived += lab.same(found)
                # A worker that was stopped after the run had ended still counts as one that has joined.
                client.restart(timeout=180)  # two interpreters that import torch, on a machine that may be loaded
        rows.append(Row(fault, kills, survived, "its shard, which another worker extracts"))
    done, message = [], ""
    with _two_workers() as client:
        try:
            for value in Cluster(client).each(_fits, range(6), "pieces"):
                done.append(value)
        except MultiresError as error:
            message = str(error)
    good = sorted(done) == [0, 1, 2, 4, 5] and "3: every worker that had it died" in message
    if not good:
        print(f"done: {sorted(done)}; the error: {message}", file=sys.stderr)
    rows.append(
        Row("a piece takes more memory than a worker has", 1, int(good), "that piece, by name; the rest is done")
    )
    return rows


@contextmanager
def _two_workers() -> Iterator[Any]:
    """Client of a cluster of its own: what one fault leaves behind cannot change the next one's result."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="2GB", dashboard_address=":0") as local,
        Client(local) as client,
    ):
        yield client


def _signal_worker(client: Any, signaled: int, dice: random.Random) -> None:
    pids = list(client.run(os.getpid).values())
    os.kill(dice.choice(pids), signaled)


def _fits(piece: int) -> int:
    hoard = []
    while piece == 3:
        hoard.append(np.ones(8 << 20, np.uint8))
        time.sleep(0.01)
    return piece


# -- the table -----------------------------------------------------------------------------------------------------


FAULTS: dict[str, Callable[[Lab], Row]] = {
    "run": Lab.killed_extraction,
    "zarr": lambda lab: lab.killed_write("SIGKILL in a zarr write", extract, "write_shard"),
    "table-write": lambda lab: lab.killed_write("SIGKILL in the write of a table", run, "write_table"),
    "training": Lab.killed_training,
    "download": Lab.killed_download,
    "disk": Lab.full_disk,
    "read-only": Lab.read_only,
    "version": Lab.another_version,
    "two": Lab.two_at_once,
    "shard": Lab.damaged_shard,
    "table": Lab.damaged_table,
}


def faults(kills: int, chosen: Sequence[str], seed: int = 0) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        os.environ["MULTIRES_CACHE"] = str(Path(folder) / "cache")
        lab = Lab(Path(folder), kills, seed)
        rows = []
        for name in [name for name in FAULTS if name in chosen]:
            begin = time.monotonic()
            rows.append(FAULTS[name](lab))
            print(f"{rows[-1].fault}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        # Last: a process with Dask's threads is not one to fork.
        if "workers" in chosen:
            rows += cluster_faults(lab, max(1, kills // 5))
        return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=20, help="tries of each fault (default 20)")
    parser.add_argument("--quick", action="store_true", help="two tries of each")
    parser.add_argument("--only", choices=(*FAULTS, "workers"), action="append", help="do only this; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the damage")
    parser.add_argument("--keep", type=Path, help="also write the table to this .csv file")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = faults(2 if given.quick else given.kills, given.only or [*FAULTS, "workers"], given.seed)
    if given.json:
        print(json.dumps({row.fault: {"tries": row.tries, "survived": row.survived, "lost": row.lost} for row in rows}))
    else:
        print(f"{'fault':52} {'tries':>5} {'survived':>8}  lost")
        for row in rows:
            print(f"{row.fault:52} {row.tries:5} {row.survived:8}  {row.lost}")
    if given.keep:
        pd.DataFrame(map(asdict, rows)).to_csv(given.keep, index=False)
    sys.exit(any(row.survived < row.tries for row in rows))


if __name__ == "__main__":
    main()
