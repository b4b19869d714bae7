"""The readers under mutated input; `python -m benchmarks.fuzz` does the same a million times."""

import io
import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from benchmarks import fuzz
from multires.errors import MultiresError
from multires.models.fairseq import read_fairseq


@pytest.fixture(scope="session", autouse=True)
def watched():
    """Such a hook stays for the life of the process; it is idle between inputs."""
    sys.addaudithook(fuzz._watch)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "inputs"), [("textgrid", 300), ("timit", 300), ("transcript", 300), ("checkpoint", 60)]
)
def test_whatever_stands_in_a_file_it_is_read_or_refused(name, inputs, tmp_path):
    marker = Path("/tmp/multires-was-here")
    marker.unlink(missing_ok=True)
    reader = fuzz.Reader(name, tmp_path)
    given, dice = fuzz.seeds(name), random.Random(1)
    for data in [*given, *(fuzz.mutated(given, dice) for _ in range(inputs))]:
        reader(data)
    assert reader.inputs == inputs + len(given)
    assert reader.accepted > 0
    assert not marker.exists()


def test_the_watch_sees_what_no_reader_may_do(tmp_path):
    reader = fuzz.Reader("textgrid", tmp_path)
    reader.read = lambda data: (tmp_path / "escaped").write_bytes(data)
    with pytest.raises(fuzz.Fault, match="open for writing"):
        reader(b"x")
    reader.read = lambda data: {}[data]
    with pytest.raises(fuzz.Fault, match="KeyError"):
        reader(b"x")


def test_a_cut_pickle_and_a_zip_of_another_version_are_refused_in_a_sentence(tmp_path):
    """Found by the fuzzer: struct.error and NotImplementedError."""
    packed = io.BytesIO()
    torch.save({"model": {"a": torch.zeros(3)}}, packed, _use_new_zipfile_serialization=False)
    path = tmp_path / "cut.pt"
    for length in range(1, len(packed.getvalue()), 7):
        path.write_bytes(packed.getvalue()[:length])
        with pytest.raises(MultiresError, match=r"damaged or no checkpoint|is refused"):
            read_fairseq(path)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/version", "3\n")
    content = bytearray(packed.getvalue())
    at = content.index(b"PK\x01\x02")
    content[at + 6] = 148  # "version needed to extract" of the central directory
    path.write_bytes(content)
    with pytest.raises(MultiresError, match=r"truncated or damaged \(zip file version 14.8\)"):
        read_fairseq(path)


def test_hostile_checkpoints_run_nothing_and_end_in_a_sentence():
    """At least 150, in a process of its own, with two more gigabytes and ten seconds for each."""
    script = "import json; from benchmarks.hostile import faults; print(json.dumps(faults()))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    tried, accepted, wrong = json.loads(done.stdout.splitlines()[-1])
    assert wrong == []
    assert tried >= 150
    assert accepted == 1, "the one good file, without which refusals would say nothing"
