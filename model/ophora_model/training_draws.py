"""What is random about a step of training, keyed by where it stands: order, noise, captions.

(seed, epoch) -> order of the clips      (seed, step, pass, place) -> draws -> losses
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ophora_model.base import Base
from ophora_model.latents import CachedClip
from ophora_model.objective import denoising_losses
from ophora_model.timesteps import Interval, draw_timestep


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place of a batch with its draws, on the CPU."""

    clean_TCHW: Tensor
    noise_TCHW: Tensor
    prompt_LD: Tensor
    timestep: int


def draw_place(
    clip: CachedClip,
    key: str,
    base: Base,
    *,
    sampler: str,
    interval: Interval,
    caption_dropout: float = 0.0,
) -> Place:
    """The place's posterior, caption, timestep and noise, all from the key."""
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    clean = clip.clean(generator)
    dropped = float(torch.rand((), generator=generator)) < caption_dropout
    steps = int(base.scheduler.config["num_train_timesteps"])
    return Place(
        clean_TCHW=clean,
        timestep=draw_timestep(sampler, generator, steps=steps, interval=interval),
        noise_TCHW=torch.randn(clean.shape, generator=generator),
        prompt_LD=clip.unconditional_LD if dropped else clip.prompt_LD,
    )


def losses_of(base: Base, places: Sequence[Place]) -> Tensor:
    """The weighted loss of every place, [len(places)]."""
    device = base.device
    clean = torch.stack([place.clean_TCHW for place in places]).to(device)
    noise = torch.stack([place.noise_TCHW for place in places]).to(device)
    prompt = torch.stack([place.prompt_LD.float() for place in places]).to(device)
    times = torch.tensor([place.timestep for place in places], device=device)
    with base.autocast():
        return denoising_losses(base.transformer, base.scheduler, clean, prompt, noise, times)


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, num_clips: int) -> tuple[int, ...]:
    """Every clip once, in the order of this epoch."""
    rng = np.random.default_rng([seed, epoch])
    return tuple(int(index) for index in rng.permutation(num_clips))
