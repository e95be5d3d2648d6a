"""Integers with probability proportional to exp(-y^2 / (2 std^2)), from a cryptographic stream.

The rejection sampler of Canonne, Kamath and Steinke 2020 (algorithms 1 to 3), whole arrays at a
time: a discrete Laplace draw of scale t, accepted with exp(-(|y| - std^2/t)^2 / (2 std^2)). t is a
power of two, so that the uniform part has no bias, and the geometric part compares 64-bit words
with exact thresholds.

Where it falls short of exact: acceptance is computed in float64. Each probability is right to a
factor 1 +- 2^-44 within 10 deviations, and the rest differs by less than 2^-58 in total. For d
coordinates at n sites that adds at most 2^-43 * d * n to epsilon and
2^-58 * d * n * (1 + e^epsilon) to delta: 1e-5 and 4e-10 * (1 + e^epsilon) for 100 million. The time
it takes is not constant.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import numpy.typing as npt

from ophora_privacy.errors import InvalidPlan
from ophora_privacy.secure_sum.keystream import Keystream

_MAX_STD = 2.0**31
_CHUNK = 1 << 17


def discrete_gaussian(std: float, count: int, stream: Keystream) -> npt.NDArray[np.int64]:
    """`count` independent draws. Raises InvalidPlan unless `std` is in (0, 2^31]."""
    if not 0 < std <= _MAX_STD:
        raise InvalidPlan(f"std={std!r}: must be in (0, 2^31] grid steps")
    draws, filled = np.empty(count, np.int64), 0
    while filled < count:
        found = _accepted(std, min(_CHUNK, 3 * (count - filled) + 64), stream)
        taken = found[: count - filled]
        draws[filled : filled + len(taken)] = taken
        filled += len(taken)
    return draws


def _accepted(std: float, tries: int, stream: Keystream) -> npt.NDArray[np.int64]:
    """About 0.4 `tries` draws."""
    bits = max(0, math.ceil(math.log2(std)))
    scale = 1 << bits
    first, second, third = stream.words64(3 * tries).reshape(3, tries)
    negative = (first & 1).astype(bool)
    low = (first >> np.uint64(63 - bits) >> np.uint64(1)).astype(np.int64)  # uniform in [0, scale)
    size = low + scale * (len(_TAILS) - np.searchsorted(_TAILS, second, side="right"))
    off = size - std * std / scale
    chance = np.exp(-low / scale - off * off / (2 * std * std))
    # Below 2^64 also where the chance is 1: the largest float64 under it loses 2^-53 of it.
    limit = np.minimum(chance * 2.0**64, np.nextafter(2.0**64, 0)).astype(np.uint64)
    taken = (third < limit) & ~(negative & (size == 0))
    draws: npt.NDArray[np.int64] = np.where(negative, -size, size)[taken]
    return draws


def _tails() -> npt.NDArray[np.uint64]:
    """2^64 e^-v for v = 44 to 1, rounded: a uniform word is below with that probability."""
    with localcontext() as context:
        context.prec = 60
        exact = [Decimal(2) ** 64 * (-Decimal(v)).exp() for v in range(44, 0, -1)]
        return np.array([int(value.to_integral_value()) for value in exact], np.uint64)


_TAILS = _tails()
