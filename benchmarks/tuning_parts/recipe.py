"""Against the common LoRA recipe for CogVideoX, on the same base, clips, batch and steps.

The recipe does what diffusers' own example does: peft LoRA with both factors trained on the
attention's projections, latents encoded once before the first step, instructions encoded in every
step, accelerate, AdamW, cosine with restarts, v-prediction weighted by 1 / (1 - alpha_bar), all of
it in float32, which is its default. Its rows in bfloat16 are the example with --mixed_precision
bf16: every part, latents and factors in bfloat16, under autocast.
End to end means from loading the clips to the last step. Each then gives the same validation clips
to the same validation loss, before and after; a turn has its own seed for factors and draws.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig

from goals import Goal
from ophora_model.base import Base
from ophora_model.latents import CachedClip, ClipSource
from ophora_model.training import train, validation_loss
from ophora_model.video import read_frames
from tuning_parts.material import BATCH, adapter_on, cached, films, fresh_base, plan

LEAST_FASTER = 1.5
_RANK = 64  # of the example's command line
_RATE = 1e-3  # of the example's command line


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """CPU seconds of all steps, end to end, and the validation loss afterwards."""

    spent_s: float
    loss: float


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Each trains on the same clips, in turns; clips that none has seen judge them."""
    steps, turns = (12, 1) if quick else (240, 3)
    seen = films(folder / "seen", number=8 if quick else 32, seed=seed)
    unseen = films(folder / "unseen", number=4 if quick else 16, seed=seed + 1)
    judged = cached(fresh_base(), unseen)
    before = validation_loss(fresh_base(), judged)
    ours, theirs, halved = [], [], []
    for turn in range(turns):
        ours.append(_ours(seen, judged, steps, turn))
        theirs.append(_theirs(seen, judged, steps, turn, torch.float32))
        halved.append(_theirs(seen, judged, steps, turn, torch.bfloat16))
    return _goals(_of_turns(ours), _of_turns(theirs), _of_turns(halved), before, steps, turns)


def _of_turns(outcomes: Sequence[Outcome]) -> Outcome:
    """The least time, as the machine has other work; the mean loss, as draws differ by 1 %."""
    return Outcome(
        spent_s=min(outcome.spent_s for outcome in outcomes),
        loss=statistics.fmean(outcome.loss for outcome in outcomes),
    )


def _goals(
    ours: Outcome, theirs: Outcome, halved: Outcome, before: float, steps: int, turns: int
) -> list[Goal]:
    return [
        Goal(
            what="steps a second over the recipe's, end to end",
            measured=theirs.spent_s / ours.spent_s,
            samples=steps,
            at_least=LEAST_FASTER,
        ),
        Goal(
            what="validation loss over the recipe's",
            measured=ours.loss / theirs.loss,
            samples=turns,
            at_most=1.0,
        ),
        Goal(
            what="steps a second over the recipe's in bfloat16, end to end",
            measured=halved.spent_s / ours.spent_s,
            samples=steps,
        ),
        Goal(
            what="validation loss over the recipe's in bfloat16",
            measured=ours.loss / halved.loss,
            samples=turns,
        ),
        Goal(what="steps a CPU second, ours", measured=steps / ours.spent_s, samples=steps),
        Goal(what="steps a CPU second, recipe", measured=steps / theirs.spent_s, samples=steps),
        Goal(what="validation loss before", measured=before, samples=turns),
        Goal(what="validation loss, ours", measured=ours.loss, samples=turns),
        Goal(what="validation loss, recipe", measured=theirs.loss, samples=turns),
    ]


def _ours(sources: list[ClipSource], judged: list[CachedClip], steps: int, seed: int) -> Outcome:
    base = fresh_base()
    start_s = time.process_time()
    clips = cached(base, sources)
    adapter = adapter_on(base, seed=seed)
    train(base, adapter, clips, plan(steps=steps, seed=seed))
    spent_s = time.process_time() - start_s
    return Outcome(spent_s=spent_s, loss=validation_loss(base, judged))


def _theirs(
    sources: list[ClipSource],
    judged: list[CachedClip],
    steps: int,
    seed: int,
    dtype: torch.dtype,
) -> Outcome:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from diffusers.optimization import get_scheduler

    AcceleratorState._reset_state()  # one precision a process otherwise
    torch.manual_seed(seed)
    base = fresh_base()
    start_s = time.process_time()
    transformer = base.transformer
    assert transformer is not None
    assert base.vae is not None
    assert base.text is not None
    if dtype != torch.float32:
        for part in (transformer, base.vae, base.text._encoder):
            part.to(dtype)
    transformer.add_adapter(
        LoraConfig(
            r=_RANK,
            lora_alpha=_RANK,
            init_lora_weights=True,
            target_modules=["to_k", "to_q", "to_v", "to_out.0"],
        )
    )
    trained = [weight for weight in transformer.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=_RATE, betas=(0.9, 0.95), weight_decay=1e-4)
    schedule = get_scheduler(
        "cosine_with_restarts", optimizer, num_warmup_steps=0, num_training_steps=steps
    )
    accelerator = Accelerator(cpu=True, mixed_precision="bf16" if dtype == torch.bfloat16 else "no")
    denoiser, optimizer, schedule = accelerator.prepare(transformer, optimizer, schedule)
    posteriors = [_posterior(base, source) for source in sources]
    rng = np.random.default_rng(seed)
    for step in range(steps):
        if step * BATCH % len(sources) == 0:
            order = rng.permutation(len(sources))
        at = step * BATCH % len(sources)
        picked = [int(index) for index in order[at : at + BATCH]]
        loss = _recipe_loss(
            base, denoiser, [posteriors[i] for i in picked], [sources[i] for i in picked]
        )
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    spent_s = time.process_time() - start_s
    return Outcome(spent_s=spent_s, loss=validation_loss(base, judged))


@torch.no_grad()
def _posterior(base: Base, source: ClipSource) -> object:
    preset = base.preset
    frames = read_frames(
        source.path, frames=preset.frames, height=preset.height, width=preset.width, fps=preset.fps
    )
    pixels = torch.from_numpy(frames).float() / 127.5 - 1
    assert base.vae is not None
    return base.vae.encode(pixels.permute(3, 0, 1, 2)[None].to(base.vae.dtype)).latent_dist


def _recipe_loss(
    base: Base, denoiser: Any, posteriors: list, sources: list[ClipSource]
) -> torch.Tensor:
    scheduler, scaling = base.scheduler, float(base.vae.config["scaling_factor"])
    latent = torch.cat([posterior.sample() for posterior in posteriors]) * scaling
    clean = latent.permute(0, 2, 1, 3, 4).contiguous()
    prompt = base.encode_text([source.instruction for source in sources]).to(clean.dtype)
    noise = torch.randn_like(clean)
    times = torch.randint(0, int(scheduler.config["num_train_timesteps"]), (len(sources),))
    noisy = scheduler.add_noise(clean, noise, times)
    output = denoiser(
        hidden_states=noisy, encoder_hidden_states=prompt, timestep=times, return_dict=False
    )[0]
    guess = scheduler.get_velocity(output, noisy, times)
    weight = (1 / (1 - scheduler.alphas_cumprod[times])).view(-1, 1, 1, 1, 1)
    return (weight * (guess - clean) ** 2).reshape(len(sources), -1).mean(dim=1).mean()
