"""Tuning at one site in one round: DP-SGD by patient over the adapter's B factors.

    secret, step -> patients by coin flips -> clips and draws of each -> a gradient a patient
        -> each clipped, summed -> noise once -> AdamW or SGD -> average of the iterates

A patient's gradient is that of the mean loss over a few of the patient's clips and over several
draws of noise for each, so a patient counts once however many clips and draws there are.

Which patients and clips are drawn depends on a secret of the site: a coordinator that could predict
the draw would void the amplification that the accountant counts on. What is drawn for one patient
depends on no other patient.
"""

from __future__ import annotations

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
from ophora_model.lean import lean
from ophora_model.local_optimizer import local_optimizer
from ophora_model.patient_draws import PatientDraws
from ophora_model.patient_gradients import PatientGradients, Places
from ophora_model.proximal import Proximal
from ophora_model.round_plan import RoundPlan
from ophora_model.strict import check_number
from ophora_privacy.mechanism import PatientSum, clip_gradients
from ophora_privacy.performance import PerformanceSettings
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
    performance: PerformanceSettings | None = None,
    average_decay: float = 0.0,
    on_step: OnStep | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> TuningResult:
    """Trains the adapter in place for `privacy.steps_per_round` steps.

    Guarantee: the result is the Gaussian mechanism of `privacy.event()` per patient, whatever
    `performance` and `average_decay` are. `secret` keys the draws, is never sent and
    must not be used for the same round twice: two runs that draw the same patients cost more than
    two independent ones. The privacy noise is always seeded by the operating system.

    Timesteps are uniform over the plan's interval. With an `average_decay` above 0 the adapter ends
    as the mean of its iterates, which forgets at that rate once it has seen 1 / (1 - decay) of
    them; the iterates are private already, so this costs nothing.

    Raises `NonFiniteLoss` at the first NaN or infinite loss, `Cancelled` between two steps,
    `PlanInvalid` for a decay outside [0, 1] and `PatientsMiscounted`, before any noise is added,
    where a step has not one gradient for each patient drawn.
    """
    if base.transformer is None:
        raise BaseMissing("base was loaded without part 'transformer': load it with that part")
    check_number("average_decay", average_decay, low=0, high=1)
    if plan.tuning.gradient_checkpointing:
        base.transformer.enable_gradient_checkpointing()
    else:
        base.transformer.disable_gradient_checkpointing()
    began = time.monotonic()
    settings = performance or PerformanceSettings()
    gradients = PatientGradients(base, adapter, settings)
    key = secret if secret is not None else os.urandom(32)
    draws = PatientDraws(
        base, clips, plan, privacy, secret=key, draws_per_clip=settings.draws_per_clip
    )
    descent = _Descent(base, adapter, plan, privacy, average_decay)
    losses: list[float] = []
    with lean(base.transformer, base.compute):  # whichever path the gradients take
        for step in range(1, privacy.steps_per_round + 1):
            if cancelled is not None and cancelled():
                raise Cancelled(f"stopped at step {step - 1} of {privacy.steps_per_round}")
            patients = [draws.places(step, patient) for patient in draws.patients(step)]
            found = descent.step(step, gradients, patients)
            losses.extend([float(np.mean(found))] if found else [])
            if on_step is not None:
                on_step(step, privacy.steps_per_round, losses[-1] if losses else math.nan)
    descent.write_average()
    return TuningResult(
        losses=tuple(losses), steps=privacy.steps_per_round, seconds=time.monotonic() - began
    )


class _Descent:
    """Steps on noisy means, and the mean of where they have been."""

    def __init__(
        self, base: Base, adapter: Adapter, plan: RoundPlan, privacy: PrivacyPlan, decay: float
    ) -> None:
        self._plan, self._privacy, self._decay = plan, privacy, decay
        self._parameters = adapter.parameters()
        self._optimizer = local_optimizer(self._parameters, plan.tuning)
        noise_source = torch.Generator(device=base.device)
        noise_source.manual_seed(int.from_bytes(os.urandom(8), "big") >> 1)
        shapes = [tuple(p.shape) for p in self._parameters]
        self._total = PatientSum(shapes, privacy, noise_source)
        self._average: list[Tensor] = []
        self._pull = Proximal(self._parameters, plan.tuning.proximal)

    def step(
        self, step: int, gradients: PatientGradients, patients: Sequence[Places]
    ) -> list[float]:
        """One noisy step on these patients; the mean loss of each."""
        losses: list[float] = []
        for rows in gradients.rows(patients):
            losses.extend(_finite(loss, step) for loss in rows.losses)
            self._total.add(clip_gradients(rows.tensors, self._privacy.clip_norm))
        means = self._total.noisy_mean(drawn=len(patients))
        for parameter, mean in zip(self._parameters, means, strict=True):
            parameter.grad = mean
        self._pull.add()  # after the noise: it is of the adapter alone, and tells of no patient
        tuning = self._plan.tuning
        for group in self._optimizer.param_groups:
            group["lr"] = tuning.learning_rate * min(1.0, step / max(1, tuning.warmup_steps))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._follow(step)
        return losses

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        if not self._decay:
            return
        if not self._average:
            self._average = [torch.zeros_like(parameter) for parameter in self._parameters]
        weight = max(1 / step, 1 - self._decay)  # the plain mean at first: no pull to the start
        torch._foreach_lerp_(self._average, list[Tensor](self._parameters), weight)

    @torch.no_grad()
    def write_average(self) -> None:
        """Puts the adapter where its iterates were on average, where that was asked for."""
        for parameter, average in zip(self._parameters, self._average, strict=bool(self._average)):
            parameter.copy_(average)


def _finite(loss: float, step: int) -> float:
    if not math.isfinite(loss):
        raise NonFiniteLoss(f"loss at step {step} is {loss}: lower tuning.learning_rate")
    return loss
