"""Matrix products of a forward pass, given to the library that is fastest on the processor at hand.

PyTorch gives float32 products to MKL, which uses half the width of AVX-512 on processors not by Intel. oneDNN, which
PyTorch carries too and uses for bfloat16, uses all of it: twice as fast, and equal to rounding. Only without gradients
and outside autocast; `plain_products` turns it off.
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
"""Frames from which on attention head by head is faster than PyTorch's kernel."""

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

    With `attend`, each utterance's own frames must come first. What padding attends to is not defined.
    """
    batch, heads, frames, dim = q.shape
    if dropout or frames < _LONG or not _in_onednn(q, k):
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=attend, dropout_p=dropout)
        return y.transpose(1, 2).reshape(batch, frames, heads * dim)
    lengths = [frames] * batch if attend is None else attend[:, 0, 0].sum(1).tolist()
    out = q.new_zeros(batch, frames, heads, dim)
    q = (q * dim**-0.5).contiguous()
    k = k.contiguous()
    for i, n in enumerate(lengths):
        values = v[i, :, :n].transpose(1, 2).contiguous()
        for head in range(heads):
            # A head at a time, so that its scores stay in the processor's cache.
            scores = _linear(q[i, head, :n], k[i, head, :n], None)
            out[i, :n, head] = _linear(torch.softmax(scores, dim=-1), values[head], None)
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
    """Whether this PyTorch and processor have oneDNN's products in a type, and faster than its other ones."""
    operation: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if operation is None or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    if dtype is torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype is torch.float32


__all__ = ["Linear", "attention", "plain_products", "product"]
