import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from multires.errors import MultiresError
from multires.measures.anisotropy import anisotropy, remove_dimensions, standardize
from multires.measures.bootstrap import draw_weights


def layer(rows=400, dim=30, seed=0):
    """Vectors with a large mean in dimension 3 and a large variance in dimension 11."""
    x = np.random.default_rng(seed).normal(size=(rows, dim))
    x[:, 3] += 8
    x[:, 11] *= 9
    return x


def test_values_are_those_of_all_pairs():
    x = layer()
    found = anisotropy(x)
    cosine = cosine_similarity(x)
    off = ~np.eye(len(x), dtype=bool)
    assert found.mean_cosine == pytest.approx(cosine[off].mean())
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    parts = np.array([np.outer(unit[:, d], unit[:, d])[off].mean() for d in range(30)])
    assert found.top_cosine[3] == pytest.approx(np.sort(parts)[-3:].sum() / parts.sum())
    variance = np.sort(x.var(axis=0))[::-1]
    assert found.top_variance == pytest.approx({k: variance[:k].sum() / variance.sum() for k in (1, 3, 10)})
    assert found.outliers.tolist() == [3, 11] or found.outliers.tolist() == [11, 3]


def test_replicates_are_values_of_resampled_speakers():
    x, speaker = layer(), np.arange(400) % 10
    found = anisotropy(x, speaker, replicates=4)
    for index, draw in enumerate(draw_weights(10, 4, 0)):
        rows = np.concatenate([np.flatnonzero(speaker == s) for s in range(10) for _ in range(int(draw[s]))])
        again = anisotropy(x[rows])
        assert found.bootstrap["mean cosine"].replicates[index] == pytest.approx(again.mean_cosine)
        assert found.bootstrap["top 1 variance"].replicates[index] == pytest.approx(again.top_variance[1])
    low, high = found.bootstrap["top 3 cosine"].interval
    assert low <= found.top_cosine[3] <= high


def test_isotropic_vectors_have_no_common_direction():
    x = np.random.default_rng(0).normal(size=(5000, 40))
    found = anisotropy(x, np.arange(5000) % 50)
    low, high = found.bootstrap["mean cosine"].interval
    assert low < 0 < high
    assert abs(found.mean_cosine) < 0.002
    assert abs(found.shuffled_cosine) < 0.002
    assert anisotropy(x + 3).shuffled_cosine > 0.8, "means of dimensions explain it"


def test_transforms_remove_anisotropy():
    x = layer()
    assert abs(anisotropy(standardize(x)).mean_cosine) < 0.01 < anisotropy(x).mean_cosine
    bare = anisotropy(remove_dimensions(x, anisotropy(x).outliers))
    assert abs(bare.mean_cosine) < 0.01
    assert bare.top_variance[1] < 0.06
    half = standardize(x[200:], x[:200].mean(axis=0), x[:200].std(axis=0))
    np.testing.assert_allclose(half, (x[200:] - x[:200].mean(axis=0)) / x[:200].std(axis=0), rtol=1e-5)


def test_rows_are_tidy():
    rows = anisotropy(layer()).rows(layer="conv")
    assert {row["measure"] for row in rows} >= {"mean cosine", "top 1 variance", "top 10 cosine", "outlier dimensions"}
    assert all(row["n"] == 400 for row in rows)


def test_clear_errors():
    for call, message in [
        (lambda: anisotropy(np.ones((1, 3))), "at least two"),
        (lambda: anisotropy(np.zeros((5, 3))), "row of zeros"),
        (lambda: anisotropy(np.full((5, 3), np.nan)), "NaN"),
        (lambda: remove_dimensions(np.ones((5, 3)), [3]), "x has 3"),
        (lambda: remove_dimensions(np.ones((5, 2)), [0, 1]), "no dimension is left"),
    ]:
        with pytest.raises(MultiresError, match=message):
            call()
