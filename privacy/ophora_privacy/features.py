"""A round's protections: each one class with a site's half and the coordinator's, in one list.

Data path: `Features.to_list` in the round plan -> `Features.from_list` at the site, which holds
each against its policy -> `accounted` for the ledger -> the site's half of the noise -> the two
halves of the secure sum -> the coordinator's half of the noise: the mean.

A list says how noise gets in, by `LocalNoise` or by `DistributedNoise`, and may hold one
`SecureAggregation`. Both sides make the plan of the secure sum for themselves, from the list, the
announced shapes and the roster that each has pinned: where a coordinator means another plan, no
message of the two fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from ophora_privacy.distributed_noise import DistributedNoisePlan, PatientTotal
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.plan import PrivacyPlan, SharedNoise
from ophora_privacy.secure_sum.coordinator import SecureSum, SecureSumCoordinator
from ophora_privacy.secure_sum.fixed_point import FixedPoint, RingVector
from ophora_privacy.secure_sum.graph import smallest_degree
from ophora_privacy.secure_sum.identity import Roster, SiteIdentity
from ophora_privacy.secure_sum.layout import Flat, Layout
from ophora_privacy.secure_sum.plan import FEWEST_SITES, SecureSumPlan
from ophora_privacy.secure_sum.site import SecureSumSite

Values = dict[str, Flat]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNoise:
    """Each site's update is private by itself: DP-SGD as the round's privacy plan says."""

    kind: ClassVar[str] = "local-noise"

    def site_half(self, plan: SecureSumPlan, update: Mapping[str, Flat]) -> RingVector:
        """The noised update on the grid, projected onto its bound, which tells nothing more."""
        flat = plan.layout.flatten(update)
        return plan.grid.encode(np.clip(flat, -plan.grid.bound, plan.grid.bound))

    def coordinator_half(self, total: SecureSum, privacy: PrivacyPlan) -> Values:
        """The mean of the survivors' updates, each with the same weight."""
        count = np.float32(len(total.survivors))
        return {name: value / count for name, value in total.values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributedNoise:
    """Each site adds a share of the noise and only the secure sum carries the whole of it.

    A patient's contribution is how `steps_per_patient` local steps on that patient's clips alone
    move the adapter, clipped (DP-FedAvg by patient). Up to `colluding_sites` of the sites in a sum
    may add no noise. Raises InvalidPlan.
    """

    kind: ClassVar[str] = "distributed-noise"

    colluding_sites: int
    steps_per_patient: int

    def __post_init__(self) -> None:
        _require_whole("colluding_sites", self.colluding_sites, low=0)
        _require_whole("steps_per_patient", self.steps_per_patient, low=1)

    def site_half(self, plan: SecureSumPlan, privacy: PrivacyPlan) -> PatientTotal:
        """An empty sum over this site's patients, which comes out with the site's noise share."""
        return PatientTotal(plan, self.noise_plan(plan, privacy))

    def coordinator_half(self, total: SecureSum, privacy: PrivacyPlan) -> Values:
        """The noised sum over all sites' patients by the public normaliser."""
        normaliser = np.float32(privacy.normaliser)
        return {name: value / normaliser for name, value in total.values.items()}

    def noise_plan(self, plan: SecureSumPlan, privacy: PrivacyPlan) -> DistributedNoisePlan:
        """Clipping, shares and accounting for the secure sum's bound, size and sites."""
        return self.noise_for(
            privacy,
            bound=plan.grid.bound,
            size=plan.layout.size,
            max_sites=plan.grid.max_sites,
            min_sites=plan.min_sites,
        )

    def noise_for(
        self, privacy: PrivacyPlan, *, bound: float, size: int, max_sites: int, min_sites: int
    ) -> DistributedNoisePlan:
        """As `noise_plan`, before there is a plan of the secure sum."""
        return DistributedNoisePlan(
            privacy=privacy,
            coordinate_bound=bound,
            size=size,
            max_sites=max_sites,
            min_sites=min_sites,
            colluding_sites=self.colluding_sites,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureAggregation:
    """The coordinator learns the sum over at least `min_sites` sites and no single update.

    `coordinate_bound` is the public bound on a coordinate of what one site gives; `max_sites` is
    the number of sites on the roster that `roster_digest` names. Raises InvalidPlan.
    """

    kind: ClassVar[str] = "secure-aggregation"

    coordinate_bound: float
    min_sites: int
    max_sites: int
    roster_digest: str

    def __post_init__(self) -> None:
        _require_whole("min_sites", self.min_sites, low=FEWEST_SITES)
        _require_whole("max_sites", self.max_sites, low=self.min_sites)
        FixedPoint(bound=self.coordinate_bound, max_sites=self.max_sites)

    def plan(
        self,
        noise: LocalNoise | DistributedNoise,
        privacy: PrivacyPlan,
        *,
        attempt: str,
        layout: Layout,
        context: str,
    ) -> SecureSumPlan:
        """The plan of one attempt at the round; the same on both sides or of no use.

        `attempt` is new each time, `context` a digest of the round plan.
        """
        grid = FixedPoint(bound=self.coordinate_bound, max_sites=self.max_sites)
        if isinstance(noise, DistributedNoise):
            grid = noise.noise_for(
                privacy,
                bound=self.coordinate_bound,
                size=layout.size,
                max_sites=self.max_sites,
                min_sites=self.min_sites,
            ).grid
        return SecureSumPlan(
            round_id=attempt,
            layout=layout,
            grid=grid,
            min_sites=self.min_sites,
            neighbours=smallest_degree(self.max_sites),
            roster_digest=self.roster_digest,
            context=context,
        )

    def site_half(
        self, plan: SecureSumPlan, identity: SiteIdentity, roster: Roster
    ) -> SecureSumSite:
        """Five answers of one site, under its long-term key and the roster that it has pinned."""
        return SecureSumSite(plan, identity, roster)

    def coordinator_half(self, plan: SecureSumPlan, roster: Roster) -> SecureSumCoordinator:
        """Five phases to the sum."""
        return SecureSumCoordinator(plan, roster)


Feature = LocalNoise | DistributedNoise | SecureAggregation
_KINDS: dict[str, type[Feature]] = {
    feature.kind: feature for feature in (LocalNoise, DistributedNoise, SecureAggregation)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """A round's list of features, checked as a whole. Raises InvalidPlan.

    `noise` comes first; `secure` is None for updates that the coordinator sees one by one, which
    only local noise allows.
    """

    noise: LocalNoise | DistributedNoise
    secure: SecureAggregation | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.noise, DistributedNoise):
            return
        if self.secure is None:
            raise InvalidPlan("distributed-noise: needs secure-aggregation after it in the list")
        if self.noise.colluding_sites >= self.secure.min_sites:
            raise InvalidPlan(
                f"colluding_sites={self.noise.colluding_sites}: must be below "
                f"min_sites={self.secure.min_sites}"
            )

    def accounted(self, privacy: PrivacyPlan) -> SharedNoise | None:
        """The shared noise for the ledger; None where the site's own noise is all that counts."""
        if not isinstance(self.noise, DistributedNoise) or self.secure is None:
            return None
        return SharedNoise(
            noise_multiplier=privacy.noise_multiplier,
            honest_sites=self.secure.min_sites - self.noise.colluding_sites,
        )

    def to_list(self) -> list[dict[str, Any]]:
        """What JSON can hold, in order."""
        listed = (self.noise, self.secure) if self.secure is not None else (self.noise,)
        return [{"kind": feature.kind, **asdict(feature)} for feature in listed]

    @classmethod
    def from_list(cls, given: Sequence[Mapping[str, Any]]) -> Self:
        """The inverse of `to_list`; unknown kinds, keys and orders are refused by name."""
        found = [_read(each) for each in given]
        match found:
            case [LocalNoise() | DistributedNoise() as noise]:
                return cls(noise=noise)
            case [LocalNoise() | DistributedNoise() as noise, SecureAggregation() as secure]:
                return cls(noise=noise, secure=secure)
            case _:
                raise InvalidPlan(
                    f"features={[feature.kind for feature in found]}: must be one kind of noise, "
                    "then secure-aggregation or nothing"
                )


def _read(given: Mapping[str, Any]) -> Feature:
    if not isinstance(given, Mapping) or given.get("kind") not in _KINDS:
        raise InvalidPlan(f"feature: must be a table with kind one of {', '.join(_KINDS)}")
    kind = _KINDS[given["kind"]]
    values = {key: value for key, value in given.items() if key != "kind"}
    known = {field.name for field in fields(kind)}
    for key in sorted(set(values) ^ known):
        what = "missing from" if key in known else "unknown key in"
        raise InvalidPlan(f"{key}: {what} {kind.kind}")
    return kind(**values)


def _require_whole(name: str, value: object, *, low: int, high: int = 100_000) -> None:
    if type(value) is not int or not low <= value <= high:
        raise InvalidPlan(f"{name}={value!r}: must be a whole number in [{low}, {high}]")
