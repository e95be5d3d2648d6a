"""Trains the tiny video autoencoder on generic procedural motion (`motion.py`).

    python -m ophora_model.pretrain.vae --out DIR [--steps 2400] [--seed 7]

The class is `AutoencoderKLCogVideoX` with three blocks, so it compresses 4 times in space and 4
times in time into 8 channels: at 9 x 64 x 96 a latent is [8, 3, 16, 24]. The objective is the
absolute error of pixels and of their differences plus a light KL term. It begins on single
frames, 16 to a batch, which reach in 150 steps the error that whole clips reach in 1,400, and
goes over to crops and whole clips.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from torch import Tensor

from ophora_model.pretrain.brush import HEIGHT, WIDTH
from ophora_model.pretrain.motion import draw_clip

KL_WEIGHT = 1e-4
EDGE_WEIGHT = 0.5
POOL = 512
RENEWED = 4  # clips of the pool that are drawn anew at each step


def build_vae() -> AutoencoderKLCogVideoX:
    """The untrained autoencoder, float32, in training mode."""
    return AutoencoderKLCogVideoX(
        block_out_channels=(16, 32, 48),
        down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3,
        latent_channels=8,
        layers_per_block=1,
        norm_num_groups=8,
        temporal_compression_ratio=4,
        sample_height=HEIGHT,
        sample_width=WIDTH,
        scaling_factor=1.0,
    )


def draw_batch(rng: np.random.Generator, size: int) -> Tensor:
    """[size, 3, 9, 64, 96] in -1..1."""
    frames = np.stack([draw_clip(rng).frames for _ in range(size)])
    return torch.from_numpy(frames).float().div(127.5).sub(1).permute(0, 4, 1, 2, 3).contiguous()


def choose_batch(pool: Tensor, done: float, rng: np.random.Generator) -> Tensor:
    """Frames, crops or whole clips of the pool; `done` is the share of the training behind us."""
    video = rng.random() < np.clip((done - 0.35) / 0.35, 0, 0.9)
    if not video:
        frame = int(rng.integers(pool.shape[2]))
        return pool[rng.integers(0, len(pool), 16), :, frame : frame + 1]
    if rng.random() < 0.5:
        top, left = int(rng.integers(HEIGHT // 2 + 1)), int(rng.integers(WIDTH // 2 + 1))
        crops = pool[rng.integers(0, len(pool), 8)]
        return crops[..., top : top + HEIGHT // 2, left : left + WIDTH // 2]
    return pool[rng.integers(0, len(pool), 2)]


def reconstruction_loss(made: Tensor, real: Tensor) -> Tensor:
    """Absolute error of pixels, and of their horizontal and vertical differences."""
    across = (made.diff(dim=-1) - real.diff(dim=-1)).abs().mean()
    down = (made.diff(dim=-2) - real.diff(dim=-2)).abs().mean()
    return (made - real).abs().mean() + EDGE_WEIGHT * (across + down)


def mean_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Divergence from the unit Gaussian in nats per latent element."""
    return 0.5 * (mean.float().square() + logvar.float().exp() - 1 - logvar.float()).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    vae = build_vae()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=2.5e-3, total_steps=options.steps, pct_start=0.04
    )
    pool = draw_batch(rng, POOL)
    began, losses = time.monotonic(), []
    for step in range(1, options.steps + 1):
        pool[rng.integers(0, POOL, RENEWED)] = draw_batch(rng, RENEWED)
        real = choose_batch(pool, step / options.steps, rng)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(real).latent_dist
            made = vae.decode(posterior.sample()).sample
        loss = reconstruction_loss(made.float(), real) + KL_WEIGHT * mean_kl(
            posterior.mean, posterior.logvar
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float((made.detach().float() - real).abs().mean()))
        if step % 50 == 0:
            recent = float(np.mean(losses[-50:]))
            seconds = time.monotonic() - began
            print(
                json.dumps({"step": step, "l1": round(recent, 4), "seconds": round(seconds)}),
                flush=True,
            )
        if step % 500 == 0 or step == options.steps:
            vae.save_pretrained(options.out)


if __name__ == "__main__":
    main()
