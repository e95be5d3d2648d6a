"""A round at a site without a model: its plan, the site's policy, and a tuner of a few lines."""

import importlib.metadata
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import plans
from ophora_client.policy import FederationLimits, SitePolicy
from ophora_client.tuner import Tuned
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.errors import Cancelled
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Shapes, Tensors
from ophora_privacy.plan import PrivacyPlan

SHAPES = {"block.to_q": (8, 4)}
START = {"block.to_q": np.zeros((8, 4), np.float32)}
PRIVACY = replace(plans.PRIVACY, sampling_rate=0.1, steps_per_round=5)
POLICY = SitePolicy(
    site="a",
    preset="tiny",
    base_folder=None,
    epsilon_cap=8.0,
    delta=1e-5,
    share_loss=False,
    limits=FederationLimits(),
)


def make_plan(**changes: Any) -> RoundPlan:
    plan = RoundPlan(
        run_id="run-1",
        stage="tpt",
        round=1,
        preset="tiny",
        base_fingerprint="f" * 64,
        adapter=AdapterSpec(rank=4, alpha=4.0, targets=("to_q",), seed=1),
        tuning=plans.TUNING,
        privacy=PRIVACY.to_dict(),
        code_version=importlib.metadata.version("ophora-federated"),
    )
    return replace(plan, **changes)


@dataclass
class FakeTuner:
    """Adds the round's number; waits for `gate` before each step when it is closed."""

    base_fingerprint: str = "f" * 64
    clips: int = 3
    spoilt: Exception | None = None
    fails: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    rounds: list[int] = field(default_factory=list)

    def shapes(self, spec: AdapterSpec) -> Shapes:
        return SHAPES

    def num_clips(self, stage: str) -> int:
        if self.spoilt is not None:
            raise self.spoilt
        return self.clips

    def tune(
        self,
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        *,
        on_step: Callable[[int, int, float], None],
        cancelled: Callable[[], bool],
    ) -> Tuned:
        self.rounds.append(plan.round)
        if self.fails is not None:
            raise self.fails
        while not self.gate.wait(0.02):
            if cancelled():
                raise Cancelled("stopped")
        on_step(5, 5, 0.25)
        update = {name: np.full_like(value, plan.round) for name, value in start.items()}
        return Tuned(update=update, losses=(0.5, 0.25), steps=5, seconds=1.2)

    def tune_patients(self, *_: Any, **__: Any) -> Tuned:
        raise AssertionError("no round of these has distributed noise")
