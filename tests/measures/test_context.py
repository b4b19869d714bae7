import numpy as np
import pytest
import torch
from scipy.stats import norm

from multires.errors import MultiresError
from multires.measures.context import effective_context


def test_gaussian_gradients_have_their_quantiles():
    period, deviation = 0.001, 0.1
    times = period * np.arange(4000)
    centers = np.linspace(1.5, 2.5, 20)
    gradients = np.exp(-((times[None] - centers[:, None]) ** 2) / (4 * deviation**2))  # the square is a normal density
    found = effective_context(gradients, centers, period)
    expected = norm.ppf(0.95) * deviation
    assert (found.back, found.forward, found.total / 2) == pytest.approx((expected,) * 3, abs=0.002)
    assert found.baseline > 10 * found.total


def test_one_sided_gradients_have_no_future():
    gradients = np.triu(np.ones((50, 50))).T[20:]
    centers = 0.02 * np.arange(50)[20:]
    found = effective_context(gradients, centers, 0.02, clusters=np.arange(30) % 10)
    assert found.forward == 0
    counts = np.arange(20, 50)
    assert found.back == pytest.approx(np.mean(0.02 * np.ceil(0.9 * counts - 1e-9)))
    low, high = found.bootstrap["back"].interval
    assert low < found.back < high


def test_context_of_a_convolution_is_its_kernel():
    weight = torch.tensor([1.0, 2.0, 1.0, 2.0, 1.0])
    x = torch.zeros(1, 1, 101, requires_grad=True)
    rows = []
    for frame in (40, 50, 60):
        y = torch.nn.functional.conv1d(x, weight[None, None], padding=2)
        rows.append(torch.autograd.grad(y[0, 0, frame], x)[0][0, 0].numpy())
    found = effective_context(np.stack(rows), [4.0, 5.0, 6.0], 0.1, share=1.0)
    assert (found.back, found.forward, found.total) == pytest.approx((0.2, 0.2, 0.4))


def test_rows_are_tidy():
    rows = effective_context(np.ones((3, 9)), [0.1, 0.2, 0.3], 0.1).rows(layer="conv")
    assert [row["measure"] for row in rows][-1] == "context total (uniform)"
    assert rows[2]["value"] == rows[3]["value"]
    assert np.isnan(rows[0]["low"]), "three frames are too few"


def test_clear_errors():
    good = np.ones((2, 5))
    for call, message in [
        (lambda: effective_context(good, [1.0], 0.1), "one center per frame"),
        (lambda: effective_context(0 * good, [1.0, 2.0], 0.1), "no finite gradient"),
        (lambda: effective_context(np.nan * good, [1.0, 2.0], 0.1), "no finite gradient"),
        (lambda: effective_context(good, [1.0, 2.0], 0.1, share=1.5), "share is 1.5"),
    ]:
        with pytest.raises(MultiresError, match=message):
            call()
