"""One-run audit: a lower bound on epsilon from guesses about canaries that a coin included.

    m canaries, each trained on with probability 1/2 -> scores -> guesses (in, out, or none)
        -> right guesses -> the largest epsilon that so many right guesses refute

Source: Steinke, Nasr and Jagielski 2023, "Privacy auditing with one (1) training run" (arXiv
2305.08846), theorem 5.2 and appendix D: for a mechanism that is (epsilon, delta)-DP under adding or
removing one canary, the number of right guesses is dominated by a binomial of chance
e^epsilon / (1 + e^epsilon), but for a term in delta. The bound is valid for any guesses that are a
function of the released model alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ophora_privacy.audit.errors import AuditInvalid
from ophora_privacy.audit.intervals import check_confidence

GUESSED_SHARES = (1.0, 0.5, 0.2)  # of the canaries; the rest are abstained from
_MOST = 64.0  # epsilon: far above what any number of canaries can show
_BISECTIONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryFigures:
    """Guesses made and right of `canaries`, at the share that gave the largest bound.

    `epsilon_at_least` holds with `confidence` although the best of several shares was taken: each
    was given its part of the error. 0 says that nothing was shown.
    """

    canaries: int
    included: int
    guesses: int
    right: int
    delta: float
    confidence: float
    epsilon_at_least: float

    def refutes(self, epsilon: float) -> bool:
        """Whether the audit proves that `epsilon` is not kept at this delta."""
        return self.epsilon_at_least > epsilon


def canary_figures(
    scores: Sequence[float],
    included: Sequence[bool],
    *,
    delta: float,
    confidence: float = 0.95,
    shares: Sequence[float] = GUESSED_SHARES,
) -> CanaryFigures:
    """Guesses "in" for the highest scores and "out" for the lowest, as many of each.

    The shares must be fixed before the scores are seen. Raises AuditInvalid unless scores are
    finite, as many as coins, and both sides of the coin came up.
    """
    check_confidence(confidence)
    values, coins = np.asarray(scores, np.float64), np.asarray(included, np.bool_)
    _check(values, coins, shares)
    order = np.argsort(values, kind="stable")  # ties: by place, which the coins don't know
    part = 1 - (1 - confidence) / len(shares)  # Bonferroni
    tried = [_tried(coins[order], share, delta, part) for share in shares]
    bound, guesses, right = max(tried, key=lambda each: each[0])
    return CanaryFigures(
        canaries=len(values),
        included=int(coins.sum()),
        guesses=guesses,
        right=right,
        delta=delta,
        confidence=confidence,
        epsilon_at_least=bound,
    )


def epsilon_lower_bound(
    canaries: int, guesses: int, right: int, *, delta: float, confidence: float = 0.95
) -> float:
    """The largest epsilon that is refuted, found from below; 0 where none is. Appendix D."""
    check_confidence(confidence)
    error = 1 - confidence

    def refuted(epsilon: float) -> bool:
        chance = right_guess_chance(canaries, guesses, right, epsilon=epsilon, delta=delta)
        return chance < error

    low, high = 0.0, _MOST
    if not refuted(low):
        return 0.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def right_guess_chance(
    canaries: int, guesses: int, right: int, *, epsilon: float, delta: float
) -> float:
    """At most this is the chance of so many right guesses under (epsilon, delta)-DP.

    Raises AuditInvalid unless 0 <= right <= guesses <= canaries, epsilon >= 0, delta in [0, 1).
    """
    from scipy.special import bdtr, bdtrc  # type: ignore[import-untyped]

    if not 0 <= right <= guesses <= canaries:
        raise AuditInvalid(
            f"right={right}, guesses={guesses}, canaries={canaries}: must not decrease"
        )
    if not epsilon >= 0 or not 0 <= delta < 1:
        raise AuditInvalid(f"epsilon={epsilon!r}, delta={delta!r}: must be >= 0 and in [0, 1)")
    chance = 1 / (1 + math.exp(-epsilon))
    if right == 0:
        return 1.0
    tail = float(bdtrc(right - 1, guesses, chance))  # of `right` or more
    if delta == 0:
        return tail
    # delta may move mass from just below `right` to it: worst over how far below, i = 1..right
    steps = np.arange(1, right + 1)
    up_to = bdtr(np.maximum(right - steps - 1, 0), guesses, chance) * (steps < right)
    below = bdtr(right - 1, guesses, chance) - up_to
    worst = float((below / steps).max())
    return min(1.0, tail + 2 * canaries * delta * worst)


def _tried(
    ordered: np.ndarray, share: float, delta: float, confidence: float
) -> tuple[float, int, int]:
    half = max(1, int(share * len(ordered)) // 2)
    right = int((~ordered[:half]).sum()) + int(ordered[-half:].sum())
    bound = epsilon_lower_bound(len(ordered), 2 * half, right, delta=delta, confidence=confidence)
    return bound, 2 * half, right


def _check(values: np.ndarray, coins: np.ndarray, shares: Sequence[float]) -> None:
    if values.shape != coins.shape or values.ndim != 1:
        raise AuditInvalid(f"{len(values)} scores of {len(coins)} canaries: must be one each")
    if not np.isfinite(values).all():
        raise AuditInvalid("canary scores: must be finite; score them again")
    if len(values) < 2 or coins.all() or not coins.any():
        raise AuditInvalid(
            f"{int(coins.sum())} of {len(coins)} canaries included: some must be, and some not;"
            " plant more"
        )
    if not shares or not all(0 < share <= 1 for share in shares):
        raise AuditInvalid(f"shares={tuple(shares)}: must be in (0, 1], at least one")
