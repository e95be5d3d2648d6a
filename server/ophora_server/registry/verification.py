"""Whether the registry is what was written: audit log, head, rounds, blobs.

    head -> chain from its start -> each finished round against its entry -> its blobs

An edited, moved or missing entry breaks the chain; a cut tail misses the head; an edited round,
receipt or metric has another hash than the one that the log holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ophora_server.evidence import hash_of
from ophora_server.registry.audit_head import AuditHead, read_head
from ophora_server.registry.audit_log import check_holds, entries, last_head
from ophora_server.registry.errors import RegistryCorrupt
from ophora_server.registry.registry import Registry
from ophora_server.registry.round_record import round_records
from ophora_server.registry.tables import ROUNDS

_Place = tuple[str, str, int]  # federation, run, round


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was looked at; it holds when there are no faults, which are in words."""

    num_entries: int
    num_rounds: int
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether all is what was written."""
        return not self.faults


def verify(registry: Registry, *, blobs: bool = True) -> Verification:
    """Look at everything; `blobs=False` leaves out the files, whose reading takes longest.

    Guaranteed to name an entry of the log that was edited, moved, or taken out of its middle, a
    tail that was cut behind the head, and a finished round that was edited, added or taken away.
    """
    faults: list[str] = []
    kept = _kept_head(registry, faults)  # before the log, which is never behind it
    with registry.reading() as connection:
        num_entries, told = _checked_log(connection, kept, faults)
        num_rounds, named = _check_rounds(registry, connection, told, faults)
    for digest in sorted(named) if blobs else ():
        try:
            registry.blobs.get(digest)
        except RegistryCorrupt as error:
            faults.append(str(error))
    return Verification(num_entries=num_entries, num_rounds=num_rounds, faults=tuple(faults))


def _kept_head(registry: Registry, faults: list[str]) -> AuditHead | None:
    try:
        return read_head(registry.folder)
    except RegistryCorrupt as error:
        faults.append(str(error))
        return None


def _checked_log(
    connection: Connection, kept: AuditHead | None, faults: list[str]
) -> tuple[int, dict[_Place, str]]:
    """Number of entries that follow, and the record's hash of every round they call finished."""
    number, told = 0, {}
    try:
        for entry in entries(connection):
            number = entry.seq
            if entry.event in ("round-finished", "round-withdrawn"):
                named = entry.values
                place = (named["federation"], named["run"], named["round"])
                told[place] = named.get("record", "")
        check_holds(connection, kept, last_head(connection))
    except RegistryCorrupt as error:
        if str(error) not in faults:
            faults.append(str(error))
    return number, {place: record for place, record in told.items() if record}


def _check_rounds(
    registry: Registry, connection: Connection, told: dict[_Place, str], faults: list[str]
) -> tuple[int, set[str]]:
    """Rounds of all federations, since the log is one; and the digests of this one's blobs."""
    records = round_records(connection, ROUNDS.c.state == "finished").values()
    found = {(each["federation"], each["run"], each["number"]): each for each in records}
    for place in sorted({*found, *told}):
        name = f"run_id={place[1]!r}: round {place[2]}"
        if place not in found:
            faults.append(f"{name} is not there, but the audit log has it; put a copy back")
        elif place not in told:
            faults.append(f"{name} is finished, but not in the audit log; put a copy back")
        elif hash_of(found[place]) != told[place]:
            faults.append(f"{name} is not what the audit log has; put a copy back")
    own = [each for each in records if each["federation"] == registry.federation]
    named = {each[name] for each in own for name in ("adapter_digest", "server_state_digest")}
    return len(records), named - {None}
