"""The paper's objective: v-prediction, squared error of the latent over 1 - alpha_bar.

Timesteps come from timesteps.py or are uniform over the schedule. A share of the instructions is
replaced by the empty one, so that classifier-free guidance has an unconditional branch (the
released code has none).
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

    Timesteps are uniform and, like the noise, drawn from `generator` for the whole batch at once.
    """
    batch = clean_BTCHW.shape[0]
    steps = int(scheduler.config["num_train_timesteps"])
    timesteps = torch.randint(0, steps, (batch,), generator=generator).to(clean_BTCHW.device)
    noise = torch.randn(clean_BTCHW.shape, generator=generator).to(clean_BTCHW)
    losses = denoising_losses(transformer, scheduler, clean_BTCHW, prompt_BLD, noise, timesteps)
    mean: Tensor = losses.mean()
    return mean


def denoising_losses(
    transformer: Any,
    scheduler: CogVideoXDPMScheduler,
    clean_BTCHW: Tensor,
    prompt_BLD: Tensor,
    noise_BTCHW: Tensor,
    timesteps_B: Tensor,
) -> Tensor:
    """The weighted loss of every clip, [B]: squared error of the latent over 1 - alpha_bar.

    The weight makes it equal to the plain squared error of v (paper section 3.2).
    """
    noisy = scheduler.add_noise(clean_BTCHW, noise_BTCHW, timesteps_B)
    velocity = transformer(
        hidden_states=noisy,
        encoder_hidden_states=prompt_BLD,
        timestep=timesteps_B,
        image_rotary_emb=rotary_embedding(transformer, clean_BTCHW),
        return_dict=False,
    )[0].float()
    guess = scheduler.get_velocity(velocity, noisy, timesteps_B)
    alpha_bar = scheduler.alphas_cumprod.to(clean_BTCHW)[timesteps_B]
    weight = 1 / (1 - alpha_bar)
    error: Tensor = (guess - clean_BTCHW).square().flatten(1).mean(dim=1)
    losses: Tensor = weight * error
    return losses


def rotary_embedding(transformer: Any, latent_BTCHW: Tensor) -> tuple[Tensor, Tensor] | None:
    """Cosines and sines of the places of a latent for bases that turn queries and keys (5b).

    None for bases that add fixed positions (tiny, 2b).
    """
    config = transformer.config
    if not config.use_rotary_positional_embeddings:
        return None
    from diffusers.models.embeddings import get_3d_rotary_pos_embed
    from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

    patch = config.patch_size
    frames, _, height, width = latent_BTCHW.shape[1:]
    grid = (height // patch, width // patch)
    crop = get_resize_crop_region_for_grid(
        grid, config.sample_width // patch, config.sample_height // patch
    )
    cosines, sines = get_3d_rotary_pos_embed(
        embed_dim=config.attention_head_dim,
        crops_coords=crop,
        grid_size=grid,
        temporal_size=frames,
        device=latent_BTCHW.device,
    )
    return cosines, sines


def drop_captions(
    prompt_BLD: Tensor, unconditional_LD: Tensor, share: float, generator: torch.Generator
) -> Tensor:
    """Replaces each row with the unconditional embedding with probability `share`."""
    drop = torch.rand(prompt_BLD.shape[0], generator=generator) < share
    return torch.where(drop[:, None, None].to(prompt_BLD.device), unconditional_LD, prompt_BLD)
