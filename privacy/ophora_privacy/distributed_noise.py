"""Noise that no single site carries: each adds a share, and the secure sum carries all of it.

Data path: one clipped vector a patient (`mechanism.clip_gradient`) -> `PatientTotal.add` ->
`PatientTotal.noisy_input` (grid, discrete Gaussian share) -> `SecureSumSite.masked_input` -> the
coordinator's sum, divided by the plan's `normaliser`. The coordinator never sees less than the sum
over `min_sites`, so it is the sum that must be private, and a small site needs little noise alone.

What is released is one sum of per-patient clipped vectors a round, noised once. Two uses fit:
(a) DP-FedSGD: a patient's vector is its clipped gradient, and the coordinator makes the step;
(b) patient-level DP-FedAvg: a patient's vector is its clipped model delta after any local tuning on
that patient alone. Several local DP-SGD steps over all patients, each with a share of the noise, do
not fit: one patient moves the update by more than the clip norm, in ways the sum's noise does not
cover. A plan with `steps_per_round` above 1 is refused, and so is one without noise.

The guarantee, for any one patient of an honest site, against the coordinator and `colluding_sites`
sites that pool all they know and add no noise: one Gaussian mechanism of `privacy.noise_multiplier`
a round, as `event` says, on patients sampled at `privacy.sampling_rate`. It holds because
1. honest survivors are at least `honest_sites = min_sites - colluding_sites`, or no honest site
   lets the sum be unmasked; each adds variance share_std^2, so dropouts are in the figure;
2. rounding changes a patient's vector by less than one step in each coordinate, whatever the random
   thresholds, so the sensitivity is `clip_norm + step * sqrt(size)` (Kairouz, Liu, Steinke 2021,
   the bound without conditioning). Projection onto the coordinate bound moves no two sums apart;
3. a sum of discrete Gaussians is one, to 1 part in 10^300 at 64 steps of deviation and above
   (ibid.), and that is a continuous Gaussian of variance less SMOOTHING^2 steps, rounded at random
   with deviation SMOOTHING, to the same part (Peikert 2010, convolution): post-processing of the
   mechanism accounted for, with any sampling and composition;
4. reduction modulo 2^32 and the noise of further survivors are post-processing.
The sampler's own rounding is in `discrete_gaussian`. With more colluders than planned less is left,
down to `lone_event` for the only honest site; with the secure sum's threshold reached, that too.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ophora_privacy.errors import InvalidPlan
from ophora_privacy.plan import GaussianEvent, PrivacyPlan
from ophora_privacy.secure_sum.discrete_gaussian import discrete_gaussian
from ophora_privacy.secure_sum.fixed_point import FixedPoint, RingVector
from ophora_privacy.secure_sum.keystream import Keystream
from ophora_privacy.secure_sum.plan import FEWEST_SITES, SecureSumPlan

if TYPE_CHECKING:
    from ophora_privacy.mechanism import ClippedGradient

SMOOTHING = 6.0  # steps; exp(-2 pi^2 36) is 1e-308

_LEAST_STEPS = 64.0  # of a share's deviation
_MOST_ROUNDING = 0.1  # of the clip norm, by which the sensitivity may grow
_ROUNDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributedNoisePlan:
    """Clipping, sampling, noise shares and accounting of one round over several sites.

    `privacy` says what the sum over all sites is to guarantee: `noise_multiplier` is that of the
    whole noise, `normaliser` divides the sum over all sites. `coordinate_bound` is the public bound
    on a coordinate of one site's sum, onto which it is projected. `size` is the number of values.
    `min_sites` is the secure sum's own; up to `colluding_sites` of those may add no noise.
    Raises InvalidPlan, also where 32 bits can't hold that much noise.
    """

    privacy: PrivacyPlan
    coordinate_bound: float
    size: int
    max_sites: int
    min_sites: int
    colluding_sites: int

    def __post_init__(self) -> None:
        privacy = self.privacy
        if privacy.steps_per_round != 1:
            raise InvalidPlan(
                f"steps_per_round={privacy.steps_per_round}: must be 1 with distributed noise, "
                "which covers one sum of clipped patients; use local noise for more steps"
            )
        if privacy.noise_multiplier == 0:
            raise InvalidPlan("noise_multiplier=0: must be > 0 with distributed noise")
        for name, least in (("size", 1), ("min_sites", FEWEST_SITES), ("colluding_sites", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise InvalidPlan(f"{name}={value!r}: must be a whole number >= {least}")
        if type(self.max_sites) is not int or self.max_sites < self.min_sites:
            raise InvalidPlan(f"max_sites={self.max_sites!r}: must be >= min_sites")
        if self.honest_sites < 1:
            raise InvalidPlan(f"colluding_sites={self.colluding_sites}: must be below min_sites")
        grid = self.grid  # raises where the noise doesn't fit
        coarse = grid.step * math.sqrt(self.size) > _MOST_ROUNDING * privacy.clip_norm
        if coarse or grid.noise_std < _LEAST_STEPS * grid.step:
            raise InvalidPlan(
                f"coordinate_bound={self.coordinate_bound}: too coarse a grid for this noise; "
                "lower the bound"
            )
        if self._multiplier(self.honest_sites, grid) < privacy.noise_multiplier:
            raise InvalidPlan("noise_multiplier: 32 bits can't hold its shares; lower it")

    @property
    def honest_sites(self) -> int:
        """The fewest honest sites in any sum that may be unmasked."""
        return self.min_sites - self.colluding_sites

    @property
    def share_std(self) -> float:
        """Deviation of one site's noise on a coordinate, in the units of the values."""
        return self.grid.noise_std

    @property
    def grid(self) -> FixedPoint:
        """The grid of the secure sum, with room for the noise."""
        wanted, honest = self.privacy.noise_multiplier, math.sqrt(self.honest_sites)
        std = wanted * self.privacy.clip_norm / honest
        grid = self._grid(std)
        for _ in range(_ROUNDS):  # more noise, coarser grid, more sensitivity: converges or raises
            std = math.hypot(wanted * self._sensitivity(grid), SMOOTHING * grid.step) / honest
            grid = self._grid(std * (1 + 1e-12))
        return grid

    @property
    def sensitivity(self) -> float:
        """How far one patient moves the rounded sum in L2; a little above `clip_norm`."""
        return self._sensitivity(self.grid)

    def sum_std(self, survivors: int) -> float:
        """Deviation of all noise in the sum over `survivors` honest sites: the cost in accuracy."""
        return self.share_std * math.sqrt(survivors)

    def event(self) -> GaussianEvent:
        """What a round costs a patient while at most `colluding_sites` collude."""
        return self.privacy.event()

    def lone_event(self) -> GaussianEvent:
        """What a round costs a patient of the only honest site: that site's share alone."""
        return GaussianEvent(
            noise_multiplier=self._multiplier(1, self.grid),
            sampling_rate=self.privacy.sampling_rate,
            steps=1,
        )

    def to_dict(self) -> dict[str, Any]:
        """A dict that JSON can hold; its digest belongs in the secure sum's `context`."""
        return asdict(self)

    def require_fits(self, plan: SecureSumPlan) -> None:
        """Raises InvalidPlan unless the secure sum's plan keeps what this one counts on."""
        if plan.grid != self.grid or plan.layout.size != self.size:
            raise InvalidPlan("secure sum: must have the grid and size of the noise plan")
        if plan.min_sites < self.min_sites:
            raise InvalidPlan(f"min_sites={plan.min_sites}: must be >= {self.min_sites}, as noised")
        if self.colluding_sites > plan.tolerated_colluders:
            raise InvalidPlan(
                f"colluding_sites={self.colluding_sites}: must be <= {plan.tolerated_colluders}, "
                "which the secure sum's threshold withstands; raise min_sites"
            )

    def _grid(self, std: float) -> FixedPoint:
        return FixedPoint(bound=self.coordinate_bound, max_sites=self.max_sites, noise_std=std)

    def _sensitivity(self, grid: FixedPoint) -> float:
        return self.privacy.clip_norm + grid.step * math.sqrt(self.size)

    def _multiplier(self, sites: int, grid: FixedPoint) -> float:
        variance = sites * grid.noise_std**2 - (SMOOTHING * grid.step) ** 2
        return math.sqrt(max(0.0, variance)) / self._sensitivity(grid)


