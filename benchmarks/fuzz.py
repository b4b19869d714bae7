"""Hostile input: the readers of TextGrids, TIMIT files, transcripts and checkpoints under a fuzzer.

Every input must be read or refused with a `MultiresError` within seconds; nothing may be written, run, sent or deleted
meanwhile. With atheris installed (``pip install atheris``) inputs are guided by coverage, else drawn by mutation::

    python -m benchmarks.fuzz --runs 1000000            # in all, shared among the readers
    python -m benchmarks.fuzz --reader textgrid --runs 50000 --plain
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from multires.corpus import alignment, folder, librispeech
from multires.errors import MultiresError
from multires.models.checkpoint import load_checkpoint, save_model
from multires.models.config import preset
from multires.models.mr_hubert import MultiResHubert

SECONDS = 10
"""The longest that one input may take, on a busy machine."""

SHARES = {"textgrid": 0.35, "timit": 0.3, "transcript": 0.3, "checkpoint": 0.05}
"""Of the inputs: a checkpoint takes tens of times as long as a text."""

_FORBIDDEN = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn",
    "socket.connect", "socket.bind", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink",
    "os.chmod", "os.chown", "os.truncate", "shutil.rmtree", "shutil.move", "shutil.copyfile", "shutil.unpack_archive",
    "ctypes.dlopen", "webbrowser.open",
)  # fmt: skip

_watching = False
_seen: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes what no reader may do; python itself reports each such thing before it is done."""
    if not _watching:
        return
    if event in _FORBIDDEN:
        _seen.append(f"{event}{arguments!r}"[:200])
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _seen.append(f"open for writing: {arguments[0]!r}"[:200])


class Fault(AssertionError):
    """A reader did what it must not."""


class Reader:
    """Reads one input and says whether it was accepted."""

    def __init__(self, name: str, home: Path) -> None:
        self.name, self.home = name, home
        self.file = home / {"textgrid": "a.TextGrid", "timit": "a.phn", "transcript": "1-2.trans.txt"}.get(name, "a.pt")
        self.own = home / "a.safetensors"
        self.inputs = self.accepted = 0
        self.slowest = 0.0

    def read(self, data: bytes) -> None:
        """Hand the file that holds the input to its reader."""
        if self.name == "textgrid":
            alignment.read_textgrid(self.file, 2.0)
        elif self.name == "timit":
            alignment.read_timit(self.file, self.file, 16_000, 2.0)
        elif self.name == "transcript":
            _, problems = librispeech._transcripts(self.home)
            _, problem = folder._transcript({".txt": self.file})
            if problems or problem:
                raise problem or problems[0]
        elif data[:1] in (b"{", b"\x00") or b"__metadata__" in data[:400]:
            load_checkpoint(self.own)
        else:
            load_checkpoint(self.file)

    def report(self) -> None:
        """Print what was tried so far."""
        print(f"{self.name} {self.inputs} {self.accepted} {self.slowest:.3f}", flush=True)

    def __call__(self, data: bytes) -> None:
        """Try one input, and keep it where it is at fault."""
        try:
            self._try(data)
        except Fault as fault:
            kept = Path(tempfile.gettempdir()) / f"fuzz-{self.name}.bin"
            kept.write_bytes(data)
            raise Fault(f"{fault}; the input: {kept}") from fault

    def _try(self, data: bytes) -> None:
        """Read one input.

        Raises
        ------
        Fault
            Where the reader raises anything but `MultiresError`, does what no reader may, or takes too long.
        """
        global _watching
        self.file.write_bytes(data)
        if self.name == "checkpoint":
            self.own.write_bytes(data)
        self.inputs += 1
        _seen.clear()
        begin = time.perf_counter()
        signal.alarm(SECONDS)
        _watching = True
        try:
            self.read(data)
            self.accepted += 1
        except MultiresError as error:
            if len(str(error)) > 2000:
                raise Fault(f"{self.name}: a message of {len(str(error))} characters") from error
        except Exception as error:
            raise Fault(f"{self.name}: {type(error).__name__}: {error}") from error
        finally:
            _watching = False
            signal.alarm(0)
        self.slowest = max(self.slowest, time.perf_counter() - begin)
        if _seen:
            raise Fault(f"{self.name}: {_seen[0]}")


