"""What a run of seeded sites must have come to, worked out again from its registry's receipts.

rounds and receipts of the registry -> who counts in each round -> seeded updates -> adapter
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophora_client.site import Site
from ophora_deploy.federation import LocalSite
from ophora_model.update import Shapes, tensors_digest
from ophora_privacy.accountant import epsilon_of
from ophora_server.registry.finished import read_adapter
from ophora_server.registry.registry import Registry
from ophora_server.registry.reports import records
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import open_registry
from seeded_site import seeded_update, tuned_rounds

RUN_ID = "run-1"
Adapter = dict[str, NDArray[np.float32]]


@dataclass(slots=True, kw_only=True)
class Replay:
    """What was found; each list names rounds or sites and is empty where all is as it must be."""

    finished: int = 0
    updates: int = 0  # that count
    attempts: int = 0  # of all rounds together
    twice: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    underspent: list[str] = field(default_factory=list)
    adapter: Adapter = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """All of them."""
        return [*self.twice, *self.different, *self.underspent]


def replay(run: RunFolder, sites: Sequence[LocalSite], shapes: Shapes) -> Replay:
    """Hold registry and ledgers against what the sites' updates are known to be."""
    found = Replay(adapter={name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    with open_registry(run) as registry:
        for record in records(registry, RUN_ID):
            found.attempts += record["attempt"]
            if record["state"] == "finished":
                found.finished += 1
                _check_round(registry, record, found)
            elif any(receipt["counted"] for receipt in record["receipts"]):
                found.twice.append(f"round {record['number']}: counted, not finished")
    for site in sites:
        _check_ledger(site, found)
    return found


def _check_round(registry: Registry, record: dict[str, Any], found: Replay) -> None:
    number = record["number"]
    counted = [receipt for receipt in record["receipts"] if receipt["counted"]]
    codes = [receipt["site"] for receipt in counted]
    if len(set(codes)) < len(codes) or any(r["attempt"] != record["attempt"] for r in counted):
        found.twice.append(f"round {number}")
    if number != found.finished:
        found.different.append(f"round {number}: out of turn")
    updates = {code: seeded_update(code, number, found.adapter) for code in sorted(set(codes))}
    for receipt in counted:
        if receipt["update_digest"] != tensors_digest(updates[receipt["site"]]):
            found.different.append(f"round {number}: update of {receipt['site']}")
    found.updates += len(counted)
    found.adapter = {
        name: start + _mean([update[name] for update in updates.values()])
        for name, start in found.adapter.items()
    }
    held = read_adapter(registry, record["adapter_digest"])
    if any(not np.array_equal(held[name], value) for name, value in found.adapter.items()):
        found.different.append(f"round {number}: adapter")


def _mean(updates: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    total = np.zeros(updates[0].shape, np.float64)
    for update in updates:
        total += update
    return (total / len(updates)).astype(np.float32)


def _check_ledger(site: LocalSite, found: Replay) -> None:
    """Every tuning that began has a reservation of its own, and epsilon is that of all of them."""
    ledger = Site.open(site.folder).open_ledger()
    spends = ledger.spends()
    reserved = Counter(spend.round for spend in spends)
    began = Counter(tuned_rounds(site.folder))
    if any(reserved[number] < count for number, count in began.items()):
        found.underspent.append(f"site {site.code}: more tunings than reservations")
    if spends:
        spent = epsilon_of([spends[0].event] * began.total(), ledger.delta)
        if ledger.epsilon().value < spent.value:
            found.underspent.append(f"site {site.code}: epsilon")


def processes_about(folder: Path) -> list[str]:
    """Command lines of live processes whose command or environment names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            about = command + (entry / "environ").read_bytes()
        except (OSError, NotADirectoryError):
            continue
        if str(folder).encode() in about and command:
            found.append(command.replace(b"\0", b" ").decode())
    return found
