"""Two processes train the model that one would have trained."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from multires.errors import MultiresError
from multires.models.checkpoint import load_checkpoint
from multires.training.distributed import Processes, own_device
from multires.training.records import training_log

SCRIPT = """
import sys
import numpy as np, torch
from multires.models.config import preset
from multires.training.pretrain import pretrain
from multires.training.recipe import Recipe
from multires.training.speech import Speech
from multires.training.targets import Units

torch.set_num_threads(1)
rng = np.random.default_rng(0)
lengths = np.full(5, 12_000)
samples = torch.from_numpy(rng.integers(-9000, 9000, lengths.sum()).astype(np.int16))
speech = Speech("noise", samples, np.arange(5) * 12_000, lengths, "noise")
units = Units(torch.from_numpy(rng.integers(0, 6, int(speech.frame_starts[-1]))).int(), 6, "noise", "noise")
config = preset("multi", "small", classes=6, width=16, heads=2, ffn=16, depths=(1, 1, 1), final_dim=8, conv_pos=4,
                conv_pos_groups=2, convolutions=tuple((8, k, s) for k, s in ((10, 5), *((3, 2),) * 4, *((2, 2),) * 2)))
recipe = Recipe(steps=4, batch_seconds=2.3, crop_seconds=0.8, classes=6, warm_steps=0, log_every=2, precision="float32",
                learning_rate=1e-2)
pretrain(config, speech, units, recipe, seed=0, out=sys.argv[1], key="m", held_out=(speech, units), progress=False)
"""


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path):
    pytest.importorskip("accelerate")
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    clean = {name: value for name, value in os.environ.items() if name not in ("WORLD_SIZE", "RANK", "LOCAL_RANK")}
    environment = {**clean, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    alone, together = tmp_path / "alone.safetensors", tmp_path / "together.safetensors"
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for start, target in (([], alone), (launch, together)):
        command = [sys.executable, *start, str(script), str(target)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    one, other = (load_checkpoint(path).state_dict() for path in (alone, together))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=2e-3, msg=name)
    columns = ["loss", "accuracy"]
    logs = [training_log(path)[columns].to_numpy(float) for path in (alone, together)]
    np.testing.assert_allclose(*logs, atol=1e-3)


def test_one_process_needs_nothing_of_it(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    team = Processes(torch.device("cpu"))
    value = torch.ones(2)
    assert team.first
    assert team.summed(value) is value
    assert not team.any(False)
    assert team.share(5)[0].tolist() == [0, 1, 2, 3, 4]
    team.wait()


@pytest.mark.parametrize("items", [1, 2, 5, 8])
def test_shares_cover_a_batch_once(monkeypatch, items):
    monkeypatch.setenv("WORLD_SIZE", "3")
    found, weight = [], 0.0
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        rows, share = Processes(torch.device("cpu")).share(items)
        assert len(rows)
        found += rows.tolist() if share else []
        weight += share
    assert sorted(found) == list(range(items))
    assert weight == pytest.approx(1)


def test_each_process_has_its_own_gpu(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device("cuda") == "cuda:3"
    assert own_device("cuda:1") == "cuda:1"
    assert own_device("cpu") == "cpu"


def test_without_accelerate_the_remedy_is_named(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MultiresError, match=r"install multires\[gpus\]"):
        Processes(torch.device("cpu")).wait()
