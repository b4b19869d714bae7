"""The four published cells of the profile `paper`: accepted as expected, and each wrong file refused in a sentence."""

from __future__ import annotations

import shutil

import pytest
import torch

from multires.analysis.run import open_run
from multires.errors import MultiresError

pytest.importorskip("fairseq", reason="fairseq has no build for this Python")


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """A narrow checkpoint that fairseq wrote for each cell."""
    from benchmarks.paper import STAND_INS
    from benchmarks.reference import FAMILIES, build_reference

    folder = tmp_path_factory.mktemp("stand-ins")
    for key, family in STAND_INS.items():
        made = build_reference(FAMILIES[family].narrow(), folder / "made").path
        shutil.move(made, folder / f"{key}.pt")
        shutil.rmtree(folder / "made")
    return folder


@pytest.fixture
def opened(stand_ins, tmp_path, monkeypatch):
    """Opens the profile with the stand-ins in the cache, one of them changed."""

    def run(change=lambda folder: None):
        models = tmp_path / "cache" / "models"
        models.mkdir(parents=True)
        for file in stand_ins.glob("*.pt"):
            shutil.copy(file, models)
        change(models)
        monkeypatch.setenv("MULTIRES_CACHE", str(tmp_path / "cache"))
        (tmp_path / "data").mkdir()
        return open_run("paper", data=tmp_path / "data", workspace=tmp_path / "workspace", progress=False)

    return run


def test_the_four_cells(opened):
    run = opened()
    assert {subject.name: run.condition(subject) for subject in run.subjects} == {
        "hubert_base": "hubert", "mono_base": "multi+aux", "b4-a": "multi", "b5-a": "mono+aux",
    }  # fmt: skip


def rewritten(folder, key, change):
    path = folder / f"{key}.pt"
    state = torch.load(path, weights_only=False)
    change(state)
    torch.save(state, path)


WRONG = {
    "wrong cell": (
        lambda folder: shutil.copy(folder / "mono_base.pt", folder / "b4-a.pt"),
        r"b4-a is expected to be the cell multi, .*multi\+aux .*use_single_prediction false",
    ),
    "another architecture": (
        lambda folder: shutil.copy(folder / "hubert_base.pt", folder / "b5-a.pt"),
        r"b5-a is expected to be the cell mono\+aux, .* hubert",
    ),
    "truncated": (
        lambda folder: (folder / "b5-a.pt").write_bytes((folder / "b5-a.pt").read_bytes()[:100_000]),
        r"b5-a\.pt is truncated or damaged",
    ),
    "other iteration": (
        lambda folder: rewritten(folder, "b5-a", lambda s: s["cfg"]["task"].update(labels=["mfcc.km"])),
        r"b5-a and mono_base learned different units \(mfcc\.km at 50 Hz",
    ),
    "missing cfg": (
        lambda folder: rewritten(folder, "mono_base", lambda s: s.pop("cfg")),
        r"mono_base\.pt has no `cfg`",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_ends_in_one_sentence(kind, opened):
    change, said = WRONG[kind]
    with pytest.raises(MultiresError, match=said) as refused:
        opened(change)
    assert "\n" not in str(refused.value)
