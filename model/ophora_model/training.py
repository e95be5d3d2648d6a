"""Training at one site without a federation: cached latents in, adapter and checkpoints out.

    order (seed, epoch) -> places of a step -> draws (seed, step, place) -> losses -> gradients
        -> mean over processes -> clip -> AdamW -> moving average -> checkpoint

Order and draws are keyed, not taken from a running generator: a run that was interrupted at any
step and goes on gives the same adapter bit for bit, and two processes give what one gives. Only the
adapter is trained and exchanged, so processes need no wrapper round the denoiser.

This is the paper's trainer (section 3.2). It protects no patient: what it makes stays at the site.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ophora_model.adapter import Adapter, shapes_hash
from ophora_model.base import Base
from ophora_model.errors import BaseMissing, Cancelled, NonFiniteLoss, PlanInvalid
from ophora_model.latents import CachedClip
from ophora_model.lean import lean
from ophora_model.timesteps import Interval
from ophora_model.training_draws import Place, draw_place, epoch_order, losses_of
from ophora_model.training_plan import TrainingPlan
from ophora_model.training_processes import Processes
from ophora_model.training_state import TrainingState, checkpoints
from ophora_model.update import Tensors

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step, for progress and trackers. Loss and norm are learned from patients: they stay."""

    step: int
    steps: int
    loss: float
    gradient_norm: float
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """The trained factors and, where one was kept, their moving average."""

    tensors: Tensors
    average: Tensors | None
    losses: tuple[float, ...]  # of the steps of this call: identifiable, they stay at the site
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointing:
    """Where checkpoints go, and after how many steps each."""

    folder: Path
    every: int = 500


