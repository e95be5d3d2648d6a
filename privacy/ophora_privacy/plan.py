"""The privacy setting of one round: one frozen value that carries sampling, clipping and noise.

Data path: the coordinator announces it in the round plan, the site compares it with its policy, the
ledger accounts for it, the mechanism applies it. All four read this one value, so that they can't
drift apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import ClassVar

from ophora_privacy.assumptions import check_sampling
from ophora_privacy.errors import InvalidPlan


def _require(name: str, value: float, *, ok: bool, allowed: str) -> None:
    if not ok:
        raise InvalidPlan(f"{name}={value!r}: must be {allowed}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianEvent:
    """What the accountant needs to know: `steps` subsampled Gaussian mechanisms.

    `sampling` is named so that any other than Poisson's is refused with its reason.
    """

    noise_multiplier: float
    sampling_rate: float
    steps: int
    sampling: str = "poisson"

    def __post_init__(self) -> None:
        noise, rate = self.noise_multiplier, self.sampling_rate
        _require("noise_multiplier", noise, ok=_is_number(noise) and noise >= 0, allowed=">= 0")
        _require("sampling_rate", rate, ok=_is_number(rate) and 0 < rate <= 1, allowed="in (0, 1]")
        whole = type(self.steps) is int and self.steps >= 1
        _require("steps", self.steps, ok=whole, allowed="a whole number >= 1")
        check_sampling(self.sampling)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyPlan:
    """DP-SGD by patient for one round at one site.

    Every step samples each patient independently with `sampling_rate`, averages the gradients of
    at most `clips_per_patient` of the patient's clips, clips that to `clip_norm` (L2 over all
    tensors), sums over patients, adds N(0, (noise_multiplier * clip_norm)^2) to each coordinate
    once, and divides by `normaliser`. `normaliser` is a public constant: dividing by the number of
    patients that were really drawn would leak it.

    The unit of privacy is the patient; neighbouring data sets differ in all clips of one patient,
    added or removed. `noise_multiplier=0` is allowed and has an infinite epsilon. Raises
    InvalidPlan.
    """

    unit: ClassVar[str] = "patient"
    neighbours: ClassVar[str] = "add or remove one"
    sampling: ClassVar[str] = "poisson"

    clip_norm: float
    noise_multiplier: float
    sampling_rate: float
    steps_per_round: int
    delta: float
    clips_per_patient: int
    normaliser: float

    def __post_init__(self) -> None:
        for name in ("clip_norm", "normaliser"):
            value = getattr(self, name)
            _require(name, value, ok=_is_number(value) and value > 0, allowed="finite and > 0")
        for name in ("steps_per_round", "clips_per_patient"):
            value = getattr(self, name)
            _require(
                name, value, ok=type(value) is int and value >= 1, allowed="a whole number >= 1"
            )
        delta = self.delta
        _require("delta", delta, ok=_is_number(delta) and 0 < delta < 1, allowed="in (0, 1)")
        self.event()

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise on the sum, before the division by `normaliser`."""
        return self.noise_multiplier * self.clip_norm

    def event(self) -> GaussianEvent:
        """The accounting event of one round under this plan."""
        return GaussianEvent(
            noise_multiplier=self.noise_multiplier,
            sampling_rate=self.sampling_rate,
            steps=self.steps_per_round,
            sampling=self.sampling,
        )

    def calibrate(
        self, epsilon: float, delta: float, spent: Sequence[GaussianEvent] = (), *, rounds: int = 1
    ) -> PrivacyPlan:
        """This plan with the least noise that keeps `spent` and `rounds` such rounds in budget.

        What it costs is never above `epsilon` at `delta`. Raises InvalidPlan when no noise is
        enough.
        """
        from ophora_privacy.accountant import noise_for  # which needs the events of this module

        _require("rounds", rounds, ok=type(rounds) is int and rounds >= 1, allowed=">= 1")
        noise = noise_for(
            epsilon, delta, self.sampling_rate, self.steps_per_round * rounds, spent=spent
        )
        return replace(self, noise_multiplier=noise, delta=delta)

    def to_dict(self) -> dict[str, float | int]:
        """A flat dict that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> PrivacyPlan:
        """The inverse of `to_dict`; an unknown or missing key is refused by name."""
        known = {field.name for field in fields(cls)}
        for key in sorted(set(values) - known):
            raise InvalidPlan(f"{key}={values[key]!r}: unknown key; allowed: {sorted(known)}")
        for key in sorted(known - set(values)):
            raise InvalidPlan(f"{key}: missing from the privacy plan")
        return cls(**values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedNoise:
    """The noise on a secure sum to which at least `honest_sites` sites add their own share.

    `noise_multiplier` is that of the sum, relative to one patient's clip norm. It holds only under
    the assumption in `assumes`. Raises InvalidPlan.
    """

    noise_multiplier: float
    honest_sites: int

    def __post_init__(self) -> None:
        noise, sites = self.noise_multiplier, self.honest_sites
        _require("noise_multiplier", noise, ok=_is_number(noise) and noise >= 0, allowed=">= 0")
        whole = type(sites) is int and sites >= 1
        _require("honest_sites", sites, ok=whole, allowed="a whole number >= 1")

    @property
    def assumes(self) -> str:
        """What has to be true for the noise to be there."""
        return f"{self.honest_sites} honest sites"
