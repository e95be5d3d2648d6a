"""Tuning of each patient by itself, for noise that only the sum over all sites carries.

    secret -> patients by coin flips -> for each: adapter as sent -> local steps on its clips alone
        -> how far the adapter moved, clipped -> given away -> the next patient

One patient moves the sum of what is given by at most the clip norm, whatever the local steps did
(DP-FedAvg by patient, arXiv 1710.06963). Nothing is noised here: what takes the changes does that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ophora_model.adapter import Adapter
from ophora_model.base import Base
from ophora_model.errors import BaseMissing, Cancelled, NonFiniteLoss
from ophora_model.latents import CachedClip
from ophora_model.lean import lean
from ophora_model.local_optimizer import local_optimizer
from ophora_model.patient_draws import PatientDraws
from ophora_model.patient_gradients import PatientGradients
from ophora_model.proximal import Proximal
from ophora_model.round_plan import RoundPlan
from ophora_model.stacking import trained_columns
from ophora_model.tuning import OnStep, TuningResult
from ophora_model.update import Tensors
from ophora_privacy.mechanism import ClippedGradient, clip_gradient
from ophora_privacy.performance import PerformanceSettings
from ophora_privacy.plan import PrivacyPlan

Give = Callable[[ClippedGradient], None]


def tune_patients(
    base: Base,
    adapter: Adapter,
    start: Tensors,
    clips: Sequence[CachedClip],
    plan: RoundPlan,
    privacy: PrivacyPlan,
    give: Give,
    *,
    steps: int,
    secret: bytes,
    performance: PerformanceSettings | None = None,
    on_step: OnStep | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> TuningResult:
    """Gives the clipped change of each patient that the round draws, from `start`, once.

    The patients are drawn once, at `privacy.sampling_rate`; each gets `steps` steps of a fresh
    optimizer. The adapter ends as it began. `secret` must not serve the same round twice. Raises
    `NonFiniteLoss`, and `Cancelled` between two patients.
    """
    if base.transformer is None:
        raise BaseMissing("base was loaded without part 'transformer': load it with that part")
    if plan.tuning.gradient_checkpointing:
        base.transformer.enable_gradient_checkpointing()
    else:
        base.transformer.disable_gradient_checkpointing()
    began = time.monotonic()
    settings = performance or PerformanceSettings()
    draws = PatientDraws(
        base, clips, plan, privacy, secret=secret, draws_per_clip=settings.draws_per_clip
    )
    adapter.write(start)
    local = _LocalSteps(base, adapter, plan, settings)
    drawn = draws.patients(1)
    losses: list[float] = []
    try:
        with lean(base.transformer, base.compute):
            for number, patient in enumerate(drawn, start=1):
                if cancelled is not None and cancelled():
                    raise Cancelled(f"stopped at patient {number - 1} of {len(drawn)}")
                adapter.write(start)
                found = [local.step(draws, step, patient) for step in range(1, steps + 1)]
                losses.append(float(np.mean(found)))
                give(clip_gradient(local.moved(start), privacy.clip_norm))
                if on_step is not None:
                    on_step(number, len(drawn), losses[-1])
                local.forget()
    finally:
        adapter.write(start)
    return TuningResult(losses=tuple(losses), steps=steps, seconds=time.monotonic() - began)


class _LocalSteps:
    """Steps on one patient's clips, and how far they went."""

    def __init__(
        self, base: Base, adapter: Adapter, plan: RoundPlan, settings: PerformanceSettings
    ) -> None:
        self._adapter, self._tuning, self._spec = adapter, plan.tuning, plan.adapter
        self._gradients = PatientGradients(base, adapter, settings)
        self._parameters = adapter.parameters()
        self._pull = Proximal(self._parameters, plan.tuning.proximal)
        self.forget()

    def forget(self) -> None:
        """A fresh optimizer: its moments are the last patient's."""
        self._optimizer = local_optimizer(self._parameters, self._tuning)

    def step(self, draws: PatientDraws, step: int, patient: str) -> float:
        """One step on the patient's clips; their mean loss."""
        losses: list[float] = []
        for rows in self._gradients.rows([draws.places(step, patient)]):
            losses.extend(rows.losses)
            for parameter, row in zip(self._parameters, rows.tensors, strict=True):
                parameter.grad = row[0]
        self._pull.add()
        loss = float(np.mean(losses))
        if not math.isfinite(loss):
            raise NonFiniteLoss(f"loss at step {step} is {loss}: lower tuning.learning_rate")
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss

    def moved(self, start: Tensors) -> list[torch.Tensor]:
        """The change of what is trained since `start`, in the order of the sorted names."""
        now = trained_columns(self._adapter.read(), self._spec)
        start = trained_columns(start, self._spec)
        return [torch.from_numpy(now[name] - start[name]) for name in sorted(now)]