class PatientTotal:
    """One site's sum over the patients of one round.

    The caller samples patients at the planned rate and adds each once. Nothing but `noisy_input`
    reads the sum. Raises InvalidPlan where the secure sum doesn't fit the noise.
    """

    def __init__(self, plan: SecureSumPlan, noise: DistributedNoisePlan) -> None:
        noise.require_fits(plan)
        self._noise = noise
        self._layout = plan.layout
        self._grid = plan.grid
        self._sum = np.zeros(noise.size, np.float64)

    def add(self, gradient: ClippedGradient) -> None:
        """Add one patient; its tensors in the sorted order of the layout's names.

        Raises TypeError on anything that `clip_gradient` did not make, InvalidPlan on another clip
        norm or other shapes.
        """
        from ophora_privacy.mechanism import ClippedGradient

        if not isinstance(gradient, ClippedGradient):
            raise TypeError(f"{type(gradient).__name__}: clip it first with clip_gradient()")
        clip_norm = self._noise.privacy.clip_norm
        if gradient.clip_norm != clip_norm:
            raise InvalidPlan(f"clip_norm={gradient.clip_norm}: must be {clip_norm}, as planned")
        shapes = [tuple(tensor.shape) for tensor in gradient.tensors]
        if shapes != [shape for _, shape in self._layout.tensors]:
            raise InvalidPlan(f"{len(shapes)} gradient shapes: must match those announced")
        flat = [tensor.cpu().numpy().ravel() for tensor in gradient.tensors]
        self._sum += np.concatenate(flat)

    def noisy_input(self) -> RingVector:
        """The sum on the grid with this site's share of the noise, and start over at zero.

        No patient at all gives noise alone. A sum past the coordinate bound is projected onto it
        and not refused: a refusal would tell something of the patients.
        """
        total, self._sum = self._sum, np.zeros_like(self._sum)
        bound = self._grid.bound
        return add_noise_share(self._grid.encode(np.clip(total, -bound, bound)))


def add_noise_share(vector: RingVector) -> RingVector:
    """With the share of noise that its grid plans. Raises InvalidPlan where it plans none."""
    grid = vector.grid
    if grid.noise_std == 0:
        raise InvalidPlan("noise_std=0: must be > 0 for a noise share")
    steps = discrete_gaussian(grid.noise_std / grid.step, len(vector.words), Keystream.fresh())
    return vector.shifted(steps, grid.noise_std)
