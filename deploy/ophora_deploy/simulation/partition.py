"""How clips are spread over simulated sites: what one site films, and of how many patients.

- iid: every site has as many patients and films all phases alike.
- by-phase: a site's shares of the phases are a draw of Dirichlet(alpha) over the phases (label
  skew: Hsu, Qi and Brown 2019, "Measuring the effects of non-identical data distribution").
- by-size: the sites' shares of all patients are one draw of Dirichlet(alpha) over the sites
  (quantity skew: Li et al. 2022, "Federated learning on non-IID data silos").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ophora_curation.phases import PHASES
from ophora_deploy.simulation.plan import SimulationPlan

_PHASES_STREAM, _SIZES_STREAM, _CLIPS_STREAM = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteShare:
    """What one site has: patients, and a weight for each of PHASES that sum to 1."""

    patients: int
    phase_weights: tuple[float, ...]
    clips_seed: int


def share_of(plan: SimulationPlan, number: int) -> SiteShare:
    """Of site `number`, counted from 0; the same whichever sites were asked before."""
    stream = np.random.SeedSequence([plan.seed, _CLIPS_STREAM, number])
    return SiteShare(
        patients=_patients(plan, number),
        phase_weights=_phase_weights(plan, number),
        clips_seed=int(stream.generate_state(1)[0]),
    )


def _phase_weights(plan: SimulationPlan, number: int) -> tuple[float, ...]:
    if plan.partition != "by-phase":
        return (1 / len(PHASES),) * len(PHASES)
    rng = np.random.default_rng([plan.seed, _PHASES_STREAM, number])
    return tuple(float(weight) for weight in rng.dirichlet([plan.alpha] * len(PHASES)))


def _patients(plan: SimulationPlan, number: int) -> int:
    """At least one: a site without any would not join."""
    if plan.partition != "by-size":
        return plan.patients
    rng = np.random.default_rng([plan.seed, _SIZES_STREAM])
    share = rng.dirichlet([plan.alpha] * plan.sites)[number]
    return max(1, round(float(share) * plan.sites * plan.patients))
