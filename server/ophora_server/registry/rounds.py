"""Rounds: begun, heard of, abandoned; `finished` is how they end.

    begin_round -> the sites tune -> receive (each reply) -> finish_round -> last_finished

A begin is an attempt. A start after a crash begins the round that was cut off once more, as a new
attempt, to which nothing of the old one can be added.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.engine import Row

from ophora_server.registry.allowed import check_code, check_digest
from ophora_server.registry.errors import (
    EntryRefused,
    RoundClosed,
    SiteRefused,
    UnknownEntry,
    UpdateReplayed,
)
from ophora_server.registry.receipts import Receipt, write_receipt
from ophora_server.registry.registry import Registry
from ophora_server.registry.runs import find_run
from ophora_server.registry.tables import ROUNDS


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundAttempt:
    """What `begin_round` gives: the round may be finished as this attempt, once."""

    round_id: int
    run: str
    number: int
    stage: str
    attempt: int


def begin_round(
    registry: Registry, run: str, number: int, *, stage: str, plan_digest: str
) -> RoundAttempt:
    """Open a planned round, or take it over from a process that did not finish it.

    Every begin is a new attempt; the one before can't finish any more. Raises RoundClosed when the
    round is finished, EntryRefused before its turn or under another stage, UnknownEntry.
    """
    check_digest("plan_digest", plan_digest)
    with registry.writing() as transaction:
        connection = transaction.connection
        row = find_round(connection, find_run(registry, connection, run).id, number)
        if row.state == "finished":
            raise RoundClosed(f"round={number}: is finished; go on after the last finished one")
        if row.stage != stage:
            raise EntryRefused(f"round={number}: is planned as {row.stage!r}; open the run anew")
        if number != _num_finished(connection, row.run_id) + 1:
            raise EntryRefused(f"round={number}: must follow the last finished one")
        attempt = row.attempt + 1
        connection.execute(
            update(ROUNDS)
            .where(ROUNDS.c.id == row.id)
            .values(state="open", attempt=attempt, plan_digest=plan_digest, started=transaction.now)
        )
        place = RoundAttempt(round_id=row.id, run=run, number=number, stage=stage, attempt=attempt)
        transaction.audit("round-begun", **named(place), stage=stage, plan=plan_digest)
    return place


def receive(registry: Registry, place: RoundAttempt, receipt: Receipt) -> None:
    """Enter a reply as it comes, before its update is added up; it doesn't count yet.

    Raises UpdateReplayed for a second one of a site or one of another attempt, SiteRefused,
    RoundClosed; a refusal has its own entry in the audit log.
    """
    with refusals(registry, place), registry.writing() as transaction:
        open_row(transaction.connection, place)
        write_receipt(
            registry,
            transaction,
            receipt,
            round_id=place.round_id,
            attempt=place.attempt,
            may_be_there=False,
        )
        said = {"site": receipt.site, "code": receipt.code, "bytes": receipt.num_bytes}
        transaction.audit("receipt", **named(place), **said, update=receipt.update_digest)


def abandon_round(registry: Registry, place: RoundAttempt, *, reason: str) -> None:
    """Close an attempt without a result; `reason` is a code. Raises RoundClosed."""
    check_code(reason)
    with refusals(registry, place), registry.writing() as transaction:
        row = open_row(transaction.connection, place)
        transaction.connection.execute(
            update(ROUNDS).where(ROUNDS.c.id == row.id).values(state="abandoned")
        )
        transaction.audit("round-abandoned", **named(place), reason=reason)


@contextmanager
def refusals(registry: Registry, place: RoundAttempt) -> Iterator[None]:
    """A refusal is an entry of its own, after what was refused was rolled back."""
    try:
        yield
    except (UpdateReplayed, SiteRefused, RoundClosed) as error:
        site = getattr(error, "site", None)
        registry.record("refused", **named(place), site=site, reason=type(error).__name__)
        raise


def open_row(connection: Connection, place: RoundAttempt) -> Row[Any]:
    """The round's row, while this attempt is the one that may write. Raises RoundClosed."""
    row = connection.execute(select(ROUNDS).where(ROUNDS.c.id == place.round_id)).one_or_none()
    if row is None or row.state != "open":
        state = "gone" if row is None else row.state
        raise RoundClosed(f"round={place.number}: is {state}; go on after the last finished one")
    if row.attempt != place.attempt:
        raise RoundClosed(
            f"round={place.number}: attempt {place.attempt} was taken over by {row.attempt};"
            " leave it to the process that did"
        )
    return row


def find_round(connection: Connection, run_id: int, number: int) -> Row[Any]:
    """Its row. Raises UnknownEntry."""
    query = select(ROUNDS).where(ROUNDS.c.run_id == run_id, ROUNDS.c.number == number)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownEntry(f"round={number}: must be planned; open the run with more rounds")
    return row


def _num_finished(connection: Connection, run_id: int) -> int:
    is_finished = (ROUNDS.c.run_id == run_id) & (ROUNDS.c.state == "finished")
    return connection.scalar(select(func.count()).select_from(ROUNDS).where(is_finished)) or 0


def named(place: RoundAttempt) -> dict[str, Any]:
    """As an entry of the audit log names it."""
    return {"run": place.run, "round": place.number, "attempt": place.attempt}
