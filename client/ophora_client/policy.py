"""What a site agrees to, and the comparison of a round plan with it, before anything is spent.

The limits are the `[federation]` table of the site's own settings; the coordinator can't change
them. A plan outside them is declined with a code; the details stay in the site's log.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ophora_client.errors import Declined, SiteInvalid
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.round_plan import STAGES, RoundPlan
from ophora_privacy.plan import PrivacyPlan

_POSITIVE = (
    "max_clip_norm",
    "max_steps_per_round",
    "max_learning_rate",
    "max_adapter_rank",
    "max_round_s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationLimits:
    """Bounds on what a coordinator may ask. `max_round_s` ends a round that doesn't come back."""

    stages: tuple[str, ...] = ("tpt", "p2ft")
    min_noise_multiplier: float = 0.0
    max_clip_norm: float = 10.0
    max_steps_per_round: int = 10_000
    max_learning_rate: float = 0.1
    max_adapter_rank: int = 256
    max_round_s: float = 6 * 3600.0

    def __post_init__(self) -> None:
        for stage in self.stages:
            if stage not in STAGES:
                raise SiteInvalid(f'stages: "{stage}": must be one of {", ".join(STAGES)}')
        if not 0 <= self.min_noise_multiplier < math.inf:
            raise SiteInvalid(f"min_noise_multiplier={self.min_noise_multiplier}: must be >= 0")
        for name in _POSITIVE:
            if not 0 < getattr(self, name) < math.inf:
                raise SiteInvalid(f"{name}={getattr(self, name)}: must be > 0 and finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePolicy:
    """Everything at this site that a round plan is held against."""

    site: str
    preset: str
    base_folder: Path | None
    epsilon_cap: float
    delta: float
    share_loss: bool
    limits: FederationLimits


def check_plan(
    plan: RoundPlan,
    privacy: PrivacyPlan,
    policy: SitePolicy,
    *,
    base_fingerprint: str,
    code_version: str,
) -> None:
    """Raises Declined with the code of the first thing that the site doesn't agree to."""
    limits = policy.limits
    if plan.code_version != code_version:
        raise Declined("version", f"plan {plan.code_version}, site {code_version}")
    if plan.preset != policy.preset:
        raise Declined("preset", f"plan {plan.preset}, site {policy.preset}")
    if plan.base_fingerprint != base_fingerprint:
        raise Declined("base", "the plan names other base weights than the site holds")
    if plan.stage not in limits.stages:
        raise Declined("stage", f"{plan.stage}: the site takes part in {', '.join(limits.stages)}")
    _check_adapter(plan.adapter, limits)
    if plan.tuning.learning_rate > limits.max_learning_rate:
        raise Declined("tuning", f"learning_rate={plan.tuning.learning_rate}")
    _check_privacy(privacy, policy)


def _check_adapter(spec: AdapterSpec, limits: FederationLimits) -> None:
    if spec.rank > limits.max_adapter_rank:
        raise Declined("adapter", f"rank={spec.rank}: at most {limits.max_adapter_rank}")


def _check_privacy(privacy: PrivacyPlan, policy: SitePolicy) -> None:
    limits = policy.limits
    if privacy.noise_multiplier < limits.min_noise_multiplier:
        raise Declined("privacy", f"noise_multiplier={privacy.noise_multiplier}: too little")
    if privacy.clip_norm > limits.max_clip_norm:
        raise Declined("privacy", f"clip_norm={privacy.clip_norm}: too large")
    if privacy.steps_per_round > limits.max_steps_per_round:
        raise Declined("privacy", f"steps_per_round={privacy.steps_per_round}: too many")
    if privacy.delta > policy.delta:
        raise Declined("privacy", f"delta={privacy.delta}: the site's is {policy.delta}")
