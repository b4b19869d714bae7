"""Processes end with the one that started them, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from multires.runtime import processes
from multires.runtime.parallel import remove_shared_memory_of_the_dead

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")

LIMIT = 120.0
"""Seconds to wait for something that takes none on an idle machine."""

WORKERS = """
import os, sys, threading
from pathlib import Path
from multires.runtime.parallel import in_processes

def wait(folder):
    Path(folder, f"{os.getpid()}.pid").touch()
    threading.Event().wait()

list(in_processes(wait, [sys.argv[1]] * 2, 2))
"""

IN_A_KERNEL = f"""
import os, sys
from pathlib import Path
from jupyter_client.manager import start_new_kernel

folder = sys.argv[1]
manager, client = start_new_kernel(kernel_name="python3", startup_timeout=120)
code = "import sys; sys.argv = ['', " + repr(folder) + "]" + {WORKERS!r}
client.execute("import os, pathlib; pathlib.Path(" + repr(folder) + ", str(os.getpid()) + '.kernel').touch()")
client.execute(code)
import threading
threading.Event().wait()
"""

INTERRUPTED_KERNEL = IN_A_KERNEL.replace(
    "client.execute(code)",
    "code = code.replace('list(in_processes', 'from multires.runtime.processes import end_kernel_on_termination as e; e()\\n"
    "try: list(in_processes') + '\\nexcept KeyboardInterrupt: Path(sys.argv[1], \\'interrupted\\').touch(); raise'\n"
    "client.execute(code)",
)

ON_DASK = """
import os, sys, threading
from pathlib import Path
from distributed import Client, LocalCluster

def wait(folder):
    Path(folder, f"{os.getpid()}.pid").touch()
    threading.Event().wait()

def work(folder):
    from multires.runtime.parallel import in_processes
    Path(folder, f"{os.getpid()}.pid").touch()
    list(in_processes(wait, [folder] * 2, 2))

if __name__ == "__main__":
    import dask
    dask.config.set({"distributed.worker.daemon": sys.argv[2] == "daemons"})
    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address=None) as local, Client(local) as c:
        c.submit(work, sys.argv[1]).result()
"""

CHILD = """
import subprocess, sys
from multires.runtime.processes import command
subprocess.run(command(sys.argv[2]), env={"FOLDER": sys.argv[1]})
"""

SCRIPT = """
import os, threading
from pathlib import Path
Path(os.environ["FOLDER"], f"{os.getpid()}.pid").touch()
threading.Event().wait()
"""


@pytest.fixture(autouse=True)
def hangups_end_children():
    """The suite may run under ``nohup``, whose ignored SIGHUP children would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def until(condition) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def within(seconds: float, condition) -> None:
    """As `until`, on a busy machine in four times as long."""
    deadline = time.monotonic() + 4 * seconds
    while not condition():
        assert time.monotonic() < deadline, f"it took longer than {4 * seconds:g} s"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@contextmanager
def started(folder: Path, script: str, *arguments: str, children: int):
    """A process whose children have each left their number in `folder`; yields it and those numbers."""
    with subprocess.Popen([sys.executable, "-c", script, str(folder), *arguments], stderr=subprocess.DEVNULL) as parent:
        found: list[int] = []
        try:
            until(lambda: parent.poll() is not None or len(list(folder.glob("*.pid"))) == children)
            found = [int(path.stem) for path in folder.glob("*.pid")]
            assert len(found) == children
            yield parent, found
        finally:
            for pid in (parent.pid, *found):
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)