def too_slow(*_arguments: Any) -> None:
    raise Fault(f"an input took more than {SECONDS} s")


# -- where inputs begin ----------------------------------------------------------------------------------------------

GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 2
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "cat"
        intervals [2]:
            xmin = 1.5
            xmax = 2
            text = "../../etc/passwd"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 2
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2
            text = "AE1"
"""


class _Runs:
    """A pickle of this asks for a command to be run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/multires-was-here",)


def seeds(name: str) -> list[bytes]:
    """Good inputs, and some that are meant badly."""
    if name == "textgrid":
        short = "\n".join(part.split("=")[-1].strip() for part in GRID.splitlines() if "=" in part or "exists" in part)
        point = GRID.replace("IntervalTier", "TextTier")
        large = GRID.replace("size = 2", "size = 99999999999")
        return [GRID.encode(), GRID.encode("utf-16"), short.encode(), point.encode(), large.encode(), b'"' * 500]
    if name == "timit":
        return [
            b"0 1600 h#\n1600 3200 ae\n3200 4800 tcl\n4800 6400 t\n",
            b"0 99999999999999999999 a\n",
            b"1 0 ../../x\n",
        ]
    if name == "transcript":
        return [
            b"1-2-0001 THE CAT SAT\n1-2-0002 ../../AWAY\n",
            b"0 31000 she had\n",
            "1-2 café\n".encode("utf-16"),
            b"\0\0",
        ]
    return _checkpoints()


