"""The cell of each checkpoint, from its own configuration, as fairseq writes it."""

from __future__ import annotations

import pytest
import torch

from multires.errors import MultiresError
from multires.models import build_model, convert, load_checkpoint, load_model, models_table, preset, save_model
from multires.models.condition import Targets, check_published, condition_of
from multires.models.mr_hubert import MultiResHubert
from multires.models.registry import check_cells, expected_cells


@pytest.mark.parametrize(
    ("architecture", "changes", "cell"),
    [
        ("hubert", {}, "hubert"),
        ("mono", {}, "mono+aux"),
        ("mono", {"single_prediction": True}, "mono"),
        ("multi", {}, "multi+aux"),
        ("multi", {"single_prediction": True}, "multi"),
        ("multi", {"single_target": True}, "multi+aux"),
        ("multi", {"ratios": ((2, 3),)}, "multi+aux"),
        ("multi3", {}, "multi3+aux"),
        ("multi3", {"ratios": ((1, 1), (1, 1))}, "mono+aux"),
    ],
)
def test_cells_of_configurations(architecture, changes, cell):
    assert condition_of(preset(architecture, "small", **changes)).cell == cell


@pytest.fixture
def written(narrow):
    """A checkpoint that fairseq wrote, to be changed: a narrow MR-HuBERT, 20 and 40 ms, both predicted."""
    return torch.load(narrow.path, weights_only=False)


def test_a_checkpoint_says_its_cell_evidence_and_targets(narrow):
    condition = load_model(str(narrow.path)).condition
    assert condition.cell == "multi+aux"
    assert "label_rate_ratios [1, 2], use_single_prediction false, use_single_target false" in condition.evidence
    assert condition.targets == Targets(("0.km", "1.km"), 50.0, narrow.path.parent.name)


def test_the_name_of_a_file_does_not_matter(written, tmp_path):
    """A file called mono_base.pt whose own options switch both off is a hubert-like control without auxiliary loss."""
    written["cfg"]["task"]["label_rate_ratios"] = [1, 1]
    written["cfg"]["model"]["label_rate_ratios"] = [1, 1]
    written["cfg"]["model"]["use_single_prediction"] = True
    for name in [n for n in written["model"] if n.startswith(("final_projs.1", "label_embs_concat.1"))]:
        del written["model"][name]
    torch.save(written, tmp_path / "mono_base.pt")
    assert load_model(str(tmp_path / "mono_base.pt")).condition.cell == "mono"


def test_converting_keeps_the_condition(narrow, tmp_path):
    target = convert(narrow.path, tmp_path / "x.safetensors")
    assert load_checkpoint(target).condition == load_checkpoint(narrow.path).condition
    own = save_model(build_model("multi", "small"), tmp_path / "y.safetensors")
    assert load_checkpoint(own).condition.targets is None


def test_the_table_says_what_is_expected_and_what_would_confirm_it():
    table = models_table().set_index("key")
    assert table.cell["hubert_base"] == "hubert"
    for key, cell in {"b5-a": "mono+aux", "b4-a": "multi", "mono_base": "multi+aux", "b6-a": "multi+aux",
                      "b6-b": "mono+aux", "b3-a": "multi+aux", "b4-b": "multi", "b2-a": "multi3+aux"}.items():  # fmt: skip
        assert table.cell[key] == f"{cell} (expected)"
        assert expected_cells()[key] == cell
    assert table.confirmed_by["b4-a"] == "label_rate_ratios [1, 2] and use_single_prediction true in its cfg"
    assert table.cell["librispeech/mono+aux-0"] == "mono+aux"
    assert table.cell["b8-c"] == ""
    assert table.cell["untrained/multi-small"] == ""


def model(architecture, labels=("layer9.km500",), **changes):
    made = MultiResHubert(preset(architecture, "small", **changes), trained=True)
    made.targets = Targets(labels, 50.0, "kmeans")
    return made


def test_the_four_cells_are_accepted():
    check_cells({
        "hubert_base": model("hubert", ("other",)), "mono_base": model("multi"),
        "b4-a": model("multi", single_prediction=True), "b5-a": model("mono"),
    })  # fmt: skip


def test_a_wrong_cell_is_refused():
    with pytest.raises(MultiresError, match=r"b4-a is expected to be the cell multi, .* makes it multi\+aux .*false"):
        check_cells({"mono_base": model("multi"), "b4-a": model("multi")})
    with pytest.raises(MultiresError, match=r"hubert_base is expected to be the cell hubert"):
        check_cells({"hubert_base": model("mono")})


def test_models_of_different_iterations_are_refused():
    with pytest.raises(MultiresError, match=r"b5-a and mono_base learned different units \(mfcc\.km at 50 Hz"):
        check_cells({"mono_base": model("multi"), "b5-a": model("mono", ("mfcc.km",))})
    with pytest.raises(MultiresError, match=r"100 of them.* 500 of them"):
        check_published(
            {"mono_base": (model("multi").condition, (500, 500)), "b5-a": (model("mono").condition, (100, 100))},
            expected_cells(),
        )