def train(
    base: Base,
    adapter: Adapter,
    clips: Sequence[CachedClip],
    plan: TrainingPlan,
    *,
    accelerator: Accelerator | None = None,
    checkpointing: Checkpointing | None = None,
    on_step: Callable[[StepReport], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> TrainingResult:
    """Trains the adapter in place, from its newest checkpoint where there is one.

    Guarantees: bit-identical results for the same base, clips and plan on the same kind of machine,
    however often the run was interrupted. Raises `PlanInvalid` where there is no clip,
    `NonFiniteLoss` at the first NaN or infinite loss (the checkpoint before it stays), `Cancelled`
    between two steps after a checkpoint, `AdapterMismatch` for a checkpoint of another run.
    """
    if base.transformer is None:
        raise BaseMissing("base was loaded without part 'transformer': load it with that part")
    if not clips:
        raise PlanInvalid("clips=0: must be at least 1; curate videos for this stage first")
    if plan.gradient_checkpointing:
        base.transformer.enable_gradient_checkpointing()
    in_order = sorted(clips, key=lambda clip: clip.clip_id)
    run = _Run(base, adapter, in_order, plan, Processes(accelerator=accelerator))
    run.resume(checkpointing)
    began = time.monotonic()
    losses = []
    with lean(base.transformer, base.compute):
        while run.state.step < plan.steps:
            if cancelled is not None and cancelled():
                run.save(checkpointing)
                raise Cancelled(f"stopped at step {run.state.step} of {plan.steps}")
            report = run.step()
            losses.append(report.loss)
            if on_step is not None:
                on_step(report)
            if checkpointing is not None and report.step % checkpointing.every == 0:
                run.save(checkpointing)
    run.save(checkpointing)
    average = {name: value.cpu().numpy() for name, value in run.state.average.items()}
    return TrainingResult(
        tensors=adapter.read(),
        average=average or None,
        losses=tuple(losses),
        seconds=time.monotonic() - began,
    )


def validation_loss(
    base: Base, clips: Sequence[CachedClip], *, draws: int = 4, seed: int = 0, batch: int = 16
) -> float:
    """Mean loss over clips, each at `draws` fixed levels of noise spread over the schedule.

    The same clips and seed give the same noise, so adapters can be compared.
    """
    places = [
        draw_place(
            clip,
            f"validation/{seed}/{number}/{clip.clip_id}",
            base,
            sampler="uniform",
            interval=Interval(index=number, count=draws),
        )
        for clip in clips
        for number in range(draws)
    ]
    total = 0.0
    with torch.no_grad():
        for first in range(0, len(places), batch):
            total += float(losses_of(base, places[first : first + batch]).sum())
    return total / len(places)


class _Run:
    """One call of `train`: what every step shares."""

    def __init__(
        self,
        base: Base,
        adapter: Adapter,
        clips: Sequence[CachedClip],
        plan: TrainingPlan,
        processes: Processes,
    ) -> None:
        self._base, self._clips, self._plan = base, clips, plan
        self._processes, self._share = processes, processes.share(plan.batch_size)
        self._parameters = adapter.parameters()
        self.state = _fresh_state(adapter, plan)
        self._stepper = processes.stepper(self.state.optimizer)
        clip_ids = "\n".join(clip.clip_id for clip in clips)
        shapes = shapes_hash(adapter.shapes())
        text = f"{plan.fingerprint()}/{base.fingerprint}/{shapes}/{clip_ids}"
        self._identity = hashlib.sha256(text.encode()).hexdigest()

    def resume(self, checkpointing: Checkpointing | None) -> None:
        """Go on from the newest checkpoint, or from the factors as they are."""
        found = checkpoints(checkpointing.folder) if checkpointing is not None else []
        if found:
            self.state.read(found[-1], self._identity)

    def save(self, checkpointing: Checkpointing | None) -> None:
        """Write a checkpoint, by one process; nothing before the first step."""
        if checkpointing is not None and self.state.step and self._processes.rank == 0:
            self.state.write(checkpointing.folder, self._identity)

    def step(self) -> StepReport:
        """One optimizer step over `accumulation` passes."""
        plan, step = self._plan, self.state.step + 1
        rate = plan.learning_rate_at(step)
        for group in self.state.optimizer.param_groups:
            group["lr"] = rate
        self._stepper.zero_grad(set_to_none=True)
        loss = self._processes.mean(self._passes(step), self._parameters)
        if not math.isfinite(loss):
            raise NonFiniteLoss(f"loss at step {step} is {loss}: lower learning_rate")
        most = plan.max_grad_norm or math.inf
        norm = self._processes.clip(self._stepper, self._parameters, most)
        self._stepper.step()
        self.state.step = step
        self._average()
        return StepReport(
            step=step, steps=plan.steps, loss=loss, gradient_norm=norm, learning_rate=rate
        )

    def _passes(self, step: int) -> Tensor:
        """The loss of this process' share; its gradients are added to the parameters'."""
        loss = torch.zeros((), device=self._base.device)
        for number in range(self._plan.accumulation):
            places = [self._place(step, number, place) for place in self._share]
            passed = losses_of(self._base, places).mean() / self._plan.accumulation
            loss += passed.detach()
            self._processes.backward(passed)
        return loss

    def _place(self, step: int, number: int, place: int) -> Place:
        """A place of the global batch of pass `number`: its clip by the order, its draws by key."""
        plan = self._plan
        serial = ((step - 1) * plan.accumulation + number) * plan.batch_size + place
        epoch, position = divmod(serial, len(self._clips))
        return draw_place(
            self._clips[epoch_order(plan.seed, epoch, len(self._clips))[position]],
            f"{plan.seed}/{step}/{number}/{place}",
            self._base,
            sampler=plan.timestep_sampler,
            interval=Interval(index=place % plan.intervals, count=plan.intervals),
            caption_dropout=plan.caption_dropout,
        )

    @torch.no_grad()
    def _average(self) -> None:
        for name, value in self.state.average.items():
            value.lerp_(self.state.factors[name], 1 - self._plan.ema_decay)


def _fresh_state(adapter: Adapter, plan: TrainingPlan) -> TrainingState:
    """The factors as they are, AdamW without moments."""
    factors = dict(zip(adapter.shapes(), adapter.parameters(), strict=True))
    optimizer = torch.optim.AdamW(
        adapter.parameters(),
        lr=plan.learning_rate,
        betas=(plan.beta1, plan.beta2),
        weight_decay=plan.weight_decay,
    )
    kept = factors if plan.ema_decay else {}
    average = {name: factor.detach().clone() for name, factor in kept.items()}
    return TrainingState(factors=dict(factors), optimizer=optimizer, average=average)
