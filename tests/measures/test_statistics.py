import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multires.errors import MultiresError
from multires.measures import CCAStatistics

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6)) + 100
Y = RNG.normal(size=(200, 4)) - 7
LABELS = RNG.integers(0, 5, 200)
GROUP = RNG.integers(0, 3, 200)


def moments_match(moments, x, y, tolerance=1e-10):
    n = len(x)
    assert moments.count == n
    a, b = x - x.mean(0), y - y.mean(0)
    for found, expected in [
        (moments.mean_x, x.mean(0)), (moments.mean_y, y.mean(0)),
        (moments.xx, a.T @ a), (moments.yy, b.T @ b), (moments.xy, a.T @ b),
    ]:  # fmt: skip
        np.testing.assert_allclose(found, expected, atol=tolerance * n, rtol=tolerance)


@settings(deadline=None, max_examples=40)
@given(cuts=st.lists(st.integers(0, 200), max_size=12), seed=st.integers(0, 1000), shards=st.integers(1, 3))
def test_order_batches_and_shards_do_not_matter(cuts, seed, shards):
    order = np.random.default_rng(seed).permutation(200)
    parts = [CCAStatistics(6, {"dense": 4, "labels": 5}, 3) for _ in range(shards)]
    for index, rows in enumerate(np.split(order, sorted(cuts))):
        parts[index % shards].update(X[rows], {"dense": Y[rows], "labels": LABELS[rows]}, GROUP[rows])
    whole = parts[0]
    for part in parts[1:]:
        whole = part + whole
    for groups in ([0], [2, 1], [0, 1, 2]):
        rows = np.isin(GROUP, groups)
        moments_match(whole.pool(groups, "dense"), X[rows], Y[rows])
        moments_match(whole.pool(groups, "labels"), X[rows], np.eye(5)[LABELS[rows]])


def test_adding_leaves_both_as_they_were():
    a, b = (CCAStatistics(6, 4).update(X[rows], Y[rows]) for rows in (slice(0, 50), slice(50, None)))
    before = a.xx.copy()
    moments_match((a + b).pool([0]), X, Y)
    assert a.count[0] == 50
    np.testing.assert_array_equal(a.xx, before)


def test_weighted_pool_is_that_of_repeated_rows():
    statistics = CCAStatistics(6, 4, 3).update(X, Y, GROUP)
    rows = np.concatenate([np.flatnonzero(g == GROUP) for g in (0, 0, 2)])
    moments_match(statistics.pool_weighted(np.array([2.0, 0.0, 1.0])), X[rows], Y[rows])


def test_an_offset_of_a_million_costs_no_precision():
    statistics = CCAStatistics(6, 4)
    for rows in np.split(np.arange(200), 8):
        statistics.update(X[rows] + 1e6, Y[rows] * 1e-6)
    moments = statistics.pool([0])
    centered = X - X.mean(0)
    np.testing.assert_allclose(moments.xx, centered.T @ centered, rtol=1e-7, atol=1e-7)


def test_save_and_load(tmp_path):
    statistics = CCAStatistics(6, {"dense": 4, "labels": 5}, 3)
    statistics.update(X, {"dense": Y, "labels": LABELS}, GROUP)
    again = CCAStatistics.load(statistics.save(tmp_path / "statistics.npz"))
    assert again.views == statistics.views
    moments_match(again.pool([0, 1, 2], "labels"), X, np.eye(5)[LABELS])
    again.update(X, {"dense": Y, "labels": LABELS}, GROUP)
    assert again.count.sum() == 400


def test_files_that_are_not_statistics(tmp_path):
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for name in ("text.npz", "other.npz", "missing.npz"):
        with pytest.raises(MultiresError, match=name):
            CCAStatistics.load(tmp_path / name)
    with pytest.raises(MultiresError, match="cannot write"):
        CCAStatistics(2, 2).save(tmp_path / "no" / "such.npz")


def test_memory_does_not_grow_with_rows():
    statistics = CCAStatistics(6, 4)
    sizes = set()
    for _ in range(3):
        statistics.update(X, Y)
        sizes.add(statistics.xx.nbytes + statistics.xy["y"].nbytes + statistics.yy["y"].nbytes)
    assert sizes == {8 * (36 + 24 + 16)}


def test_clear_errors():
    statistics = CCAStatistics(6, {"a": 4, "b": 5}, 3)
    for call, message in [
        (lambda: CCAStatistics(0, 3), "dim_x is 0"),
        (lambda: CCAStatistics(3, 3, 0), "groups is 0"),
        (lambda: statistics.update(X, {"a": Y}), "views"),
        (lambda: statistics.update(X[:, :3], {"a": Y, "b": LABELS}), "x has 3 columns"),
        (lambda: statistics.update(X, {"a": Y[:, :2], "b": LABELS}), "'a' has 2 columns"),
        (lambda: statistics.update(X, {"a": Y[:9], "b": LABELS}), "'a' has 9"),
        (lambda: statistics.update(X, {"a": Y, "b": LABELS + 1}), r"0 \.\.\. 4"),
        (lambda: statistics.update(X, {"a": Y, "b": LABELS}, GROUP + 1), r"0 \.\.\. 2"),
        (lambda: statistics.update(X[0], {"a": Y, "b": LABELS}), "give a matrix"),
        (lambda: statistics.update(X.astype(str), {"a": Y, "b": LABELS}), "real numbers"),
        (lambda: statistics.update(X * 1e200, {"a": Y, "b": LABELS}), "too large"),
        (lambda: statistics.merge(CCAStatistics(6, 4)), "cannot be merged"),
    ]:
        with pytest.raises(MultiresError, match=message):
            call()


def test_a_refused_batch_leaves_no_trace():
    statistics = CCAStatistics(6, 4, 3).update(X, Y, GROUP)
    bad = X.copy()
    bad[150, 0] = np.nan
    before = statistics.count.copy()
    with pytest.raises(MultiresError, match="row 150"):
        statistics.update(bad, Y, GROUP)
    np.testing.assert_array_equal(statistics.count, before)


def test_no_rows_change_nothing():
    statistics = CCAStatistics(6, 4).update(X, Y).update(X[:0], Y[:0])
    moments_match(statistics.pool([0]), X, Y)
