"""Checkpoints made to run code, to exhaust memory or time, or to be read wrongly: each must be refused in a sentence.

::

    python -m benchmarks.hostile
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import signal
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks import fuzz
from multires.models.checkpoint import save_model
from multires.models.config import preset
from multires.models.mr_hubert import MultiResHubert

MARKER = Path(tempfile.gettempdir()) / "multires-was-here"
"""A file that no input may bring about."""

MEMORY = 2 << 30
"""Bytes of address space that all inputs may take, beyond those that the process has."""

CALLS = (
    "posix system", "os system", "subprocess Popen", "subprocess call", "builtins eval", "builtins exec", "builtins open",
    "builtins getattr", "builtins __import__", "runpy run_path", "importlib import_module", "shutil rmtree", "io open",
    "webbrowser open", "timeit timeit", "code InteractiveInterpreter", "ctypes CDLL", "pickle loads", "torch load",
    "torch.hub load", "torch.serialization load", "numpy load", "multires.models load_model", "operator attrgetter",
    "functools partial", "types FunctionType", "collections namedtuple", "antigravity x", "this s", "os.path join",
)  # fmt: skip
"""What a pickle may ask to be called, or imported."""

ODD: dict[str, Any] = {
    "negative": -1, "zero": 0, "huge": 10**30, "many": 300_000, "fraction": 7.5, "infinity": float("inf"),
    "nan": float("nan"), "text": "eight", "list": [8], "mapping": {"a": 8}, "nothing": None, "tensor": torch.zeros(2),
}  # fmt: skip
"""Values for an option that should be a small number."""

OPTIONS = (
    "encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads", "conv_pos",
    "conv_pos_groups", "final_dim", "conv_feature_layers", "label_rate", "extractor_mode",
)  # fmt: skip


def _state() -> dict[str, Any]:
    """Looks like fairseq's, and has next to nothing in it."""
    model = {
        "_name": "hubert", "encoder_layers": 1, "encoder_embed_dim": 8, "encoder_ffn_embed_dim": 8,
        "encoder_attention_heads": 2, "conv_feature_layers": "[(4,10,5)]", "conv_pos": 2, "conv_pos_groups": 2,
        "final_dim": 4, "extractor_mode": "default", "label_rate": 50.0,
    }  # fmt: skip
    weights = {"label_embs_concat": torch.zeros(3, 4), "mask_emb": torch.zeros(8)}
    return {"cfg": {"model": model, "task": {"normalize": False, "labels": ["km"]}}, "model": weights}


def _saved(state: Any, *, zipped: bool = True) -> bytes:
    packed = io.BytesIO()
    torch.save(state, packed, _use_new_zipfile_serialization=zipped)
    return packed.getvalue()


def _archive(pickled: bytes, **entries: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in {"archive/data.pkl": pickled, "archive/version": b"3\n", **entries}.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _calls() -> Iterator[tuple[str, bytes]]:
    """Pickles that ask for a call or an import, bare and in torch's archive."""
    argument = f"touch {MARKER}"
    for call in CALLS:
        module, name = call.split()
        reduce = f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()
        text = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name))
        stack = b"\x80\x04" + text + b"\x93\x8c" + bytes([len(argument)]) + argument.encode() + b"\x85R."
        instance = f"(S'{argument}'\ni{module}\n{name}\n.".encode()
        yield f"reduce {call}", _archive(reduce)
        yield f"stack global {call}", _archive(stack)
        yield f"instance {call}", _archive(instance)
        yield f"bare {call}", reduce


def _options() -> Iterator[tuple[str, bytes]]:
    for option in OPTIONS:
        for kind, value in ODD.items():
            state = _state()
            state["cfg"]["model"][option] = value
            yield f"{option} is {kind}", _saved(state)


def _tensors() -> Iterator[tuple[str, bytes]]:
    shape = (3, 4)
    odd: dict[str, Callable[[], Any]] = {
        "stride 0": lambda: torch.zeros(1).expand(1 << 40),
        "sparse": lambda: torch.zeros(shape).to_sparse(),
        "sparse rows": lambda: torch.zeros(shape).to_sparse_csr(),
        "on no device": lambda: torch.zeros(shape, device="meta"),
        "integers": lambda: torch.zeros(shape, dtype=torch.int64),
        "truth values": lambda: torch.zeros(shape, dtype=torch.bool),
        "complex": lambda: torch.zeros(shape, dtype=torch.complex64),
        "eight bits": lambda: torch.zeros(shape, dtype=torch.float8_e4m3fn),
        "not finite": lambda: torch.full(shape, float("nan")),
        "quantized": lambda: torch.quantize_per_tensor(torch.zeros(shape), 0.1, 0, torch.qint8),
        "no elements": lambda: torch.zeros(0, 4),
        "no tensor": lambda: "weights",
        "a list": lambda: [0.0] * 12,
        "a view": lambda: torch.zeros(1000, 4)[::300],
        "conjugated": lambda: torch.zeros(shape, dtype=torch.complex64).conj(),
    }
    for kind, make in odd.items():
        for zipped in (True, False):
            state = _state()
            state["model"]["label_embs_concat"] = make()
            try:
                yield f"weights: {kind}, {'zip' if zipped else 'legacy'}", _saved(state, zipped=zipped)
            except (RuntimeError, TypeError):  # torch writes no such tensor in this form
                continue


