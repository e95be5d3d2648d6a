"""What the demo does: sizes, mixes and rounds, in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DELTA = 1e-3  # below one over the number of patients of a site


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteMix:
    """One site: its code and how often it films each phase (missing: not at all)."""

    code: str
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """Rounds of one stage, steps a round and the learning rate of the local tuning."""

    rounds: int
    steps: int
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """The whole demo. `epsilon` None means little noise; a number is what each stage may cost
    every patient in total."""

    seed: int
    epsilon: float | None
    patients_per_site: int = 10
    segments: tuple[int, int] = (9, 12)
    size: tuple[int, int] = (192, 128)
    overlay_share: float = 0.6
    personal_overlay_share: float = 0.05
    fault_share: float = 0.06
    speech_share: float = 0.1
    tpt: StagePlan = StagePlan(rounds=3, steps=46, learning_rate=1.5e-2)
    p2ft: StagePlan = StagePlan(rounds=2, steps=46, learning_rate=6e-3)
    sampling_rate: float = 0.4
    clips_per_patient: int = 4
    clip_norm: float = 0.03
    little_noise: float = 2e-4
    videos_per_phase: int = 4
    judge_clips_per_phase: int = 24
    judge_epochs: int = 16


def _mix(code: str, seldom: float, *often: str) -> SiteMix:
    from ophora_curation.phases import PHASES

    return SiteMix(code=code, weights={p: 1.0 if p in often else seldom for p in PHASES})


def site_mixes() -> tuple[SiteMix, ...]:
    """Three sites that film all phases, each four of them three times as often as the rest."""
    from ophora_curation.phases import PHASES

    codes = ("north", "harbour", "hill")
    return tuple(_mix(code, 1 / 3, *PHASES[k::3]) for k, code in enumerate(codes))
