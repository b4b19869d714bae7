import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from multires.errors import MultiresError
from multires.measures.control import SMOOTHING, control_labels, description_length, selectivity


def words(items=900, types=30, labels=3, dim=12, type_noise=0.0, seed=0):
    """Vectors of items, with the label in the first dimensions and the type (if at all) in the others."""
    rng = np.random.default_rng(seed)
    word = rng.integers(0, types, items)
    label = (np.arange(types) % labels)[word]
    x = rng.normal(size=(items, dim))
    x[:, :labels] += 3 * np.eye(labels)[label]
    if type_noise:
        x[:, labels:] += type_noise * rng.normal(size=(types, dim - labels))[word]
    return x, label, word


def test_control_labels_follow_types_and_frequencies():
    rng = np.random.default_rng(0)
    types = rng.integers(0, 4000, 20_000)
    labels = rng.choice(3, 20_000, p=[0.7, 0.2, 0.1])
    control = control_labels(types, labels, seed=1)
    for word in range(20):
        assert len(set(control[types == word].tolist())) == 1
    assert np.bincount(control) / 20_000 == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
    np.testing.assert_array_equal(control, control_labels(types, labels, seed=1))
    assert (control != control_labels(types, labels, seed=2)).any()


def test_vectors_of_labels_are_selective_and_vectors_of_types_are_not():
    results = []
    for type_noise in (0.0, 6.0):
        x, label, word = words(type_noise=type_noise, dim=40)
        results.append(
            selectivity(
                x[:600], label[:600], x[600:], label[600:], word[:600], word[600:], seed=0,
                clusters=np.arange(300) % 10, decays=(1e-2,),
            )
        )  # fmt: skip
    plain, memorizing = results
    assert plain.probe.accuracy > 0.9
    assert plain.selectivity > 0.4
    assert plain.low < plain.selectivity < plain.high
    assert memorizing.control.accuracy > 0.9
    assert abs(memorizing.selectivity) < 0.1
    assert [row["measure"] for row in plain.rows()][-2:] == ["control accuracy", "selectivity"]


def test_code_length_is_that_of_scikit_learns_probes():
    x, label, _ = words(items=400)
    found = description_length(x, label, seed=3, decay=0.1, portions=(0.25, 0.5, 1.0))
    order = np.random.default_rng([3, 400]).permutation(400)
    x, label = x[order], label[order]
    bits = 30 * np.log2(3)
    for start, end in ((30, 100), (100, 200), (200, 400)):
        scaler = StandardScaler().fit(x[:start])
        model = LogisticRegression(C=1 / (0.1 * start), max_iter=2000, tol=1e-8)
        guess = model.fit(scaler.transform(x[:start]), label[:start]).predict_proba(scaler.transform(x[start:end]))
        chosen = guess[np.arange(end - start), label[start:end]]
        bits -= np.log2((1 - SMOOTHING) * chosen + SMOOTHING / 3).sum()
    assert found.bits == pytest.approx(bits, rel=0.02)
    assert found.uniform_bits == pytest.approx(400 * np.log2(3))
    assert found.compression == pytest.approx(found.uniform_bits / found.bits)


def test_unrelated_labels_are_not_compressed():
    x, label, _ = words(items=600)
    found = description_length(x, label, seed=0, clusters=np.arange(600) % 12)
    assert found.compression > 1.8
    assert found.bootstrap.low < found.compression < found.bootstrap.high
    assert 0.7 < found.shuffled < 1.02
    weak = description_length(x + 5 * np.random.default_rng(1).normal(size=x.shape), label, seed=0)
    assert weak.compression < found.compression
    assert [row["measure"] for row in weak.rows()] == ["bits per item", "compression", "compression (shuffled)"]


def test_labels_that_are_seen_late_are_encoded():
    x, label, _ = words(items=300)
    label = np.append(label[:-1], 99)
    assert np.isfinite(description_length(x, label, seed=0).bits)


def test_clear_errors():
    x, label, _ = words(items=60)
    for call, message in [
        (lambda: control_labels([1, 2], [1], seed=0), "one of each per item"),
        (lambda: description_length(x, np.zeros(60), seed=0), "1 distinct"),
        (lambda: description_length(x[:5], label, seed=0), "60 labels"),
        (lambda: description_length(np.full_like(x, np.nan), label, seed=0), "not finite"),
        (lambda: description_length(x[:3], [0, 1, 0], seed=0), "too few"),
    ]:
        with pytest.raises(MultiresError, match=message):
            call()
