"""Lean passes: the denoiser's own arithmetic with fewer passes over memory, for a while.

diffusers and peft spend time beside the arithmetic. Under autocast every frozen weight is cast anew
in each pass; GELU's tanh is computed per element though bfloat16 has 65,536 values; blocks copy
text and pixels apart and together; an adapter goes over the whole output several times; and on a
processor attention's backward pass costs several times its forward one. Inside `lean` the frozen
weights lie in the type that products run in, and lean_layers.py's layers take their place.

Without an adapter the forward pass is the same bit for bit. With one, and in every backward pass,
it is the same up to the rounding of `compute`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from ophora_model.lean_layers import LeanAttention, adapted_forward, block_forward, gelu_by_table

if TYPE_CHECKING:
    from diffusers import CogVideoXTransformer3DModel

_ALIGNED = 32  # elements between beginnings of weights: 64 bytes or more


@contextmanager
def lean(transformer: CogVideoXTransformer3DModel, compute: torch.dtype) -> Iterator[None]:
    """The transformer's passes are lean inside, and its own again afterwards.

    `compute` is the type of matrix products, as `Base.compute`. Attach adapters before, not inside.
    One thread at a time, as for the transformer itself. A sharded one (sharding.py) stays as it is:
    its weights are not here.
    """
    if any(isinstance(weight, DTensor) for weight in transformer.parameters()):
        yield
        return
    with ExitStack() as changes:
        changes.enter_context(_held(_frozen(transformer), compute))
        for layer, name in _adapted(transformer):
            changes.enter_context(_put(layer, "forward", adapted_forward(layer, name, compute)))
        for block in transformer.transformer_blocks:
            changes.enter_context(_put(block, "forward", block_forward(block)))
        if compute == torch.bfloat16 and _device(transformer).type == "cpu":
            for layer in _gelus(transformer):
                changes.enter_context(_put(layer, "gelu", gelu_by_table))
            if not transformer.config["use_rotary_positional_embeddings"]:
                for attention in _attentions(transformer):
                    changes.enter_context(_put(attention, "processor", LeanAttention()))
        yield


@contextmanager
def _held(weights: list[nn.Parameter], dtype: torch.dtype) -> Iterator[None]:
    """Frozen weights in `dtype` for a while: what autocast would make of them at every use.

    They lie in one piece of memory, which a processor walks through with fewer misses.
    """
    kept = [(weight, weight.data) for weight in weights if weight.dtype != dtype]
    sizes = [-(-data.numel() // _ALIGNED) * _ALIGNED for _, data in kept]
    try:
        if kept:
            pieces = kept[0][1].new_empty(sum(sizes), dtype=dtype).split(sizes)
            for (weight, data), piece in zip(kept, pieces, strict=True):
                weight.data = piece[: data.numel()].view(data.shape).copy_(data)
        yield
    finally:
        for weight, data in kept:
            weight.data = data


@contextmanager
def _put(module: nn.Module, name: str, value: Any) -> Iterator[None]:
    """An attribute of a module in place of its own."""
    own = vars(module).get(name)
    setattr(module, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(module, name)
        else:
            setattr(module, name, own)


def _frozen(transformer: nn.Module) -> list[nn.Parameter]:
    """Weights that autocast would cast: those of products, not of norms."""
    products = [each for each in transformer.modules() if isinstance(each, nn.Linear | nn.Conv2d)]
    weights = [weight for each in products for weight in each.parameters(recurse=False)]
    return [weight for weight in weights if not weight.requires_grad]


def _adapted(transformer: nn.Module) -> list[tuple[nn.Module, str]]:
    """Layers with one adapter of the plain kind, and its name; others stay peft's."""
    from peft.tuners.lora import Linear

    found: list[tuple[nn.Module, str]] = []
    for layer in transformer.modules():
        if not isinstance(layer, Linear) or layer.merged or layer.disable_adapters:
            continue
        names = [name for name in layer.active_adapters if name in layer.lora_A]
        if len(names) == 1 and _is_plain(layer, names[0]):
            found.append((layer, names[0]))
    return found


def _is_plain(layer: Any, name: str) -> bool:
    """A linear layer, no dropout, no bias, no variant, A frozen."""
    return (
        type(layer.get_base_layer()) is nn.Linear
        and name not in layer.lora_variant
        and isinstance(layer.lora_dropout[name], nn.Identity)
        and not layer.lora_bias[name]
        and not layer.lora_A[name].weight.requires_grad
    )


def _gelus(transformer: nn.Module) -> list[nn.Module]:
    from diffusers.models.activations import GELU

    modules = transformer.modules()
    return [each for each in modules if isinstance(each, GELU) and each.approximate == "tanh"]


def _attentions(transformer: nn.Module) -> list[nn.Module]:
    from diffusers.models.attention_processor import Attention, CogVideoXAttnProcessor2_0

    modules = transformer.modules()
    return [
        each
        for each in modules
        if isinstance(each, Attention) and type(each.processor) is CogVideoXAttnProcessor2_0
    ]


def _device(transformer: nn.Module) -> torch.device:
    first: Tensor = next(transformer.parameters())
    return first.device
