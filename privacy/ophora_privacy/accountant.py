"""What a history of rounds costs: the epsilon per patient at a given delta.

All events ever are composed as privacy loss distributions (Google's dp-accounting, Koskela et al.
2020, Doroshenko et al. 2022), patients added or removed. Two other accountants watch over the
figure: Opacus' Renyi bound, above which the truth can't be, and its PRV accountant, with which it
has to agree. Where they don't, the larger figure counts and `Epsilon.method` says which it is; with
very little noise the Renyi bound is the answer. Others are refused (`assumptions`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import Any, Literal

import numpy as np

from ophora_privacy.assumptions import check_accountant
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.plan import GaussianEvent

# Grid of the privacy loss. Rounding is upwards: it adds 6e-7 to epsilon a step at most, and one
# grid for all histories keeps epsilon monotone.
_INTERVAL = 1e-3
_PLD_LIMIT = 200.0  # of the Renyi bound: half a second there, and no epsilon of use above
_PRV_LIMIT = 100.0  # above it PRV's grid overflows float64: 7 s and infinity at noise 0.1
_RELATIVE, _PRV_ERROR, _RDP_ERROR = 0.01, 0.02, 0.005  # how far the accountants may differ
_PRV_MECHANISMS = 8  # one second; it takes more than linearly longer with each
_ORDERS = (1.01, 1.02, 1.05, *(1 + x / 10 for x in range(1, 100)), *map(float, range(12, 64)))
_COARSE_ORDERS = (1.01, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0, 40.0, 63.0)
_MAX_NOISE = 1e4

Method = Literal["none", "pld", "rdp upper bound", "pld above rdp", "prv above pld", "unbounded"]
_History = tuple[tuple[float, float, int], ...]  # noise multiplier, sampling rate, steps


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """One history's epsilon by each accountant; NaN where one wasn't or couldn't be asked.

    PRV is asked for histories of few mechanisms and a small epsilon, PLD up to a larger one.
    """

    pld: float
    prv: float
    rdp: float

    @property
    def agrees(self) -> bool:
        """PLD is there, not above the Renyi bound, and as close to PRV as PRV's own error lets."""
        return self._below_rdp and not self._far(abs(self.prv - self.pld))

    @property
    def _below_rdp(self) -> bool:
        return 0 <= self.pld <= self.rdp * (1 + _RELATIVE) + _RDP_ERROR

    def _far(self, difference: float) -> bool:
        return difference > max(_RELATIVE * self.pld, _PRV_ERROR)

    def epsilon(self, delta: float) -> Epsilon:
        """PLD's figure where it stands, else the larger one that contradicts it."""
        if not (math.isfinite(self.pld) and self.pld >= 0):
            return Epsilon(value=self.rdp, delta=delta, method="rdp upper bound")
        if not self._below_rdp:
            return Epsilon(value=self.pld, delta=delta, method="pld above rdp")
        # PRV above the Renyi bound is its own numerical failure
        if self._far(self.prv - self.pld) and self.prv <= self.rdp:
            return Epsilon(value=self.prv, delta=delta, method="prv above pld")
        return Epsilon(value=self.pld, delta=delta, method="pld")


def epsilon_of(events: Sequence[GaussianEvent], delta: float) -> Epsilon:
    """The epsilon of all `events` together. No event costs 0; one without noise costs infinity.

    Raises InvalidPlan when `delta` is not in (0, 1).
    """
    _check_delta(delta)
    if not events:
        return Epsilon(value=0.0, delta=delta, method="none")
    if any(event.noise_multiplier == 0 for event in events):
        return Epsilon(value=math.inf, delta=delta, method="unbounded")
    return _cross_check(_merged(events), delta).epsilon(delta)


def epsilon_by(accountant: str, events: Sequence[GaussianEvent], delta: float) -> float:
    """One accountant's figure, NaN where it has none: `pld`, `prv` or `rdp`.

    Raises InvalidPlan for any other, with the reason, and where `delta` is not in (0, 1).
    """
    return float(getattr(cross_check(events, delta), check_accountant(accountant)))


