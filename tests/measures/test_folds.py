import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multires.errors import MultiresError
from multires.measures import assign_folds, choose_trials


@given(labels=st.lists(st.integers(0, 6), min_size=10, max_size=200), folds=st.integers(1, 10), seed=st.integers(0, 99))
def test_every_label_and_fold_is_even(labels, folds, seed):
    labels = np.array(labels)
    assigned = assign_folds(len(labels), folds, seed=seed, strata=labels)
    assert np.ptp(np.bincount(assigned, minlength=folds)) <= 1
    for label in set(labels.tolist()):
        assert np.ptp(np.bincount(assigned[labels == label], minlength=folds)) <= 1
    np.testing.assert_array_equal(assigned, assign_folds(len(labels), folds, seed=seed, strata=labels))


@given(groups=st.lists(st.integers(0, 40), min_size=60, max_size=300), seed=st.integers(0, 99))
def test_groups_stay_together_and_fill_every_fold(groups, seed):
    groups = np.array(groups)
    folds = min(5, len(set(groups.tolist())))
    assigned = assign_folds(len(groups), folds, seed=seed, groups=groups)
    for group in set(groups.tolist()):
        assert len(set(assigned[groups == group].tolist())) == 1
    assert len(set(assigned.tolist())) == folds


@pytest.mark.parametrize("folds", [3, 4, 9, 10])
def test_trials_test_each_fold_at_most_once(folds):
    pairs = choose_trials(2 * (folds // 2), folds, seed=4)
    assert len({test for _, test in pairs}) == len(pairs)
    assert all(dev != test for dev, test in pairs)
    first = choose_trials(folds // 2, folds, seed=4)
    assert len({fold for pair in first for fold in pair}) == 2 * len(first), "disjoint as in the public code"


def test_clear_errors():
    for call, message in [
        (lambda: assign_folds(3, 4), "use fewer folds"),
        (lambda: assign_folds(9, 0), "folds is 0"),
        (lambda: assign_folds(9, 3, groups=np.zeros(9)), "at most 1 folds"),
        (lambda: assign_folds(9, 3, strata=np.zeros(8)), "strata has shape"),
        (lambda: choose_trials(3, 2), "folds is 2"),
        (lambda: choose_trials(11, 10), "1 ... 10"),
        (lambda: choose_trials([(1, 1)], 10), "two different folds"),
        (lambda: choose_trials([(1, 10)], 10), "two different folds"),
        (lambda: choose_trials([], 10), "empty"),
    ]:
        with pytest.raises(MultiresError, match=message):
            call()
