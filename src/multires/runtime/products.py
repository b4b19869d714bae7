"""Matrix products of a forward pass, computed by the fastest library for the processor at hand.

PyTorch computes float32 products with MKL. oneDNN, which PyTorch also carries, is twice as fast with AVX-512 on
processors that are not Intel's, of which MKL uses half the width, and 3 to 15 % faster with AVX2 on AMD's. Results are
equal to rounding. oneDNN is used only without gradients and outside autocast; `plain_products` turns it off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

_LONG = 256
"""Frames from which attention head by head is faster than PyTorch's kernel, with AVX-512."""

_SCORES = 2**19
"""Attention scores held at a time: 2 MiB, which stay in the processor's cache."""

_QUERIES = 64
"""Fewest queries in one product, however many frames they attend to."""

_plain: ContextVar[bool] = ContextVar("plain", default=False)


@contextmanager
def plain_products() -> Iterator[None]:
    """Leave every product to PyTorch's own choice, as for tools that know only its operations."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


class Linear(nn.Linear):
    """`torch.nn.Linear`, the product by `product`."""

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """``x @ weight.T + bias``."""
        return product(x, self.weight, self.bias)


def product(
    x: Float[Tensor, "*batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None = None,
    plus: Float[Tensor, "*batch outputs"] | None = None,
) -> Float[Tensor, "*batch outputs"]:
    """``x @ weight.T + bias + plus``, the last for one batch dimension; `weight` must be contiguous to be fast."""
    # Given anything but a contiguous weight, oneDNN falls back to a kernel a thousand times slower.
    if _in_onednn(x, weight) and weight.is_contiguous() and x.numel():
        if plus is None:
            return _linear(x, weight, bias)
        return torch.ops.mkldnn._linear_pointwise.binary(x, plus, weight, bias, "add")
    if plus is None:
        return F.linear(x, weight, bias)
    return torch.baddbmm(plus if bias is None else plus + bias, x, weight.T.expand(len(x), -1, -1))


def attention(
    q: Float[Tensor, "batch heads frames dim"],
    k: Float[Tensor, "batch heads frames dim"],
    v: Float[Tensor, "batch heads frames dim"],
    attend: Bool[Tensor, "batch 1 1 frames"] | None,
    dropout: float = 0.0,
) -> Float[Tensor, "batch frames width"]:
    """Scaled dot-product attention to the frames where `attend` is true, heads side by side.

    Memory grows with the number of frames, not with its square: PyTorch's kernel and the products here both take the
    queries in parts. With `attend`, each utterance's own frames must come first. What padding attends to is undefined.
    """
    batch, heads, frames, dim = q.shape
    if dropout or frames < _LONG or not _wide() or not _in_onednn(q, k):
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=attend, dropout_p=dropout)
        return y.transpose(1, 2).reshape(batch, frames, heads * dim)
    lengths = [frames] * batch if attend is None else attend[:, 0, 0].sum(1).tolist()
    out = q.new_zeros(batch, frames, heads, dim)
    q = (q * dim**-0.5).contiguous()
    k = k.contiguous()
    for i, n in enumerate(lengths):
        values = v[i, :, :n].transpose(1, 2).contiguous()
        rows = max(_SCORES // max(n, 1), _QUERIES)
        for head in range(heads):
            for first in range(0, n, rows):
                past = min(first + rows, n)
                scores = _linear(q[i, head, first:past], k[i, head, :n], None)
                out[i, first:past, head] = _linear(torch.softmax(scores, dim=-1), values[head], None)
    return out.flatten(2)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _in_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype
        and _has_onednn(x.dtype)
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and bool(torch.backends.mkldnn.enabled)
        and not _plain.get()
    )


@cache
def _has_onednn(dtype: torch.dtype) -> bool:
    """True if this PyTorch has oneDNN's products in a type, and they are faster on this processor than its others."""
    operation: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if operation is None or not (_wide() or torch.backends.cpu.get_cpu_capability() == "AVX2"):
        return False
    if dtype is torch.bfloat16:
        return _wide() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype is torch.float32


@cache
def _wide() -> bool:
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


__all__ = ["Linear", "attention", "plain_products", "product"]
