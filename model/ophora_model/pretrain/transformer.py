"""Trains the tiny denoiser on generic procedural motion, given the autoencoder of `vae.py`.

    python -m ophora_model.pretrain.transformer --vae DIR --out DIR [--steps 3400] [--seed 11]

Draws captioned clips, encodes them once, trains `CogVideoXTransformer3DModel` with the package's
own objective and writes a complete base folder (transformer/, vae/, scheduler/) in float16: the
exponential average of the weights, and the autoencoder with its scaling factor measured.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDPMScheduler, CogVideoXTransformer3DModel
from torch import Tensor

from ophora_model.objective import diffusion_loss, drop_captions
from ophora_model.presets import find_preset
from ophora_model.pretrain.motion import draw_clip
from ophora_model.text import load_text_encoder
from ophora_model.video import Frames

BATCH = 16
EMA_DECAY = 0.999
CAPTION_DROPOUT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Scaled latents [N, T, C, H, W] and prompts [N, L, D], float16; the empty prompt [L, D]."""

    latents: Tensor
    prompts: Tensor
    empty: Tensor


def build_transformer() -> CogVideoXTransformer3DModel:
    """The untrained denoiser, float32: 6 layers of 4 heads of 48 over latents [3, 8, 16, 24]."""
    return CogVideoXTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=48,
        in_channels=8,
        out_channels=8,
        num_layers=6,
        time_embed_dim=128,
        text_embed_dim=384,
        max_text_seq_length=find_preset("tiny").text_length,
        sample_width=24,
        sample_height=16,
        sample_frames=9,
        patch_size=2,
        temporal_compression_ratio=4,
        use_rotary_positional_embeddings=False,
    )


def build_scheduler() -> CogVideoXDPMScheduler:
    """CogVideoX's schedule without its shift: small latents need less noise than large ones."""
    return CogVideoXDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=1.0,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def _draw(seed: tuple[int, int]) -> tuple[Frames, str]:
    clip = draw_clip(np.random.default_rng(seed))
    return clip.frames, clip.caption


@torch.no_grad()
def build_corpus(vae: AutoencoderKLCogVideoX, size: int, seed: int, workers: int) -> Corpus:
    """Draws `size` captioned clips in a process pool and encodes them; sets the scaling factor."""
    preset = find_preset("tiny")
    text = load_text_encoder(preset, Path(), torch.float32)
    latents, prompts = [], []
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        drawn = pool.imap(_draw, ((seed, index) for index in range(size)), chunksize=16)
        for start in range(0, size, 8):
            batch = [next(drawn) for _ in range(min(8, size - start))]
            pixels = torch.from_numpy(np.stack([frames for frames, _ in batch])).float() / 127.5 - 1
            with torch.autocast("cpu", torch.bfloat16):
                posterior = vae.encode(pixels.permute(0, 4, 1, 2, 3)).latent_dist
            latents.append(posterior.mean.permute(0, 2, 1, 3, 4).half())
            prompts.append(text.encode([caption for _, caption in batch]).half())
            if start % 400 == 0:
                print(json.dumps({"encoded": start}), flush=True)
    stacked = torch.cat(latents)
    scaling = 1.0 / float(stacked.float().std())
    vae.register_to_config(scaling_factor=scaling)
    empty = text.encode([""])[0].half()
    return Corpus(latents=stacked * scaling, prompts=torch.cat(prompts), empty=empty)


def save_base(
    out: Path, vae: AutoencoderKLCogVideoX, transformer: CogVideoXTransformer3DModel
) -> None:
    """Writes the folder that `load_base` reads, weights in float16."""
    transformer.half().save_pretrained(out / "transformer")
    vae.register_to_config(_name_or_path="tiny")  # else the folder it was read from
    vae.half().save_pretrained(out / "vae")
    build_scheduler().save_pretrained(out / "scheduler")
    transformer.float()
    vae.float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3400)
    parser.add_argument("--clips", type=int, default=6000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    vae = AutoencoderKLCogVideoX.from_pretrained(options.vae).eval().requires_grad_(False)
    began = time.monotonic()
    corpus = build_corpus(vae, options.clips, options.seed, options.workers)
    transformer, average = build_transformer(), build_transformer()
    average.load_state_dict(transformer.state_dict())
    optimizer = torch.optim.AdamW(transformer.parameters(), lr=1.2e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.2e-3, total_steps=options.steps, pct_start=0.04
    )
    scheduler, generator = build_scheduler(), torch.Generator().manual_seed(options.seed)
    losses: list[float] = []
    for step in range(1, options.steps + 1):
        rows = torch.randint(0, len(corpus.latents), (BATCH,), generator=generator)
        prompt = corpus.prompts[rows].float()
        prompt = drop_captions(prompt, corpus.empty.float(), CAPTION_DROPOUT, generator)
        with torch.autocast("cpu", torch.bfloat16):
            clean = corpus.latents[rows].float()
            loss = diffusion_loss(transformer, scheduler, clean, prompt, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(transformer.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        decay = min(EMA_DECAY, step / (step + 20))
        with torch.no_grad():
            for kept, fresh in zip(average.parameters(), transformer.parameters(), strict=True):
                kept.lerp_(fresh, 1 - decay)
        losses.append(float(loss.detach()))
        if step % 50 == 0:
            recent, seconds = float(np.mean(losses[-50:])), time.monotonic() - began
            line = {"step": step, "loss": round(recent, 4), "seconds": round(seconds)}
            print(json.dumps(line), flush=True)
        if step % 500 == 0 or step == options.steps:
            save_base(options.out, vae, average)


if __name__ == "__main__":
    main()
