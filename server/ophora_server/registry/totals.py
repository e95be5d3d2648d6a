"""What the registry adds up to, over all runs of the federation: for metrics, one query each.

Totals come from what is committed, so a restart changes none of them. They are of the whole
federation's life, of every attempt, whether its round was finished or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, func, select

from ophora_server.registry.receipts import OK
from ophora_server.registry.registry import Registry
from ophora_server.registry.tables import AUDIT_LOG, RECEIPTS, RELEASES, ROUNDS, RUNS, SITES


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """`round_seconds` by stage, of finished rounds; `bytes_*` by site; `codes` of every receipt.

    `counted` updates are in a mean; `uncounted` ones came whole and are in none. `open_round` is 0
    between rounds.
    """

    round_seconds: Mapping[str, tuple[float, ...]]
    open_round: int
    bytes_sent: Mapping[str, int]
    bytes_received: Mapping[str, int]
    codes: Mapping[str, int]
    counted: int
    uncounted: int
    entries: Mapping[str, int]


def totals(registry: Registry) -> Totals:
    """In one snapshot."""
    with registry.reading() as connection:
        sent, received = _bytes(registry, connection)
        is_ours = _rounds_of(registry)
        return Totals(
            round_seconds=_round_seconds(registry, connection),
            open_round=int(
                connection.scalar(
                    select(func.max(ROUNDS.c.number)).where(is_ours, ROUNDS.c.state == "open")
                )
                or 0
            ),
            bytes_sent=sent,
            bytes_received=received,
            codes=_codes(registry, connection),
            counted=_counted(registry, connection),
            uncounted=_uncounted(registry, connection),
            entries=_entries(registry, connection),
        )


def _rounds_of(registry: Registry) -> ColumnElement[bool]:
    runs = select(RUNS.c.id).where(RUNS.c.federation_id == registry.federation_id)
    return ROUNDS.c.run_id.in_(runs)


def _round_seconds(registry: Registry, connection: Connection) -> dict[str, tuple[float, ...]]:
    query = select(ROUNDS.c.stage, ROUNDS.c.finished - ROUNDS.c.started).where(
        _rounds_of(registry), ROUNDS.c.state == "finished"
    )
    found: dict[str, list[float]] = {}
    for stage, seconds in connection.execute(query):
        found.setdefault(stage, []).append(max(0.0, float(seconds)))
    return {stage: tuple(values) for stage, values in sorted(found.items())}


def _bytes(registry: Registry, connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Sent and received by site; of sites that were never asked, none."""
    query = (
        select(SITES.c.code, func.sum(RECEIPTS.c.bytes_sent), func.sum(RECEIPTS.c.num_bytes))
        .join_from(RECEIPTS, SITES, RECEIPTS.c.site_id == SITES.c.id)
        .where(SITES.c.federation_id == registry.federation_id)
        .group_by(SITES.c.code)
        .order_by(SITES.c.code)
    )
    rows = connection.execute(query).all()
    return {row[0]: int(row[1]) for row in rows}, {row[0]: int(row[2]) for row in rows}


def _codes(registry: Registry, connection: Connection) -> dict[str, int]:
    query = (
        select(RECEIPTS.c.code, func.count())
        .join_from(RECEIPTS, SITES, RECEIPTS.c.site_id == SITES.c.id)
        .where(SITES.c.federation_id == registry.federation_id)
        .group_by(RECEIPTS.c.code)
    )
    return {code: int(number) for code, number in connection.execute(query)}


def _counted(registry: Registry, connection: Connection) -> int:
    query = (
        select(func.count())
        .select_from(RECEIPTS)
        .join(ROUNDS, RECEIPTS.c.round_id == ROUNDS.c.id)
        .where(_rounds_of(registry), RECEIPTS.c.counted)
    )
    return int(connection.scalar(query) or 0)


def _uncounted(registry: Registry, connection: Connection) -> int:
    """Of rounds that are not open any more: an open one's may still count."""
    query = (
        select(func.count())
        .select_from(RECEIPTS)
        .join(ROUNDS, RECEIPTS.c.round_id == ROUNDS.c.id)
        .where(
            _rounds_of(registry),
            RECEIPTS.c.code == OK,
            RECEIPTS.c.counted.is_(False),
            (ROUNDS.c.state != "open") | (RECEIPTS.c.attempt != ROUNDS.c.attempt),
        )
    )
    return int(connection.scalar(query) or 0)


def _entries(registry: Registry, connection: Connection) -> dict[str, int]:
    """Rows of the database by what they are."""
    tables: dict[str, Table] = {
        "sites": SITES,
        "runs": RUNS,
        "rounds": ROUNDS,
        "receipts": RECEIPTS,
        "releases": RELEASES,
        "audit_log": AUDIT_LOG,
    }
    return {
        kind: int(connection.scalar(select(func.count()).select_from(table)) or 0)
        for kind, table in tables.items()
    }
