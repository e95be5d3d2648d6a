"""Which noise levels a step trains on: samplers of diffusion timesteps, over sub-intervals.

The paper lets each GPU draw from its own sub-interval of the timesteps, all of them together
covering the whole schedule (paper section 3.2). Here an interval belongs to a place in the global
batch, so that the result does not depend on how many processes share the work; with as many
intervals as processes, each process has its own, as in the paper. A federation may give each site
an interval in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ophora_model.errors import PlanInvalid
from ophora_model.strict import check_choice, check_whole

TIMESTEP_SAMPLERS = ("uniform", "logit-normal", "high-noise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Part `index` of `count` equal parts of the schedule; (0, 1) is all of it."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        check_whole("interval.count", self.count, low=1, high=1000)
        check_whole("interval.index", self.index, low=0, high=self.count - 1)

    def bounds(self, steps: int) -> tuple[int, int]:
        """First and last + 1 timestep. The intervals of one count cover all steps, each once.

        Raises `PlanInvalid` where there are more intervals than steps.
        """
        if self.count > steps:
            raise PlanInvalid(f"interval.count={self.count}: must be at most {steps} timesteps")
        return self.index * steps // self.count, (self.index + 1) * steps // self.count


WHOLE = Interval()


def draw_timestep(
    sampler: str, generator: torch.Generator, *, steps: int, interval: Interval = WHOLE
) -> int:
    """One timestep of the interval, in [0, steps).

    `uniform`: each as often; `logit-normal`: the middle more often; `high-noise`: density grows
    with the noise. All of them reach every timestep of the interval.
    """
    check_choice("timestep_sampler", sampler, TIMESTEP_SAMPLERS)
    low, high = interval.bounds(steps)
    if sampler == "uniform":
        return int(torch.randint(low, high, (), generator=generator))
    if sampler == "logit-normal":
        share = float(torch.sigmoid(torch.randn((), generator=generator)))
    else:
        share = math.sqrt(float(torch.rand((), generator=generator)))
    return min(high - 1, low + int(share * (high - low)))