def _structures() -> Iterator[tuple[str, bytes]]:
    nested: Any = {}
    for _ in range(150):
        nested = {"a": nested}
    shared: Any = {"x": 1}
    for _ in range(40):
        shared = {"a": shared, "b": shared}
    circle: dict[str, Any] = {}
    circle["self"] = circle
    odd = {"nested": nested, "shared": shared, "circle": circle, "list": [], "number": 5, "nothing": None}
    for kind, value in odd.items():
        for place in ("cfg", "model"):
            yield f"{place} is {kind}", _saved({**_state(), place: value})
    for kind, pickled in {
        "marks": b"(" * 1_000_000 + b".", "memo": b"p1\n" * 1000 + b".", "long": b"\x8b\xff\xff\xff\x7f" + b"1.",
        "text": b"X\xff\xff\xff\x7fa.", "persistent": b"Pstorage\n.", "build": b"}}b.", "empty": b"", "stop": b".",
        "frame": b"\x80\x04\x95" + b"\xff" * 8 + b".", "put": b"]r\xff\xff\xff\x7f.",
    }.items():  # fmt: skip
        yield f"pickle: {kind}", pickled
        yield f"pickle in an archive: {kind}", _archive(pickled)
    good = pickle.dumps({"model": {}}, 2)
    yield "archive with a path out of it", _archive(good, **{"../../away": b"x"})
    yield "archive with a second data.pkl", _archive(good, **{"other/data.pkl": good})
    yield "archive with constants", _archive(good, **{"archive/constants.pkl": good, "archive/code/a.py": b"raise"})
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", good)
        archive.writestr("archive/data/0", bytes(1 << 26))
    yield "archive that is compressed", bomb.getvalue()


def _safetensors() -> Iterator[tuple[str, bytes]]:
    tiny = preset(
        "multi", "small", width=8, heads=2, ffn=8, final_dim=4, conv_pos=2, conv_pos_groups=2, classes=3,
        convolutions=tuple((4, k, s) for k, s in ((10, 5), *((3, 2),) * 4, *((2, 2),) * 2)),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        own = save_model(MultiResHubert(tiny, seed=0), Path(place) / "a.safetensors").read_bytes()
    size = struct.unpack("<Q", own[:8])[0]
    header, body = json.loads(own[8 : 8 + size]), own[8 + size :]

    def packed(changed: Any) -> bytes:
        text = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        return struct.pack("<Q", len(text)) + text + body

    config = json.loads(header["__metadata__"]["config"])
    for name, value in config.items():
        for kind in ("negative", "huge", "text", "nothing", "mapping"):
            if value is not None and not (isinstance(value, str) and kind == "text"):
                facts = {**header["__metadata__"], "config": json.dumps({**config, name: ODD[kind]})}
                yield f"our {name} is {kind}", packed({**header, "__metadata__": facts})
    for kind, text in {
        "list": "[]",
        "nested": "[" * 100_000,
        "cut": "{",
        "number": "1e999",
        "long": " " * 10**6,
    }.items():
        yield (
            f"our configuration: {kind}",
            packed({**header, "__metadata__": {**header["__metadata__"], "config": text}}),
        )
    yield "header: nested", packed(b'{"a":' * 100_000)
    yield "header: twice the same", packed(b'{"a":{},"a":{}}')
    yield "header longer than the file", struct.pack("<Q", 1 << 62) + own[8:]
    yield "our file as it is", packed(header)
    first = next(name for name in header if name != "__metadata__")
    for kind, offsets in {"reversed": [8, 0], "beyond": [0, 1 << 40], "negative": [-8, 8]}.items():
        yield f"offsets {kind}", packed({**header, first: {**header[first], "data_offsets": offsets}})


def checkpoints() -> Iterator[tuple[str, bytes]]:
    """Every input with its name."""
    for make in (_calls, _options, _tensors, _structures, _safetensors):
        yield from make()


def faults() -> tuple[int, int, list[str]]:
    """Inputs tried, inputs accepted, and what was wrong; to be called in a process of its own, which it limits."""
    MARKER.unlink(missing_ok=True)
    given = list(checkpoints())
    sys.addaudithook(fuzz._watch)
    signal.signal(signal.SIGALRM, fuzz.too_slow)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    wrong = []
    with tempfile.TemporaryDirectory() as home:
        reader = fuzz.Reader("checkpoint", Path(home))
        for name, data in given:
            try:
                reader._try(data)
            except fuzz.Fault as fault:
                wrong.append(f"{name}: {str(fault)[:300]}")
            if MARKER.exists():
                wrong.append(f"{name}: it ran a command")
                MARKER.unlink()
    return reader.inputs, reader.accepted, wrong


def main() -> int:
    """Print what was tried as JSON; 1 where anything was wrong."""
    tried, accepted, wrong = faults()
    print(json.dumps({"inputs": tried, "accepted": accepted, "wrong": wrong}, indent=2))
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
