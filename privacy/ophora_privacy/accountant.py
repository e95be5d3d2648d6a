"""What a history of rounds costs: the epsilon per patient at a given delta.

All events ever are composed by Opacus' PRV accountant (numerical composition, heterogeneous
histories). Where it can't be computed, with very little noise, the answer is Renyi accounting's,
which is never lower than the truth, and `Epsilon.method` says so. The Gaussian-DP accountant
under-reports (1.86 for a true 2.19) and is not offered.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ophora_privacy.errors import InvalidPlan
from ophora_privacy.plan import GaussianEvent

# Above this PRV's grid overflows float64 and takes gigabytes: 7 s and infinity at noise 0.1.
_PRV_LIMIT = 100.0
_ORDERS = (
    [1.01, 1.02, 1.05] + [1 + x / 10 for x in range(1, 100)] + [float(x) for x in range(12, 64)]
)
_MAX_NOISE = 1e4

Method = Literal["none", "prv", "rdp upper bound", "unbounded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Epsilon:
    """An upper bound on the privacy loss of any one patient, and how it was computed."""

    value: float
    delta: float
    method: Method

    def in_words(self) -> str:
        """What this epsilon means for a patient, for someone who is not a statistician."""
        if self.value > 20:
            return (
                f"epsilon {self.value:,.0f} ({self.method}): formally no bound worth the name on "
                "what the update may say about one patient; the noise only blurs it"
            )
        return (
            f"epsilon {self.value:.2f} ({self.method}): whether a patient took part changes the "
            f"odds of any outcome by at most {math.exp(self.value):,.1f} times, except with "
            f"probability {self.delta:g}"
        )


def epsilon_of(events: Sequence[GaussianEvent], delta: float) -> Epsilon:
    """The epsilon of all `events` together. No event costs 0; one without noise costs infinity.

    Raises InvalidPlan when `delta` is not in (0, 1).
    """
    if not 0 < delta < 1:
        raise InvalidPlan(f"delta={delta!r}: must be in (0, 1)")
    if not events:
        return Epsilon(value=0.0, delta=delta, method="none")
    if any(event.noise_multiplier == 0 for event in events):
        return Epsilon(value=math.inf, delta=delta, method="unbounded")
    history = _merged(events)
    bound = _rdp(history, delta)
    if bound <= _PRV_LIMIT:
        tight = _prv(history, delta)
        # A numerical failure shows as NaN, infinity, a negative value or one above the Renyi bound.
        if 0 < tight <= bound:
            return Epsilon(value=tight, delta=delta, method="prv")
    return Epsilon(value=bound, delta=delta, method="rdp upper bound")


def noise_for(
    target_epsilon: float,
    delta: float,
    sampling_rate: float,
    steps: int,
    *,
    spent: Sequence[GaussianEvent] = (),
    tolerance: float = 1e-3,
) -> float:
    """The least noise multiplier that keeps `spent` plus `steps` within the target.

    Found by bisection to a relative `tolerance`. The answer never overshoots the
    target. Raises InvalidPlan when no noise is enough.
    """
    if not 0 < target_epsilon < math.inf:
        raise InvalidPlan(f"target_epsilon={target_epsilon!r}: must be finite and > 0")

    def within(noise: float) -> bool:
        event = GaussianEvent(noise_multiplier=noise, sampling_rate=sampling_rate, steps=steps)
        return epsilon_of([*spent, event], delta).value <= target_epsilon

    low, high = 0.0, 1.0
    while not within(high):
        low, high = high, high * 2
        if high > _MAX_NOISE:
            raise InvalidPlan(f"target_epsilon={target_epsilon}: no noise reaches it; raise it")
    while high - low > tolerance * high:
        middle = (low + high) / 2
        low, high = (low, middle) if within(middle) else (middle, high)
    return high


def _merged(events: Sequence[GaussianEvent]) -> list[tuple[float, float, int]]:
    """Equal mechanisms counted together, as the accountants expect."""
    steps: dict[tuple[float, float], int] = {}
    for event in events:
        key = (event.noise_multiplier, event.sampling_rate)
        steps[key] = steps.get(key, 0) + event.steps
    return [(noise, rate, count) for (noise, rate), count in steps.items()]


def _rdp(history: list[tuple[float, float, int]], delta: float) -> float:
    from opacus.accountants import RDPAccountant  # type: ignore[import-untyped]

    accountant = RDPAccountant()
    accountant.history = list(history)
    return max(0.0, _quietly(lambda: float(accountant.get_epsilon(delta, alphas=_ORDERS))))


def _prv(history: list[tuple[float, float, int]], delta: float) -> float:
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = list(history)
    try:
        return _quietly(lambda: float(accountant.get_epsilon(delta)))
    except (ArithmeticError, RuntimeError, ValueError):
        return math.nan  # the caller falls back to the upper bound


def _quietly(compute: Callable[[], float]) -> float:
    """Without numpy's overflow warnings, which the caller's checks of the result replace."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return compute()
