"""Real numbers as integers modulo 2^32, so that masks cancel exactly and a sum can't overflow.

Data path: float32 vector -> `FixedPoint.encode` (stochastic rounding) -> `RingVector` -> masks,
sum -> `FixedPoint.decode`. The grid is public and the same at every site: all of it follows from
the bound on a coordinate, the greatest number of sites and the noise that they add.

Error. One site's value is rounded up or down to the grid, up with the probability that makes it
right on average: unbiased, less than `step` away, deviation at most `step / 2`. So a coordinate of
the sum over n sites is less than `n * step` away, and the whole vector of d coordinates about
`step * sqrt(n * d) / 2` in L2. Without noise `step` is `max_sites * bound / 2^31`: 2.3e-8 of the
bound for 50 sites.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ophora_privacy.errors import InputRefused, InvalidPlan
from ophora_privacy.secure_sum.keystream import Keystream, Words

NOISE_RANGE = 12.0  # deviations; a coordinate's noise leaves them with probability 4e-33

_HALF = 2**31 - 1
_FEWEST_LEVELS = 256  # of a bound; a coarser grid is a mistake in the plan
_MARGIN = 1e-6  # a bound kept in float32 may be passed by 6e-8 of it
_CHUNK = 1 << 18
_MADE_HERE = object()


class RingVector:
    """One site's input modulo 2^32, within its bound; only `encode` and `shifted` make it.

    Still as identifiable as what it was made from: it leaves the site masked only. `noise_std` is
    the deviation of the noise share in it, 0 where none was added. `spent` is set once a site has
    sent it masked, since the others can unmask that sum without the site: two sums with it, over
    other survivors, would tell their difference, so that no site puts it into another.
    """

    __slots__ = ("grid", "noise_std", "spent", "words")

    def __init__(self, words: Words, grid: FixedPoint, noise_std: float, made_by: object) -> None:
        if made_by is not _MADE_HERE:
            raise TypeError("a RingVector is made by FixedPoint.encode() only")
        words.setflags(write=False)
        self.words = words
        self.grid = grid
        self.noise_std = noise_std
        self.spent = False

    def shifted(self, noise: npt.NDArray[np.int64], noise_std: float) -> RingVector:
        """With integer noise of deviation `noise_std` added, once only. Raises InputRefused."""
        if self.noise_std != 0 or noise.shape != self.words.shape:
            raise InputRefused("noise share: must be added once, with the vector's own length")
        words = self.words + noise.astype(np.uint32)  # wraps modulo 2^32
        return RingVector(words, self.grid, noise_std, _MADE_HERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """The grid: every coordinate of every site is within +-`bound`.

    `noise_std` is the deviation of the noise that each site adds to a coordinate, 0 for none. The
    sum of `max_sites` inputs at the bound never overflows; with noise, it wraps with probability
    4e-33 a coordinate, which costs accuracy, never privacy. Raises InvalidPlan where `max_sites`
    or the noise leaves less than 256 steps to the bound.
    """

    bound: float
    max_sites: int
    noise_std: float = 0.0

    def __post_init__(self) -> None:
        if not (_is_number(self.bound) and self.bound > 0):
            raise InvalidPlan(f"bound={self.bound!r}: must be finite and > 0")
        if not (_is_number(self.noise_std) and self.noise_std >= 0):
            raise InvalidPlan(f"noise_std={self.noise_std!r}: must be finite and >= 0")
        if type(self.max_sites) is not int or self.max_sites < 1:
            raise InvalidPlan(f"max_sites={self.max_sites!r}: must be a whole number >= 1")
        if 2 * self.max_sites >= _HALF or self.bound / self.step < _FEWEST_LEVELS:
            raise InvalidPlan(
                f"max_sites={self.max_sites}: too many for 32 bits at this bound and noise; "
                "plan fewer sites or less noise"
            )

    @property
    def step(self) -> float:
        """The distance of two neighbouring grid points."""
        noise = NOISE_RANGE * math.sqrt(self.max_sites) * self.noise_std
        # Every site may round up by one and pass the bound by float64's own rounding.
        return (self.max_sites * self.bound + noise) / (_HALF - 2 * self.max_sites)

    def worst_error(self, sites: int) -> float:
        """No coordinate of the sum over `sites`, in exact arithmetic, is further off."""
        return sites * self.step

    def encode(self, flat: npt.NDArray[np.floating]) -> RingVector:
        """Round onto the grid, up or down by the operating system's randomness.

        Raises InputRefused on NaN, infinity or a value outside the bound; nothing is clamped here.
        """
        if flat.ndim != 1 or not np.isfinite(flat).all():
            raise InputRefused("values: must be one finite vector; stop the round")
        if flat.size and float(np.abs(flat).max()) > self.bound * (1 + _MARGIN):
            raise InputRefused("values outside the announced bound: clip the update to it first")
        words = np.empty(flat.size, np.uint32)
        stream, most = Keystream.fresh(), math.ceil(self.bound / self.step)
        for start in range(0, flat.size, _CHUNK):
            scaled = flat[start : start + _CHUNK].astype(np.float64) / self.step
            scaled += stream.words32(scaled.size) * 2.0**-32
            steps = np.clip(np.floor(scaled), -most, most).astype(np.int64)
            words[start : start + _CHUNK] = steps.astype(np.uint32)
        return RingVector(words, self, 0.0, _MADE_HERE)

    def decode(self, total: Words) -> npt.NDArray[np.float32]:
        """The sum as float32."""
        return (total.view(np.int32) * self.step).astype(np.float32)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
