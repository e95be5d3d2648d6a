"""Exact intervals of shares, and intervals of what was drawn again and again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ophora_privacy.audit.errors import AuditInvalid

Floats = NDArray[np.float64]
Interval = tuple[float, float]


def clopper_pearson(hits: int, total: int, *, confidence: float = 0.95) -> Interval:
    """The exact two-sided interval of a share; (0, 1) where nothing was tried.

    Source: Clopper and Pearson 1934. Raises AuditInvalid unless 0 <= hits <= total.
    """
    from scipy.special import betaincinv  # type: ignore[import-untyped]

    if not 0 <= hits <= total:
        raise AuditInvalid(f"hits={hits}: must be in [0, {total}]")
    check_confidence(confidence)
    tail = (1 - confidence) / 2
    low = float(betaincinv(hits, total - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, total - hits, 1 - tail)) if hits < total else 1.0
    return low, high


def check_confidence(confidence: float) -> None:
    """Raises AuditInvalid unless it is in (0.5, 1)."""
    if not 0.5 < confidence < 1:
        raise AuditInvalid(f"confidence={confidence!r}: must be in (0.5, 1)")


def percentile_interval(drawn: Floats, *, confidence: float) -> Interval:
    """The middle `confidence` of what was drawn."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)
