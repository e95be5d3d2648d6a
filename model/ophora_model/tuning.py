"""Tuning at one site in one round: DP-SGD by patient over the adapter's B factors.

Every step draws patients by independent coin flips, averages the loss over a few of each patient's
clips in one pass, clips that gradient, sums, adds noise once, and lets AdamW take the step. One
patient's clips share a pass, so a patient counts once however many clips there are.

Which patients and clips are drawn depends on a secret of the site: a coordinator that could predict
the draw would void the amplification that the accountant counts on.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ophora_model.adapter import Adapter
from ophora_model.base import Base
from ophora_model.errors import BaseMissing, Cancelled, NonFiniteLoss
from ophora_model.latents import CachedClip
from ophora_model.objective import diffusion_loss, drop_captions
from ophora_model.round_plan import RoundPlan
from ophora_privacy.mechanism import PatientSum, clip_gradient, sample_patients
from ophora_privacy.plan import PrivacyPlan

OnStep = Callable[[int, int, float], None]  # step, steps, loss: the loss stays at the site


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningResult:
    """Losses of the steps that drew a patient (identifiable: they stay at the site), and time."""

    losses: tuple[float, ...]
    steps: int
    seconds: float


def tune(
    base: Base,
    adapter: Adapter,
    clips: Sequence[CachedClip],
    plan: RoundPlan,
    privacy: PrivacyPlan,
    *,
    secret: bytes | None = None,
    on_step: OnStep | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> TuningResult:
    """Trains the adapter in place for `privacy.steps_per_round` steps.

    Guarantee: the result is the Gaussian mechanism of `privacy.event()` per patient. `secret` keys
    the draws, is never sent and must not be used for the same round twice: two runs that draw the
    same patients cost more than two independent ones. The privacy noise is always seeded by the
    operating system. Raises
    `NonFiniteLoss` at the first NaN or infinite loss and `Cancelled` between two steps.
    """
    if base.transformer is None:
        raise BaseMissing("base was loaded without part 'transformer': load it with that part")
    if plan.tuning.gradient_checkpointing:
        base.transformer.enable_gradient_checkpointing()
    began = time.monotonic()
    parameters = adapter.parameters()
    optimizer = torch.optim.AdamW(
        parameters,
        lr=plan.tuning.learning_rate,
        betas=(plan.tuning.beta1, plan.tuning.beta2),
        weight_decay=plan.tuning.weight_decay,
    )
    by_patient: dict[str, list[CachedClip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.clip_id):
        by_patient.setdefault(clip.patient_id, []).append(clip)
    noise_source = torch.Generator(device=base.device)
    noise_source.manual_seed(int.from_bytes(os.urandom(8), "big") >> 1)
    total = PatientSum([tuple(p.shape) for p in parameters], privacy, noise_source)
    key = secret if secret is not None else os.urandom(32)
    losses: list[float] = []
    for step in range(1, privacy.steps_per_round + 1):
        if cancelled is not None and cancelled():
            raise Cancelled(f"stopped at step {step - 1} of {privacy.steps_per_round}")
        draw, generator = _step_draws(key, plan, step)
        step_losses = []
        for patient in sample_patients(sorted(by_patient), privacy.sampling_rate, draw):
            picked = _pick(by_patient[patient], privacy.clips_per_patient, draw)
            loss = _patient_loss(base, picked, plan.tuning.caption_dropout, generator)
            step_losses.append(_finite(loss, step))
            total.add(clip_gradient(torch.autograd.grad(loss, parameters), privacy.clip_norm))
        for parameter, mean in zip(parameters, total.noisy_mean(), strict=True):
            parameter.grad = mean
        _warm_up(optimizer, plan, step)
        optimizer.step()
        losses.extend([float(np.mean(step_losses))] if step_losses else [])
        if on_step is not None:
            on_step(step, privacy.steps_per_round, losses[-1] if losses else math.nan)
    return TuningResult(
        losses=tuple(losses), steps=privacy.steps_per_round, seconds=time.monotonic() - began
    )


def _patient_loss(
    base: Base, clips: Sequence[CachedClip], dropout: float, generator: torch.Generator
) -> Tensor:
    clean = torch.stack([clip.clean(generator) for clip in clips]).to(base.device)
    prompt = torch.stack([clip.prompt_LD for clip in clips]).float().to(base.device)
    empty = clips[0].unconditional_LD.float().to(base.device)
    prompt = drop_captions(prompt, empty, dropout, generator)
    with base.autocast():
        return diffusion_loss(base.transformer, base.scheduler, clean, prompt, generator)


def _step_draws(
    key: bytes, plan: RoundPlan, step: int
) -> tuple[np.random.Generator, torch.Generator]:
    text = f"{plan.run_id}/{plan.stage}/{plan.round}/{step}".encode()
    seed = int.from_bytes(hashlib.sha256(key + text).digest()[:16], "big")
    generator = torch.Generator()
    generator.manual_seed(seed >> 65)
    return np.random.default_rng(seed), generator


def _pick(clips: list[CachedClip], most: int, draw: np.random.Generator) -> list[CachedClip]:
    if len(clips) <= most:
        return clips
    return [clips[int(i)] for i in draw.choice(len(clips), most, replace=False)]


def _finite(loss: Tensor, step: int) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise NonFiniteLoss(f"loss at step {step} is {value}: lower tuning.learning_rate")
    return value


def _warm_up(optimizer: torch.optim.Optimizer, plan: RoundPlan, step: int) -> None:
    share = min(1.0, step / max(1, plan.tuning.warmup_steps))
    for group in optimizer.param_groups:
        group["lr"] = plan.tuning.learning_rate * share
