"""A federation in one process; every message goes through its bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ophora_privacy.secure_sum import (
    FixedPoint,
    Layout,
    RingVector,
    Roster,
    SecureSum,
    SecureSumCoordinator,
    SecureSumPlan,
    SecureSumSite,
    SiteIdentity,
)
from ophora_privacy.secure_sum.messages import (
    KeyRoster,
    RelayedShares,
    SurvivorList,
    UnmaskRequest,
)
from ophora_privacy.secure_sum.wire import Message

Values = Mapping[str, npt.NDArray[np.float32]]
M = TypeVar("M", bound=Message)
PHASES = ("advertise", "share_keys", "masked_input", "confirm", "unmask")


def sent(message: M) -> M:
    """As it arrives on the other side."""
    return type(message).from_bytes(message.to_bytes())


@dataclass(kw_only=True)
class Federation:
    """Sites s00, s01, ... of one round, driven phase by phase."""

    number: int
    size: int = 8
    bound: float = 1.0
    min_sites: int = 3
    neighbours: int | None = None
    noise_std: float = 0.0
    round_id: str = "round 1"
    identities: dict[str, SiteIdentity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index in range(self.number):
            name = f"s{index:02d}"
            if name not in self.identities:
                self.identities[name] = SiteIdentity(name, Ed25519PrivateKey.generate())
        self.names = sorted(self.identities)
        keys = {name: identity.public_key() for name, identity in self.identities.items()}
        self.roster = Roster(keys)
        most = len(self.names)
        grid = FixedPoint(bound=self.bound, max_sites=most, noise_std=self.noise_std)
        self.plan = SecureSumPlan(
            round_id=self.round_id,
            layout=Layout(tensors=(("a", (self.size - 1,)), ("b", (1, 1)))),
            grid=grid,
            min_sites=self.min_sites,
            neighbours=most - 1 if self.neighbours is None else self.neighbours,
            roster_digest=self.roster.digest(),
        )
        self.sites = {
            name: SecureSumSite(self.plan, identity, self.roster)
            for name, identity in self.identities.items()
        }
        self.coordinator = SecureSumCoordinator(self.plan, self.roster)

    def values(self, seed: int) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
        """One random update a site, within the bound."""
        rng = np.random.default_rng(seed)
        return {
            name: self.plan.layout.unflatten(
                rng.uniform(-self.bound, self.bound, self.size).astype(np.float32)
            )
            for name in self.names
        }

    def vector(self, values: Values) -> RingVector:
        """Flat and on the grid."""
        return self.plan.grid.encode(self.plan.layout.flatten(values))

    def keys(self, present: Collection[str]) -> KeyRoster:
        """After the first phase."""
        for name in present:
            self.coordinator.receive(sent(self.sites[name].advertise()))
        return sent(self.coordinator.close_adverts())

    def shares(self, keys: KeyRoster, present: Collection[str]) -> dict[str, RelayedShares]:
        """After the second phase."""
        for name in present:
            self.coordinator.receive(sent(self.sites[name].share_keys(keys)))
        return {name: sent(relay) for name, relay in self.coordinator.close_shares().items()}

    def inputs(
        self,
        relayed: Mapping[str, RelayedShares],
        values: Mapping[str, Values],
        present: Collection[str],
    ) -> SurvivorList:
        """After the third phase."""
        for name in present:
            vector = self.vector(values[name])
            message = self.sites[name].masked_input(relayed[name], vector)
            self.coordinator.receive(sent(message))
        return sent(self.coordinator.close_inputs())

    def request(self, survivors: SurvivorList, present: Collection[str]) -> UnmaskRequest:
        """After the fourth phase."""
        for name in present:
            self.coordinator.receive(sent(self.sites[name].confirm(survivors)))
        return sent(self.coordinator.close_confirmations())

    def result(self, request: UnmaskRequest, present: Collection[str]) -> SecureSum:
        """After the last phase."""
        for name in present:
            self.coordinator.receive(sent(self.sites[name].unmask(request)))
        return self.coordinator.result()

    def run(
        self, values: Mapping[str, Values], lost: Mapping[str, Collection[str]] | None = None
    ) -> SecureSum:
        """A whole round; `lost` says who is gone from which phase on."""
        present: list[list[str]] = []
        left = list(self.names)
        for phase in PHASES:
            left = [name for name in left if name not in (lost or {}).get(phase, ())]
            present.append(left)
        relayed = self.shares(self.keys(present[0]), present[1])
        survivors = self.inputs(relayed, values, present[2])
        return self.result(self.request(survivors, present[3]), present[4])

    def to_unmask(self, values: Mapping[str, Values] | None = None) -> UnmaskRequest:
        """All sites present, up to the request they are to answer."""
        relayed = self.shares(self.keys(self.names), self.names)
        survivors = self.inputs(relayed, values or self.values(0), self.names)
        return self.request(survivors, self.names)


@pytest.fixture(scope="session")
def federation() -> Callable[..., Federation]:
    """Makes one."""
    return Federation
