"""The paper's objective: v-prediction, squared error of the latent over 1 - alpha_bar.

Timesteps are uniform over the schedule. A share of the instructions is replaced by the empty one,
so that classifier-free guidance has an unconditional branch (the released code has none).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffusers import CogVideoXDPMScheduler


def diffusion_loss(
    transformer: Any,
    scheduler: CogVideoXDPMScheduler,
    clean_BTCHW: Tensor,
    prompt_BLD: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Mean over the batch of the weighted loss, a scalar. `clean` is a scaled latent.

    The weight makes it equal to the plain squared error of v (paper section 3.2).
    """
    batch = clean_BTCHW.shape[0]
    steps = int(scheduler.config["num_train_timesteps"])
    timesteps = torch.randint(0, steps, (batch,), generator=generator).to(clean_BTCHW.device)
    noise = torch.randn(clean_BTCHW.shape, generator=generator).to(clean_BTCHW)
    noisy = scheduler.add_noise(clean_BTCHW, noise, timesteps)
    velocity = transformer(
        hidden_states=noisy,
        encoder_hidden_states=prompt_BLD,
        timestep=timesteps,
        return_dict=False,
    )[0].float()
    guess = scheduler.get_velocity(velocity, noisy, timesteps)
    alpha_bar = scheduler.alphas_cumprod.to(clean_BTCHW)[timesteps]
    weight = 1 / (1 - alpha_bar)
    error: Tensor = (guess - clean_BTCHW).square().flatten(1).mean(dim=1)
    loss: Tensor = (weight * error).mean()
    return loss


def drop_captions(
    prompt_BLD: Tensor, unconditional_LD: Tensor, share: float, generator: torch.Generator
) -> Tensor:
    """Replaces each row with the unconditional embedding with probability `share`."""
    drop = torch.rand(prompt_BLD.shape[0], generator=generator) < share
    return torch.where(drop[:, None, None].to(prompt_BLD.device), unconditional_LD, prompt_BLD)