def cross_check(events: Sequence[GaussianEvent], delta: float) -> CrossCheck:
    """The three accountants side by side. Raises InvalidPlan when `delta` is not in (0, 1)."""
    total = epsilon_of(events, delta)
    if total.method in ("none", "unbounded"):
        return CrossCheck(pld=total.value, prv=total.value, rdp=total.value)
    return _cross_check(_merged(events), delta)


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

    Found to a relative `tolerance`. The answer never overshoots the
    target. Raises InvalidPlan when no noise is enough.
    """
    if not 0 < target_epsilon < math.inf:
        raise InvalidPlan(f"target_epsilon={target_epsilon!r}: must be finite and > 0")
    _check_delta(delta)
    event = GaussianEvent(noise_multiplier=1.0, sampling_rate=sampling_rate, steps=steps)

    def history(noise: float) -> list[GaussianEvent]:
        return [*spent, replace(event, noise_multiplier=noise)]

    def cost(noise: float) -> float:
        _check_noise(noise, target_epsilon)
        return _quick_bound(history(noise), delta)

    noise = _narrowed(cost, target_epsilon, tolerance)
    while epsilon_of(history(noise), delta).value > target_epsilon:  # a cross-check counts more
        noise *= 1 + tolerance
        _check_noise(noise, target_epsilon)
    return noise


def _narrowed(cost: Callable[[float], float], target: float, tolerance: float) -> float:
    """The least noise whose cost is within the target, to the tolerance, and never below it."""
    low, high = _bracket(cost, target)
    side, num_tries = 1.0, 0
    while high.noise - low.noise > tolerance * high.noise:
        span = high.noise - low.noise
        if num_tries % 3 == 2:
            noise = low.noise + span / 2
        else:  # now just above the root, now just below it, so that both ends close in
            noise = _interpolated(low, high, target) + side * 0.4 * tolerance * high.noise
            noise = min(max(noise, low.noise + 0.05 * span), high.noise - 0.05 * span)
        tried = _Tried(noise, cost(noise))
        low, high = (low, tried) if tried.cost <= target else (tried, high)
        side, num_tries = -side, num_tries + 1
    return high.noise


@dataclass(frozen=True, slots=True)
class _Tried:
    noise: float
    cost: float

    @property
    def log_cost(self) -> float:
        return math.log(min(max(self.cost, 1e-12), 1e300))


def _interpolated(low: _Tried, high: _Tried, target: float) -> float:
    """Where a power law through both ends meets the target."""
    share = (low.log_cost - math.log(target)) / (low.log_cost - high.log_cost)
    return float(low.noise * (high.noise / low.noise) ** share)


def _bracket(cost: Callable[[float], float], target: float) -> tuple[_Tried, _Tried]:
    """Too little noise and enough of it, a factor of two apart."""
    tried = _Tried(1.0, cost(1.0))
    factor = 0.5 if tried.cost <= target else 2.0
    while True:
        other = _Tried(tried.noise * factor, cost(tried.noise * factor))
        if (other.cost <= target) != (tried.cost <= target):
            return (other, tried) if factor < 1 else (tried, other)
        tried = other


def _check_noise(noise: float, target_epsilon: float) -> None:
    if noise > _MAX_NOISE:
        raise InvalidPlan(f"target_epsilon={target_epsilon}: no noise reaches it; raise it")


def _quick_bound(events: Sequence[GaussianEvent], delta: float) -> float:
    """What PLD says, or a Renyi bound at a few orders: never below `epsilon_of` but for PRV."""
    if any(event.noise_multiplier == 0 for event in events):
        return math.inf
    history = _merged(events)
    bound = _rdp(history, delta, _COARSE_ORDERS)
    return bound if bound > _PLD_LIMIT else _pld(history, delta)


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise InvalidPlan(f"delta={delta!r}: must be in (0, 1)")


def _merged(events: Sequence[GaussianEvent]) -> _History:
    """Equal mechanisms counted together, in one order whatever that of the events."""
    steps: dict[tuple[float, float], int] = {}
    for event in events:
        key = (event.noise_multiplier, event.sampling_rate)
        steps[key] = steps.get(key, 0) + event.steps
    return tuple(sorted((noise, rate, count) for (noise, rate), count in steps.items()))


@lru_cache(maxsize=1024)
def _cross_check(history: _History, delta: float) -> CrossCheck:
    bound = _rdp(history, delta, _ORDERS)
    return CrossCheck(
        pld=_pld(history, delta) if bound <= _PLD_LIMIT else math.nan,
        prv=_prv(history, delta) if _suits_prv(history, bound) else math.nan,
        rdp=bound,
    )


def _suits_prv(history: _History, bound: float) -> bool:
    return bound <= _PRV_LIMIT and len(history) <= _PRV_MECHANISMS


def _pld(history: _History, delta: float) -> float:
    parts = [_loss_distribution(*mechanism) for mechanism in history]
    composed = reduce(lambda one, other: one.compose(other), parts)
    return float(composed.get_epsilon_for_delta(delta))


@lru_cache(maxsize=64)
def _loss_distribution(noise: float, rate: float, steps: int) -> Any:
    from dp_accounting.pld import privacy_loss_distribution as pld  # type: ignore[import-untyped]

    one = pld.from_gaussian_mechanism(
        noise,
        value_discretization_interval=_INTERVAL,
        sampling_prob=rate,
        pessimistic_estimate=True,
        neighboring_relation=pld.NeighborRel.ADD_OR_REMOVE_ONE,
    )
    return one.self_compose(steps)


def _rdp(history: _History, delta: float, orders: tuple[float, ...]) -> float:
    from opacus.accountants.analysis import rdp  # type: ignore[import-untyped]

    total = sum(steps * _renyi(noise, rate, orders) for noise, rate, steps in history)
    spent = _quietly(lambda: rdp.get_privacy_spent(orders=orders, rdp=total, delta=delta)[0])
    return max(0.0, float(spent))


@lru_cache(maxsize=256)
def _renyi(noise: float, rate: float, orders: tuple[float, ...]) -> Any:
    """One step's Renyi divergence at each order."""
    from opacus.accountants.analysis import rdp

    return _quietly(lambda: rdp.compute_rdp(q=rate, noise_multiplier=noise, steps=1, orders=orders))


def _prv(history: _History, delta: float) -> float:
    from opacus.accountants import PRVAccountant  # type: ignore[import-untyped]

    accountant = PRVAccountant()
    accountant.history = list(history)
    try:
        figure = _quietly(lambda: float(accountant.get_epsilon(delta)))
    except (ArithmeticError, RuntimeError, ValueError):
        return math.nan
    return figure if 0 <= figure < math.inf else math.nan


def _quietly(compute: Callable[[], Any]) -> Any:
    """Without numpy's overflow warnings, which the caller's checks of the result replace."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return compute()
