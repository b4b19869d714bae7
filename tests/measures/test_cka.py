import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multires.errors import MultiresError
from multires.measures.cka import debiased_cka


def u_statistic(first, second):
    """Unbiased HSIC of Gram matrices, by the definition of Song et al. (2012), equation 5."""
    n = len(first)
    k, m = first - np.diag(np.diag(first)), second - np.diag(np.diag(second))
    ones = np.ones(n)
    return (
        np.trace(k @ m)
        + (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (ones @ k @ m @ ones)
    ) / (n * (n - 3))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), rows=st.integers(4, 40), dim=st.integers(1, 60))
def test_value_is_that_of_gram_matrices(seed, rows, dim):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(2, 1, size=(rows, dim)), rng.normal(size=(rows, 3))
    y[:, 0] += x[:, 0]
    hsic = [u_statistic(a @ a.T, b @ b.T) for a, b in ((x, y), (x, x), (y, y))]
    if hsic[1] * hsic[2] > 1e-6:
        assert debiased_cka(x, y) == pytest.approx(hsic[0] / np.sqrt(hsic[1] * hsic[2]), rel=1e-6, abs=1e-8)


def test_unrelated_views_score_zero_with_fewer_rows_than_columns():
    rng = np.random.default_rng(0)
    values = [debiased_cka(rng.normal(size=(50, 200)), rng.normal(size=(50, 200))) for _ in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)


def test_rotation_scale_and_shift_change_nothing():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 6)), rng.normal(size=(100, 4))
    y[:, 0] += 2 * x[:, 1]
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert debiased_cka(3 * x @ turn + 7, y) == pytest.approx(debiased_cka(x, y))
    assert debiased_cka(x, x) == pytest.approx(1)


def test_clear_errors():
    for x, y, message in [
        (np.ones((3, 2)), np.ones((3, 2)), "four or more"),
        (np.ones((5, 2)), np.ones((6, 2)), "5 and 6 rows"),
        (np.ones((5, 2)), np.eye(5), "does not vary"),
        (np.full((5, 2), np.nan), np.eye(5), "x has NaN"),
    ]:
        with pytest.raises(MultiresError, match=message):
            debiased_cka(x, y)
