import numpy as np
import pytest
from scipy import stats

from multires.errors import MultiresError
from multires.experiment.statistics import seed_interval
from multires.measures.student import half_width, one_sided_p, student_interval


def test_student_interval_is_scipys():
    values = np.random.default_rng(0).normal(0.4, 1, 6)
    found = student_interval(values, 0.9)
    reference = stats.ttest_1samp(values, 0)
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.9)))
    assert (found.p, found.mean, found.n) == (pytest.approx(reference.pvalue), pytest.approx(values.mean()), 6)


def test_student_interval_of_one_value_and_of_equal_values():
    one = student_interval([0.3])
    assert one.mean == 0.3
    assert np.isnan([one.low, one.high, one.p]).all()
    equal = student_interval([2.0, 2.0])
    assert (equal.low, equal.high, equal.p) == (2.0, 2.0, 0.0)
    assert student_interval([0.0, 0.0]).p == 1.0


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_every_interval_of_a_mean_is_the_same_to_the_last_bit(level):
    values = np.random.default_rng(1).normal(0.1, 1, 5)
    found, of_seeds = student_interval(values, level), seed_interval(values, level=level)
    assert (found.low, found.high) == (float(of_seeds.low), float(of_seeds.high))
    reach = stats.t.ppf(0.5 + level / 2, 4) * (values.std(ddof=1) / np.sqrt(5))
    assert (found.low, found.high) == (values.mean() - reach, values.mean() + reach)


def test_an_interval_reaches_a_bound_where_the_one_sided_p_is_half_of_what_it_leaves_out():
    value, error, df = np.array([0.3, -0.2]), np.array([0.1, 0.4]), np.array([3.0, 7.5])
    low = value - half_width(error, df, 0.9)
    np.testing.assert_allclose(one_sided_p(value - low, error, df), 0.05)


def test_a_bound_is_passed_for_sure_without_error_and_never_with_an_unknown_one():
    found = one_sided_p([0.1, -0.1, 0.0, 0.5], [0.0, 0.0, 0.0, np.nan], 4)
    assert found.tolist() == [0.0, 1.0, 0.5, 1.0]


def test_what_is_no_interval_is_refused():
    with pytest.raises(MultiresError, match="at least one value"):
        student_interval([])
    with pytest.raises(MultiresError, match="level is 95"):
        half_width(0.1, 3, level=95)
