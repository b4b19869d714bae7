"""Products in oneDNN against PyTorch's own, and attention head by head against its kernel."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from multires.runtime import products
from multires.runtime.products import Linear, attention, plain_products, product

pytestmark = pytest.mark.skipif(
    not products._has_onednn(torch.float32), reason="this processor has no products in oneDNN"
)


def draw(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.fixture
def calls(monkeypatch):
    """How often oneDNN is asked."""
    found, whole = [], products._linear
    monkeypatch.setattr(products, "_linear", lambda *a: found.append(a[0].shape) or whole(*a))
    return found


def test_a_product_is_that_of_pytorch(calls):
    x, weight, bias, plus = draw(2, 30, 12), draw(7, 12), draw(7), draw(2, 15, 7)
    with torch.inference_mode():
        torch.testing.assert_close(product(x, weight, bias), F.linear(x, weight, bias))
        every_other = product(x[:, ::2], weight, plus=plus)
        torch.testing.assert_close(every_other, F.linear(x[:, ::2], weight) + plus)
    assert calls == [x.shape]


def test_where_gradients_are_wanted_they_are_there(calls):
    layer, x = Linear(12, 7), draw(2, 30, 12).requires_grad_()
    layer(x).sum().backward()
    product(x, layer.weight, plus=layer(x)).sum().backward()
    assert x.grad.abs().sum() > 0
    assert calls == []


def test_nothing_goes_to_onednn_under_autocast_in_other_types_or_when_told(calls):
    x, weight = draw(1, 30, 12), draw(7, 12)
    with torch.inference_mode():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert product(x, weight).dtype is torch.bfloat16
        assert product(x.double(), weight.double()).dtype is torch.float64
        product(x, draw(12, 7).T)
        with plain_products():
            product(x, weight)
    assert calls == []


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)], ids=["float32", "bfloat16"]
)
@pytest.mark.parametrize("scores", [2**19, 90 * 300], ids=["all queries at once", "in parts"])
def test_attention_head_by_head_is_that_of_pytorch(dtype, atol, scores, calls, monkeypatch):
    if not products._has_onednn(dtype):
        pytest.skip(f"this processor does not compute in {dtype}")
    monkeypatch.setattr(products, "_wide", lambda: True)
    monkeypatch.setattr(products, "_SCORES", scores)
    q, k, v = draw(3, 2, 4, 300, 16).unbind(0)
    lengths = torch.tensor([300, 257])
    attend = (torch.arange(300) < lengths[:, None])[:, None, None]
    with torch.inference_mode():
        expected = F.scaled_dot_product_attention(q, k, v, attn_mask=attend).transpose(1, 2).flatten(2)
        found = attention(q.to(dtype), k.to(dtype), v.to(dtype), attend).float()
    # The products of 4 heads with 300 and 257 frames: scores of the queries in parts, then values.
    parts = 1 + 1 if scores == 2**19 else 4 + 3  # of 90 queries for 300 frames, of 105 for 257
    assert len(calls) == 4 * 2 * parts
    for mine, theirs, length in zip(found, expected, lengths.tolist(), strict=True):
        torch.testing.assert_close(mine[:length], theirs[:length], atol=atol, rtol=0)
    assert found.isfinite().all()


def test_attention_takes_no_memory_for_all_scores_at_once(monkeypatch):
    """Of 3,000 frames all scores would be 36 MB; the parts are 2 MiB."""
    monkeypatch.setattr(products, "_wide", lambda: True)
    q, k, v = draw(3, 1, 1, 3000, 8).unbind(0)
    largest = 0
    product_of = products._linear

    def watched(x, weight, bias):
        nonlocal largest
        y = product_of(x, weight, bias)
        largest = max(largest, y.numel())
        return y

    monkeypatch.setattr(products, "_linear", watched)
    with torch.inference_mode():
        found = attention(q, k, v, None)
        expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert 100_000 < largest <= 2**19
