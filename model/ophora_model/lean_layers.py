"""Layers of lean passes: block, attention, GELU, adapted linear, for diffusers' and peft's.

Each gives what the layer that it replaces gives; lean.py says where bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu, linear, scaled_dot_product_attention

_SHORT = 1024  # tokens; scores of all pairs are held for the backward pass of one layer


def gelu_by_table(given: Tensor) -> Tensor:
    """GELU with tanh of a bfloat16 tensor, bit for bit torch's own, in half its time."""
    made: Tensor = _TableGelu.apply(given)  # type: ignore[no-untyped-call]
    return made


def adapted_forward(layer: Any, name: str, compute: torch.dtype) -> Callable[[Tensor], Tensor]:
    """A forward of peft's layer for x W^T + b + scale x A^T B^T: gradients of x and B alone.

    Where B is a stand-in at the time of a call (patient_gradients.py), that call is peft's own.
    """
    own, base, scale = layer.forward, layer.get_base_layer(), float(layer.scaling[name])

    def forward(x: Tensor) -> Tensor:
        down, up = layer.lora_A[name], layer.lora_B[name]
        if type(up) is not nn.Linear:
            made: Tensor = own(x)
            return made
        made = _AdaptedLinear.apply(  # type: ignore[no-untyped-call]
            x, base.weight, base.bias, down.weight, up.weight, scale, compute
        )
        return made

    return forward


def block_forward(block: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    """diffusers' forward of a CogVideoX block, in place on one copy where no gradient is wanted."""
    own = block.forward

    def forward(
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        image_rotary_emb: Any = None,
        attention_kwargs: dict[str, Any] | None = None,
    ) -> tuple[Tensor, Tensor]:
        others = (image_rotary_emb, attention_kwargs)  # checkpointing gives them by position
        if torch.is_grad_enabled():
            made: tuple[Tensor, Tensor] = own(hidden_states, encoder_hidden_states, temb, *others)
            return made
        text = encoder_hidden_states.shape[1]
        both_BLD = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        normed_BLD, gate, text_gate = _modulated(block.norm1, both_BLD, temb, text)
        pixels, words = block.attn1(
            hidden_states=normed_BLD[:, text:],
            encoder_hidden_states=normed_BLD[:, :text],
            image_rotary_emb=image_rotary_emb,
            **(attention_kwargs or {}),
        )
        both_BLD[:, text:].add_(gate * pixels)
        both_BLD[:, :text].add_(text_gate * words)
        normed_BLD, gate, text_gate = _modulated(block.norm2, both_BLD, temb, text)
        fed_BLD = block.ff(normed_BLD)
        both_BLD[:, text:].add_(fed_BLD[:, text:].mul_(gate))
        both_BLD[:, :text].add_(fed_BLD[:, :text].mul_(text_gate))
        return both_BLD[:, text:], both_BLD[:, :text]

    return forward


class LeanAttention:
    """diffusers' processor for CogVideoX with fixed positions, without a mask."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: None = None,
        image_rotary_emb: None = None,
    ) -> tuple[Tensor, Tensor]:
        """Attended hidden states of pixels and of text."""
        assert attention_mask is None
        assert image_rotary_emb is None
        text = encoder_hidden_states.shape[1]
        both_BLD = _joined(encoder_hidden_states, hidden_states)
        query, key, value = (
            project(both_BLD).unflatten(-1, (attn.heads, -1))
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        # normed while [B, L, heads, width] still lies in one piece
        query, key = attn.norm_q(query).transpose(1, 2), attn.norm_k(key).transpose(1, 2)
        value = value.transpose(1, 2)
        if torch.is_grad_enabled() and both_BLD.shape[1] <= _SHORT:
            mixed = _ShortAttention.apply(query, key, value)  # type: ignore[no-untyped-call]
        else:
            mixed = scaled_dot_product_attention(query, key, value)
        made = attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(2)))
        return made[:, text:], made[:, :text]


def _modulated(norm: Any, both_BLD: Tensor, temb: Tensor, text: int) -> tuple[Tensor, ...]:
    """Normed, scaled and shifted by the time; gates of pixels and of text."""
    parts = norm.linear(norm.silu(temb))[:, None].chunk(6, dim=-1)
    shift, scale, gate, text_shift, text_scale, text_gate = parts
    normed_BLD = norm.norm(both_BLD)
    normed_BLD[:, text:].mul_(1 + scale).add_(shift)
    normed_BLD[:, :text].mul_(1 + text_scale).add_(text_shift)
    return normed_BLD, gate, text_gate


def _joined(text_BLD: Tensor, pixels_BLD: Tensor) -> Tensor:
    if torch.is_grad_enabled():
        return torch.cat([text_BLD, pixels_BLD], dim=1).to(torch.bfloat16)
    batch, text, width = text_BLD.shape
    both_BLD = text_BLD.new_empty((batch, text + pixels_BLD.shape[1], width), dtype=torch.bfloat16)
    both_BLD[:, :text], both_BLD[:, text:] = text_BLD, pixels_BLD
    return both_BLD


class _TableGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor) -> Tensor:
        ctx.save_for_backward(given)
        return _look_up(_gelu_tables()[0], given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (given,) = ctx.saved_tensors
        slope = _look_up(_gelu_tables()[1], given)
        return slope.mul_(gradient).to(gradient.dtype)


class _AdaptedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
        compute: torch.dtype,
    ) -> Tensor:
        rows = x.to(compute).reshape(-1, x.shape[-1])
        weight, down, narrow = weight.to(compute), down.to(compute), up.to(compute)
        inner = rows @ down.t()
        made = linear(rows, weight, None if bias is None else bias.to(compute))
        made.addmm_(inner, narrow.t(), alpha=scale)
        ctx.save_for_backward(inner, weight, down, narrow)
        ctx.scale, ctx.x, ctx.up = scale, (x.shape, x.dtype), up.dtype
        return made.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inner, weight, down, up = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        of_up = (rows.t() @ inner).to(ctx.up).mul_(ctx.scale)
        if not ctx.needs_input_grad[0]:
            return None, None, None, None, of_up, None, None
        of_x = (rows @ weight).addmm_(rows @ up, down, alpha=ctx.scale)
        shape, dtype = ctx.x
        return of_x.view(shape).to(dtype), None, None, None, of_up, None, None


class _ShortAttention(torch.autograd.Function):
    """torch's forward pass; the backward one from all pairs' scores, which short texts afford."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        return scaled_dot_product_attention(query, key, value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = ctx.saved_tensors
        scale = query.shape[-1] ** -0.5
        share = (query * scale @ key.transpose(-1, -2)).softmax(-1)
        of_value = share.transpose(-1, -2) @ gradient
        of_scores = torch._softmax_backward_data(
            gradient @ value.transpose(-1, -2), share, -1, share.dtype
        )
        of_query = of_scores @ key * scale
        of_key = of_scores.transpose(-1, -2) @ query * scale
        return of_query, of_key, of_value


@lru_cache(maxsize=1)
def _gelu_tables() -> tuple[Tensor, Tensor]:
    """GELU and its slope (float32) at every bfloat16, by its bits."""
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    wide = every.float().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(gelu(wide, approximate="tanh").sum(), wide)
    return gelu(every, approximate="tanh"), slope


def _look_up(table: Tensor, given: Tensor) -> Tensor:
    bits = given.contiguous().view(torch.uint16).to(torch.int32)
    return table.index_select(0, bits.flatten()).view(given.shape)
