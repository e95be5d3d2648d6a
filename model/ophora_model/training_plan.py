"""How one site trains alone: the paper's two stages as plans, at a preset's size.

The full-size numbers are the paper's (section 3.2): AdamW with betas 0.9 and 0.95, weight decay
1e-3, gradient norm 1, cosine with restarts after 800 warm-up steps; TPT 65,000 steps at 1e-4 from
the base, P2FT 4,500 steps at 5e-5 from the TPT adapter. It names no restarts; one cycle is used.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from ophora_model.errors import PlanInvalid
from ophora_model.presets import Preset
from ophora_model.round_plan import STAGES, Stage
from ophora_model.strict import check_choice, check_number, check_whole
from ophora_model.timesteps import TIMESTEP_SAMPLERS


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """Everything that decides the trained adapter, beside base, adapter spec and clips.

    `batch_size` is of all processes together, for one pass; a step adds up `accumulation` passes.
    `intervals` parts of the timesteps are dealt to the places of a batch (timesteps.py).
    `ema_decay` 0 keeps no moving average. `max_grad_norm` 0 clips nothing.
    """

    stage: Stage
    steps: int
    batch_size: int
    accumulation: int = 1
    learning_rate: float
    warmup_steps: int
    restarts: int = 1
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 1e-3
    max_grad_norm: float = 1.0
    caption_dropout: float = 0.1
    timestep_sampler: str = "uniform"
    intervals: int = 1
    ema_decay: float = 0.0
    gradient_checkpointing: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        check_choice("stage", self.stage, STAGES)
        check_choice("timestep_sampler", self.timestep_sampler, TIMESTEP_SAMPLERS)
        for name in ("steps", "batch_size", "accumulation", "restarts", "intervals"):
            check_whole(name, getattr(self, name), low=1)
        for name in ("warmup_steps", "seed"):
            check_whole(name, getattr(self, name), low=0)
        check_number("learning_rate", self.learning_rate, low=0, high=1, low_open=True)
        check_number("beta1", self.beta1, low=0, high=0.9999)
        check_number("beta2", self.beta2, low=0, high=0.99999)
        check_number("weight_decay", self.weight_decay, low=0, high=1)
        check_number("max_grad_norm", self.max_grad_norm, low=0)
        check_number("caption_dropout", self.caption_dropout, low=0, high=1)
        check_number("ema_decay", self.ema_decay, low=0, high=0.99999)
        if not isinstance(self.gradient_checkpointing, bool):
            value = self.gradient_checkpointing
            raise PlanInvalid(f"gradient_checkpointing={value!r}: must be true or false")

    @classmethod
    def of_stage(cls, preset: Preset, stage: Stage, **changed: Any) -> TrainingPlan:
        """The stage's defaults for the preset, with what is given put in their place."""
        check_choice("stage", stage, STAGES)
        values = _SMALL if preset.name == "tiny" else _PAPER
        plan = cls(stage=stage, **values[stage])
        try:
            return replace(plan, **changed)
        except TypeError as error:
            raise PlanInvalid(f"training plan: {error}") from error

    def fingerprint(self) -> str:
        """Identity of the plan: a checkpoint of another plan can't be continued."""
        text = json.dumps(asdict(self), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def learning_rate_at(self, step: int) -> float:
        """Of step 1 to `steps`: a linear rise, then cosine with hard restarts down to 0."""
        done = step - 1
        if done < self.warmup_steps:
            return self.learning_rate * done / max(1, self.warmup_steps)
        share = (done - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        if share >= 1:
            return 0.0
        wave = 1 + math.cos(math.pi * (self.restarts * share % 1))
        return self.learning_rate * max(0.0, 0.5 * wave)


_BIG: dict[str, Any] = {"warmup_steps": 800, "batch_size": 1, "gradient_checkpointing": True}
_PAPER: dict[str, dict[str, Any]] = {
    "tpt": {**_BIG, "steps": 65_000, "learning_rate": 1e-4},
    "p2ft": {**_BIG, "steps": 4_500, "learning_rate": 5e-5},
}
_SMALL: dict[str, dict[str, Any]] = {
    "tpt": {"steps": 600, "learning_rate": 5e-3, "warmup_steps": 20, "batch_size": 16},
    "p2ft": {"steps": 200, "learning_rate": 2e-3, "warmup_steps": 10, "batch_size": 16},
}
