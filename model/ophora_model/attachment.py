"""Attachment: a verified adapter file on a loaded base, and whether it does anything there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ophora_model.adapter import Adapter, attach_adapter
from ophora_model.adapter_file import (
    AdapterFile,
    check_base,
    check_sizes,
    check_trained,
)
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.base import Base
from ophora_model.base_layout import BaseLayout
from ophora_model.errors import AdapterMismatch, BaseMissing
from ophora_model.stacking import widened


def attach_file(base: Base, adapter: AdapterFile) -> Adapter:
    """Attaches the adapter to the base in place, or raises `AdapterMismatch` before that."""
    return _attach(base, adapter, adapter.card.spec())


def stack_on_file(base: Base, adapter: AdapterFile, rank: int) -> tuple[AdapterSpec, Adapter]:
    """As `attach_file`, frozen, with a second adapter of `rank` on top, zero and to be trained.

    Also returns what the two are together: the spec of the file to write after training.
    """
    spec = adapter.card.spec().stacked(rank)
    return spec, _attach(base, adapter, spec)


def check_effect(base: Base, adapter: Adapter) -> float:
    """How far the attached adapter moves the base's output on one fixed small input, relative.

    Costs two passes over 16 latent patches; leaves the adapter as it was. Raises `AdapterMismatch`
    where the output does not move or is not finite.
    """
    kept = adapter.read()
    tuned = _probe(base)
    try:
        adapter.write({name: np.zeros_like(value) for name, value in kept.items()})
        bare = _probe(base)
    finally:
        adapter.write(kept)
    moved = float((tuned - bare).norm() / bare.norm())
    if not moved > 0 or not np.isfinite(moved):
        raise AdapterMismatch(
            f"adapter moves the base's output by {moved:g}: must be above 0 and finite;"
            " don't use it, fetch or tune it again"
        )
    return moved


def _attach(base: Base, adapter: AdapterFile, spec: AdapterSpec) -> Adapter:
    layout = BaseLayout.of_base(base)
    check_base(adapter.card, layout)
    check_trained(adapter)
    check_sizes(adapter, layout.layers)
    attached = attach_adapter(_transformer(base), spec)
    attached.write(widened(adapter.factors.up, spec))
    if adapter.card.seed is None:
        drawn = attached.read_frozen()
        for name, down in adapter.factors.down.items():
            drawn[name][: len(down)] = down
        attached.write_frozen(drawn)
    return attached


def _probe(base: Base) -> Tensor:
    transformer = _transformer(base)
    config: Any = transformer.config
    side = 4 * config.patch_size
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(1, 1, config.in_channels, side, side, generator=generator)
    prompt = torch.randn(1, config.max_text_seq_length, config.text_embed_dim, generator=generator)
    with torch.no_grad(), base.autocast():
        output: Tensor = transformer(
            hidden_states=latent.to(base.device, transformer.dtype),
            encoder_hidden_states=prompt.to(base.device, transformer.dtype),
            timestep=torch.tensor([500], device=base.device),
            return_dict=False,
        )[0]
    return output.float()


def _transformer(base: Base) -> Any:
    if base.transformer is None:
        raise BaseMissing("base was loaded without part 'transformer': load it with that part")
    return base.transformer
