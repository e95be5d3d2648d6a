"""What the entries of a ledger say was spent, as values that the accountant can add up."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ophora_privacy.errors import LedgerUnavailable
from ophora_privacy.ledger_chain import Body, Entry
from ophora_privacy.plan import GaussianEvent, PrivacyPlan, SharedNoise

_KINDS = ("open", "reserve", "settle", "clock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """One reserved round as the ledger holds it.

    `assumes` is what has to be true for the noise of `event` to be there; `time_s` is in UTC
    seconds, None in entries older than 0.2.
    """

    seq: int
    run_id: str
    stage: str
    round: int
    plan: PrivacyPlan
    event: GaussianEvent
    settled: bool
    time_s: int | None = None
    note: str | None = None
    assumes: str | None = None


def read_spends(entries: list[Entry]) -> list[Spend]:
    """Every reservation, oldest first. Raises LedgerUnavailable for a kind of a newer version."""
    for entry in entries:
        if entry.body["kind"] not in _KINDS:  # a newer version's may have spent
            raise LedgerUnavailable(f"entry {entry.seq}: unknown kind; install the newer version")
    settled = {entry.body["seq"] for entry in entries if entry.body["kind"] == "settle"}
    return [
        Spend(
            seq=entry.seq,
            run_id=entry.body["run_id"],
            stage=entry.body["stage"],
            round=entry.body["round"],
            plan=PrivacyPlan.from_dict(entry.body["plan"]),
            event=event_of(entry.body),
            settled=entry.seq in settled,
            time_s=entry.body.get("time"),
            note=entry.body.get("note"),
            assumes=_shared(entry.body).assumes if "shared" in entry.body else None,
        )
        for entry in entries
        if entry.body["kind"] == "reserve"
    ]


def event_of(body: Body) -> GaussianEvent:
    """What the accountant counts for a reservation's body."""
    event = PrivacyPlan.from_dict(body["plan"]).event()
    if "shared" not in body:
        return event
    return replace(event, noise_multiplier=_shared(body).noise_multiplier)


def _shared(body: Body) -> SharedNoise:
    return SharedNoise(**body["shared"])
