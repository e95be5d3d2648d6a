"""Secure aggregation: its error against the plain sum, its cost against plain averaging.

Every message goes through its bytes, all parties run in this process on one core. Dropouts leave
after they have shared their keys, which costs most: the coordinator then takes off every mask that
they have with the survivors. A site's CPU seconds are the mean over the survivors. What goes back
to the sites after the sum is the same with and without, and not counted.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from goals import Goal
from ophora_privacy.secure_sum import (
    FixedPoint,
    Layout,
    Roster,
    SecureSumCoordinator,
    SecureSumPlan,
    SecureSumSite,
    SiteIdentity,
)
from ophora_privacy.secure_sum.messages import MaskedInput, RelayedShares, SiteMessage
from ophora_privacy.secure_sum.wire import Message

MOST_ERROR = 1e-4
MOST_BYTES = 1.1  # of plain averaging's
_DROPOUTS = 0.3
_COST_SITES = 10
_ADAPTERS = {"3.2 MB": 800_000, "59 MB": 14_750_000}  # values of 4 bytes
_M = TypeVar("_M", bound=Message)


@dataclass(kw_only=True)
class Cost:
    """Bytes that crossed and CPU seconds, of all sites together and of the coordinator."""

    sites_bytes: int = 0  # sent by sites
    coordinator_bytes: int = 0  # sent by the coordinator
    cpu_s: dict[str, float] = field(default_factory=lambda: {"sites": 0.0, "coordinator": 0.0})

    @contextmanager
    def of(self, party: str) -> Iterator[None]:
        """Count the CPU seconds inside."""
        start_s = time.process_time()
        yield
        self.cpu_s[party] += time.process_time() - start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One round: relative L2 error of the sum, what it cost, what plain averaging would have."""

    error: float
    survivors: int
    cost: Cost
    plain: Cost


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Error for 3, 10 and 50 sites, then the cost of two adapters' sizes for 10 sites."""
    goals = []
    for sites in (3, 10) if quick else (3, 10, 50):
        outcome = run_round(sites, size=10_000 if quick else 100_000, seed=seed)
        goals.append(
            Goal(
                what=f"{sites} sites, {sites - outcome.survivors} lost: relative error, millionths",
                measured=outcome.error * 1e6,
                samples=outcome.survivors,
                at_most=MOST_ERROR * 1e6,
            )
        )
    for name, size in list(_ADAPTERS.items())[: 1 if quick else None]:
        goals += _costs(name, run_round(_COST_SITES, size=size, seed=seed))
    return goals


def _costs(name: str, outcome: Outcome) -> list[Goal]:
    cost, plain, sites = outcome.cost, outcome.plain, _COST_SITES
    rows = {
        "error, millionths": outcome.error * 1e6,
        "site sends, MB": cost.sites_bytes / outcome.survivors / 1e6,
        "site receives, MB": cost.coordinator_bytes / sites / 1e6,
        "site, CPU s": cost.cpu_s["sites"] / outcome.survivors,
        "site, plain, CPU s": plain.cpu_s["sites"] / outcome.survivors,
        "coordinator, CPU s": cost.cpu_s["coordinator"],
        "coordinator, plain, CPU s": plain.cpu_s["coordinator"],
    }
    ratio = (cost.sites_bytes + cost.coordinator_bytes) / plain.sites_bytes
    first = Goal(
        what=f"{name}, {sites} sites: bytes over plain averaging's",
        measured=ratio,
        samples=sites,
        at_most=MOST_BYTES,
    )
    others = [
        Goal(what=f"{name}, {sites} sites: {what}", measured=value, samples=sites)
        for what, value in rows.items()
    ]
    return [first, *others]