def shared_memory(pid: int) -> list[str]:
    return [name for name in os.listdir("/dev/shm") if str(pid) in name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
def test_worker_processes_end_with_their_parent(tmp_path, number):
    with started(tmp_path, WORKERS, children=2) as (parent, workers):
        parent.send_signal(number)
        parent.wait(LIMIT)
        until(lambda: not any(map(alive, workers)))
        until(lambda: not shared_memory(parent.pid))


@pytest.mark.parametrize("whole", ["kernel", "client"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_workers_of_a_notebook_end_with_its_kernel_and_with_what_runs_it(tmp_path, number, whole):
    pytest.importorskip("ipykernel")
    with started(tmp_path, IN_A_KERNEL, children=2) as (parent, workers):
        kernel = next(int(path.stem) for path in tmp_path.glob("*.kernel"))
        try:
            os.kill(kernel if whole == "kernel" else parent.pid, number)
            within(5, lambda: not any(map(alive, workers)))
            within(5, lambda: not alive(kernel))
        finally:
            for pid in filter(alive, (kernel, parent.pid)):
                os.kill(pid, signal.SIGKILL)


def test_termination_interrupts_the_cell_of_a_notebook_and_ends_its_kernel(tmp_path):
    pytest.importorskip("ipykernel")
    with started(tmp_path, INTERRUPTED_KERNEL, children=2) as (parent, workers):
        kernel = next(int(path.stem) for path in tmp_path.glob("*.kernel"))
        try:
            os.kill(kernel, signal.SIGTERM)
            within(5, lambda: not any(map(alive, [kernel, *workers])))
            assert (tmp_path / "interrupted").exists()
            until(lambda: not shared_memory(kernel))
        finally:
            for pid in filter(alive, (kernel, parent.pid)):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(("kind", "children"), [("daemons", 1), ("others", 3)])  # daemons start no processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_workers_of_a_dask_cluster_and_theirs_end_with_the_program(tmp_path, number, kind, children):
    pytest.importorskip("distributed")
    (tmp_path / "program.py").write_text(ON_DASK)
    run = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_path({str(tmp_path / 'program.py')!r}, run_name='__main__')"
    with started(tmp_path, run, kind, children=children) as (parent, workers):
        parent.send_signal(number)
        within(5, lambda: not any(map(alive, workers)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_child_process_ends_with_its_parent(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with started(tmp_path, CHILD, str(script), children=1) as (parent, children):
        parent.send_signal(number)
        parent.wait(LIMIT)
        until(lambda: not any(map(alive, children)))


def test_a_child_whose_parent_is_gone_does_not_stay():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    late = f"from multires.runtime.processes import end_with_parent as e; e({gone.pid}); import threading as t; t.Event().wait()"
    assert subprocess.run([sys.executable, "-c", late], timeout=LIMIT).returncode == 1


def test_an_interrupted_child_may_finish_what_it_writes(tmp_path):
    script = f"""
import sys, time
from multires.runtime import processes
processes.GRACE = 60  # a loaded machine may take longer than the default to write
try:
    processes.end_with_parent(1 << 30, interrupt=True)
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    open({str(tmp_path / "written")!r}, "w").write("checkpoint")
"""
    subprocess.run([sys.executable, "-c", script], timeout=LIMIT, check=True)
    assert (tmp_path / "written").read_text() == "checkpoint"


BOOK = """
import runpy, sys, threading
from multires.book import build
def wait(*_, **__):
    print("begun", flush=True)
    threading.Event().wait()
build.build_book = wait
sys.argv = ["multires.book"]
runpy.run_module("multires.book", run_name="__main__")
"""

EXPERIMENT = """
import runpy, sys, threading
from multires.experiment import run
def wait(*_, **__):
    print("begun", flush=True)
    threading.Event().wait()
run.main_experiment = wait
sys.argv = ["multires.experiment"]
runpy.run_module("multires.experiment", run_name="__main__")
"""

COMMAND = """
import sys, threading
from multires import cli
@cli.app.command()
def wait():
    print("begun", flush=True)
    threading.Event().wait()
sys.argv = ["multires", "wait"]
cli.main()
"""


@pytest.mark.parametrize("script", [COMMAND, BOOK, EXPERIMENT], ids=["command", "book", "experiment"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_termination_takes_the_way_of_an_interrupt(number, script):
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout.readline() == "begun\n"
        run.send_signal(number)
        assert run.wait(LIMIT) == 128 + number
        assert "interrupted; the next run continues from here" in run.stderr.read()


def test_a_hangup_that_is_ignored_stays_ignored(monkeypatch):
    set_ = []
    monkeypatch.setattr(
        signal, "getsignal", lambda number: signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL
    )
    monkeypatch.setattr(signal, "signal", lambda number, handler: set_.append(number))
    processes.interrupt_on_termination()
    assert set_ == [signal.SIGTERM]


def test_shared_memory_of_the_dead_is_removed_and_that_of_the_living_kept(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        (tmp_path / f"joblib_memmapping_folder_{pid}_0a_0b").mkdir()
        (tmp_path / f"sem.loky-{pid}-abc").touch()
    (tmp_path / f"other-{gone.pid}").touch()
    assert len(remove_shared_memory_of_the_dead([tmp_path])) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"joblib_memmapping_folder_{os.getpid()}_0a_0b", f"other-{gone.pid}", f"sem.loky-{os.getpid()}-abc"]
    )
