"""The objective is the paper's: its weighted error of the latent equals the plain error of v."""

import torch

from ophora_model.objective import diffusion_loss, drop_captions


def test_weighted_latent_error_equals_velocity_error(tiny_base):
    clean = torch.randn(2, 3, 8, 16, 24, generator=torch.Generator().manual_seed(1))
    seen = {}

    class ZeroVelocity:
        config = tiny_base.transformer.config

        def __call__(self, *, hidden_states, timestep, **_):
            seen["timestep"], seen["noisy"] = timestep, hidden_states
            return (torch.zeros_like(hidden_states),)

    loss = diffusion_loss(
        ZeroVelocity(), tiny_base.scheduler, clean, torch.zeros(2, 32, 384),
        torch.Generator().manual_seed(2),
    )  # fmt: skip
    alpha = tiny_base.scheduler.alphas_cumprod.float()[seen["timestep"]].view(-1, 1, 1, 1, 1)
    noise = (seen["noisy"] - alpha.sqrt() * clean) / (1 - alpha).sqrt()
    velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    assert torch.allclose(loss, velocity.square().mean(), rtol=1e-3)


def test_caption_dropout_puts_the_empty_prompt_in_the_share_of_rows():
    prompt, empty = torch.ones(4000, 1, 1), torch.zeros(1, 1)
    dropped = drop_captions(prompt, empty, 0.25, torch.Generator().manual_seed(0))
    assert 0.22 < 1 - float(dropped.mean()) < 0.28