def _checkpoints() -> list[bytes]:
    tiny = preset(
        "multi", "small", width=8, heads=2, ffn=8, final_dim=4, conv_pos=2, conv_pos_groups=2, classes=3,
        convolutions=tuple((4, k, s) for k, s in ((10, 5), *((3, 2),) * 4, *((2, 2),) * 2)),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        own = save_model(MultiResHubert(tiny, seed=0), Path(place) / "a.safetensors").read_bytes()
    config = {
        "model": {"_name": "hubert", "encoder_layers": 1, "encoder_embed_dim": 8, "conv_feature_layers": "[(4,10,5)]"}
    }
    state = {"cfg": {**config, "task": {"normalize": False}}, "model": {"label_embs_concat": torch.zeros(3, 4)}}
    found = [own]
    for content in (state, {"model": _Runs()}, {"cfg": _Runs(), **state}):
        for zipped in (True, False):
            packed = io.BytesIO()
            torch.save(content, packed, _use_new_zipfile_serialization=zipped)
            found.append(packed.getvalue())
    found += [pickle.dumps(_Runs()), pickle.dumps(state["cfg"])]
    escape = io.BytesIO()
    with zipfile.ZipFile(escape, "w") as archive:
        archive.writestr("../../away", "x")
        archive.writestr("archive/data.pkl", pickle.dumps({"model": {}}, 2))
        archive.writestr("archive/version", "3\n")
    return [*found, escape.getvalue()]


def mutated(given: list[bytes], dice: random.Random) -> bytes:
    """One of the seeds with some bytes changed, repeated, taken out or brought in from another."""
    data = bytearray(dice.choice(given))
    for _ in range(dice.choice((0, 1, 1, 2, 4, 16))):
        at = dice.randrange(len(data) + 1)
        kind = dice.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[at:at] = dice.randbytes(dice.randrange(1, 5))
        elif kind == 2:
            del data[at : at + dice.choice((1, 4, 64, 10_000))]
        elif kind == 3:
            data[at:at] = data[at : at + dice.randrange(1, 40)] * dice.choice((1, 2, 50))
        elif kind == 4:
            other = dice.choice(given)
            start = dice.randrange(len(other))
            data[at:at] = other[start : start + dice.randrange(1, 80)]
        else:
            data[at:at] = dice.choice(
                (b"-1", b"1e309", b"nan", b"999999999999", b'"', b"\0", b"\xff\xfe", b"..", b"\n")
            )
    return bytes(data)


# -- the run -----------------------------------------------------------------------------------------------------------


def plain(reader: Reader, runs: int, seed: int) -> None:
    given, dice = seeds(reader.name), random.Random(seed)
    for data in given:
        reader(data)
    for _ in range(runs - len(given)):
        reader(mutated(given, dice))


def guided(reader: Reader, runs: int, seed: int) -> None:
    """With atheris, which ends the process when it is done, without a word: the reader reports on the way."""
    import atheris

    for module in (alignment, folder, librispeech, sys.modules["multires.corpus.files"]):
        _instrument(atheris, module)

    def reported(data: bytes) -> None:
        reader(data)
        if reader.inputs % 1000 == 0 or reader.inputs == runs:
            reader.report()

    corpus = reader.home / "seeds"
    corpus.mkdir()
    for number, data in enumerate(seeds(reader.name)):
        (corpus / str(number)).write_bytes(data)
    atheris.Setup(
        [
            sys.argv[0],
            f"-runs={runs}",
            f"-seed={seed + 1}",
            "-max_len=65536",
            "-rss_limit_mb=0",
            "-verbosity=0",
            str(corpus),
        ],
        reported,
    )
    atheris.Fuzz()


def _instrument(atheris: Any, module: Any) -> None:
    for name, value in vars(module).items():
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and hasattr(value, "__code__"):
            setattr(module, name, atheris.instrument_func(value))


def _in_process(name: str, home: Path, runs: int, seed: int, with_atheris: bool) -> None:
    reader = Reader(name, home)
    sys.addaudithook(_watch)
    signal.signal(signal.SIGALRM, too_slow)
    torch.set_num_threads(1)
    if with_atheris:
        guided(reader, runs, seed)
    else:
        plain(reader, runs, seed)
        reader.report()


def has_atheris() -> bool:
    from importlib.util import find_spec

    return find_spec("atheris") is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs in all (default 1,000,000)")
    parser.add_argument("--reader", choices=tuple(SHARES), help="only this one, with all the inputs")
    parser.add_argument("--plain", action="store_true", help="by mutation even where atheris is installed")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--csv", type=Path, help="also write the table here (the book's: book/data/fuzz.csv)")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with_atheris = has_atheris() and not given.plain
    if given.inside:
        _in_process(given.reader, given.inside, given.runs, given.seed, with_atheris)
        return
    shares = {given.reader: 1.0} if given.reader else SHARES
    print(f"{'reader':12} {'inputs':>9} {'accepted':>9} {'slowest':>9}  by {'atheris' if with_atheris else 'mutation'}")
    faults, rows = 0, []
    for name, share in shares.items():
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as home:
            command = [sys.executable, "-m", "benchmarks.fuzz", "--inside", home, "--reader", name, "--runs",
                       str(round(share * given.runs)), "--seed", str(given.seed), *(["--plain"] if given.plain else [])]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True)
        told = [line for line in done.stdout.splitlines() if line.startswith(f"{name} ")]
        if done.returncode or not told:
            faults += 1
            print(f"{name}: {(done.stderr or done.stdout)[-3000:]}")
        else:
            _, inputs, accepted, slowest = told[-1].split()
            print(f"{name:12} {int(inputs):9,} {int(accepted):9,} {slowest:>7} s", flush=True)
            rows.append({"reader": name, "inputs": inputs, "accepted": accepted, "slowest (s)": slowest, "at fault": 0})
    if given.csv is not None and not faults:
        with given.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