def run_round(number: int, *, size: int, seed: int) -> Outcome:
    """One round; each update is a random direction of norm 1, its bound on a coordinate too."""
    names = [f"s{index:02d}" for index in range(number)]
    lost = set(np.random.default_rng(seed).choice(names, math.floor(_DROPOUTS * number), False))
    survivors = [name for name in names if name not in lost]
    sites, coordinator, plan = _parties(names, size, least=max(3, len(survivors)))
    cost, plain = Cost(), Cost()
    _up(cost, coordinator, names, lambda name: sites[name].advertise())
    keys = _down(cost, number, coordinator.close_adverts)
    _up(cost, coordinator, names, lambda name: sites[name].share_keys(keys))
    with cost.of("coordinator"):
        relayed = {name: message.to_bytes() for name, message in coordinator.close_shares().items()}
    cost.coordinator_bytes += sum(map(len, relayed.values()))
    expected, average = np.zeros(size), np.zeros(size, np.float32)
    for name in survivors:
        update = _update(size, seed, names.index(name))
        expected += update
        _input(cost, coordinator, sites[name], relayed[name], plan, update)
        _averaged(plain, average, update)
    listed = _down(cost, len(survivors), coordinator.close_inputs)
    _up(cost, coordinator, survivors, lambda name: sites[name].confirm(listed))
    request = _down(cost, len(survivors), coordinator.close_confirmations)
    _up(cost, coordinator, survivors, lambda name: sites[name].unmask(request))
    with cost.of("coordinator"):
        found = coordinator.result().values["adapter"]
    error = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    return Outcome(error=error, survivors=len(survivors), cost=cost, plain=plain)


def _parties(
    names: list[str], size: int, *, least: int
) -> tuple[dict[str, SecureSumSite], SecureSumCoordinator, SecureSumPlan]:
    identities = {name: SiteIdentity(name, Ed25519PrivateKey.generate()) for name in names}
    roster = Roster({name: identity.public_key() for name, identity in identities.items()})
    plan = SecureSumPlan(
        round_id="benchmark",
        layout=Layout(tensors=(("adapter", (size,)),)),
        grid=FixedPoint(bound=1.0, max_sites=len(names)),
        min_sites=least,
        neighbours=len(names) - 1,
        roster_digest=roster.digest(),
    )
    sites = {name: SecureSumSite(plan, identity, roster) for name, identity in identities.items()}
    return sites, SecureSumCoordinator(plan, roster), plan


def _update(size: int, seed: int, place: int) -> npt.NDArray[np.float32]:
    update = np.random.default_rng([seed, place]).standard_normal(size, np.float32)
    return update / np.linalg.norm(update)


def _input(
    cost: Cost,
    coordinator: SecureSumCoordinator,
    site: SecureSumSite,
    relayed: bytes,
    plan: SecureSumPlan,
    update: npt.NDArray[np.float32],
) -> None:
    with cost.of("sites"):
        vector = plan.grid.encode(plan.layout.flatten({"adapter": update}))
        message = RelayedShares.from_bytes(relayed)
        data = site.masked_input(message, vector).to_bytes()
    cost.sites_bytes += len(data)
    with cost.of("coordinator"):
        coordinator.receive(MaskedInput.from_bytes(data))


def _averaged(
    plain: Cost, average: npt.NDArray[np.float32], update: npt.NDArray[np.float32]
) -> None:
    with plain.of("sites"):
        data = update.tobytes()
    plain.sites_bytes += len(data)
    with plain.of("coordinator"):
        average += np.frombuffer(data, np.float32)


def _up(
    cost: Cost,
    coordinator: SecureSumCoordinator,
    names: list[str],
    answer: Callable[[str], SiteMessage],
) -> None:
    """One message of each site to the coordinator."""
    for name in names:
        with cost.of("sites"):
            message = answer(name)
            data = message.to_bytes()
        cost.sites_bytes += len(data)
        with cost.of("coordinator"):
            coordinator.receive(type(message).from_bytes(data))


def _down(cost: Cost, number: int, close: Callable[[], _M]) -> _M:
    """One message of the coordinator to `number` sites."""
    with cost.of("coordinator"):
        message = close()
        data = message.to_bytes()
    cost.coordinator_bytes += number * len(data)
    with cost.of("sites"):
        for _ in range(number):
            found = type(message).from_bytes(data)
    return found
