import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

from multires.errors import MultiresError
from multires.measures.bootstrap import draw_weights
from multires.measures.units import MEASURES, unit_scores


def tables(rows=3000, labels=12, units=30, noise=0.3, speakers=16, seed=0):
    """Units that follow labels with some noise; labels with unequal frequencies."""
    rng = np.random.default_rng(seed)
    label = rng.choice(labels, rows, p=rng.dirichlet(np.full(labels, 3.0)))
    unit = rng.integers(0, units, labels)[label] + rng.integers(0, 3, rows)
    unit = np.where(rng.random(rows) < noise, rng.integers(0, units + 3, rows), unit)
    return unit, label, rng.integers(0, speakers, rows)


def by_definition(unit, label):
    """HuBERT, equations of section 4.4, from the joint distribution."""
    joint = np.zeros((label.max() + 1, unit.max() + 1))
    np.add.at(joint, (label, unit), 1 / len(unit))
    seen = joint.sum(axis=1) > 0
    return {
        "pnmi": mutual_info_score(label, unit) / -(joint.sum(axis=1)[seen] @ np.log(joint.sum(axis=1)[seen])),
        "phone purity": sum(joint[:, z].max() for z in range(joint.shape[1])),
        "cluster purity": sum(joint[y].max() for y in range(joint.shape[0])),
        "adjusted mi": adjusted_mutual_info_score(label, unit),
    }


@given(seed=st.integers(0, 99), units=st.integers(1, 40))
def test_values_are_the_definitions(seed, units):
    unit, label, _ = tables(rows=200, units=units, seed=seed)
    found = unit_scores(unit, label).values
    for measure, value in by_definition(unit, label).items():
        assert found[measure] == pytest.approx(value, abs=1e-10)


def test_replicates_are_scores_of_resampled_speakers():
    unit, label, speaker = tables()
    found = unit_scores(unit, label, speaker, replicates=5)
    for index, draw in enumerate(draw_weights(16, 5, 0)):
        rows = np.concatenate([np.flatnonzero(speaker == s) for s in range(16) for _ in range(int(draw[s]))])
        expected = by_definition(unit[rows], label[rows])
        for measure in ("pnmi", "phone purity", "cluster purity"):
            assert found.bootstrap[measure].replicates[index] == pytest.approx(expected[measure], abs=1e-10)
        assert found.bootstrap["adjusted mi"].replicates[index] == pytest.approx(expected["adjusted mi"], abs=0.01)
    for measure in MEASURES:
        low, high = found.bootstrap[measure].interval
        assert low < found.values[measure] < high


def test_perfect_and_unrelated_units():
    unit, label, speaker = tables(rows=20_000, units=200)
    perfect = unit_scores(label * 7, label)
    assert all(value == pytest.approx(1) for value in perfect.values.values())
    rng = np.random.default_rng(0)
    unrelated = unit_scores(rng.permutation(unit), label, speaker)
    for measure in MEASURES:
        assert unrelated.values[measure] == pytest.approx(unrelated.baseline[measure], abs=0.02)
    assert abs(unrelated.values["adjusted mi"]) < 0.01
    assert unrelated.values["pnmi"] > 0.02, "the bias that the baseline shows"


def test_rows_are_tidy_and_intervals_need_eight_speakers():
    unit, label, speaker = tables()
    rows = unit_scores(unit, label, speaker % 7).rows(layer="middle.1")
    assert len(rows) == 8
    assert all(row["layer"] == "middle.1" and row["n"] == 3000 for row in rows)
    assert all(np.isnan(row["low"]) for row in rows if "low" in row)


def test_clear_errors():
    for unit, label, message in [
        ([0, 1], [0, 1, 2], "units has shape"),
        ([0, 0], [0, 1], r"1 label\(s\)"),
        ([0, 1], [0, 0], "labels has 1"),
    ]:
        with pytest.raises(MultiresError, match=message):
            unit_scores(unit, label)
    with pytest.raises(MultiresError, match="clusters to resample"):
        unit_scores([0, 1, 2], [0, 1, 2], [0])
