"""All that is recorded of a round, as one document; its hash is in the audit log."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from ophora_server.registry.tables import (
    FEDERATIONS,
    METRICS,
    RECEIPTS,
    ROUNDS,
    RUNS,
    SERVER_STATES,
    SITES,
)

_ROUND = tuple(column for column in ROUNDS.c if column.name != "run_id")
_RECEIPT = tuple(column for column in RECEIPTS.c if column.name != "site_id")


def round_records(connection: Connection, which: ColumnElement[bool]) -> dict[int, dict[str, Any]]:
    """By the round's id, those that a condition on ROUNDS takes, in the order of their numbers.

    Each has its federation and run, the round's row, the server state's digest, and the receipts of
    every attempt.
    """
    query = (
        select(
            FEDERATIONS.c.name.label("federation"),
            RUNS.c.name.label("run"),
            *_ROUND,
            SERVER_STATES.c.digest.label("server_state_digest"),
        )
        .join_from(ROUNDS, RUNS, ROUNDS.c.run_id == RUNS.c.id)
        .join(FEDERATIONS, RUNS.c.federation_id == FEDERATIONS.c.id)
        .outerjoin(SERVER_STATES, SERVER_STATES.c.round_id == ROUNDS.c.id)
        .where(which)
        .order_by(RUNS.c.id, ROUNDS.c.number)
    )
    receipts = _receipts(connection, which)
    found = {}
    for row in connection.execute(query):
        values = row._asdict()
        round_id = values.pop("id")
        found[round_id] = {**values, "receipts": receipts[round_id]}
    return found


def round_record(connection: Connection, round_id: int) -> dict[str, Any]:
    """Of one round, which must be there."""
    return round_records(connection, ROUNDS.c.id == round_id)[round_id]


def _receipts(
    connection: Connection, which: ColumnElement[bool]
) -> dict[int, list[dict[str, Any]]]:
    """By the round's id, in the order of attempts and sites."""
    query = (
        select(SITES.c.code.label("site"), *_RECEIPT)
        .join_from(RECEIPTS, SITES, RECEIPTS.c.site_id == SITES.c.id)
        .join(ROUNDS, RECEIPTS.c.round_id == ROUNDS.c.id)
        .where(which)
        .order_by(RECEIPTS.c.attempt, SITES.c.code)
    )
    metrics, found = _metrics(connection, which), defaultdict(list)
    for row in connection.execute(query):
        values = row._asdict()
        round_id, receipt_id = values.pop("round_id"), values.pop("id")
        found[round_id].append({**values, "metrics": metrics[receipt_id]})
    return found


def _metrics(
    connection: Connection, which: ColumnElement[bool]
) -> dict[int, dict[str, float | None]]:
    """By the receipt's id."""
    query = (
        select(METRICS)
        .join_from(METRICS, RECEIPTS, METRICS.c.receipt_id == RECEIPTS.c.id)
        .join(ROUNDS, RECEIPTS.c.round_id == ROUNDS.c.id)
        .where(which)
        .order_by(METRICS.c.name)
    )
    found: dict[int, dict[str, float | None]] = defaultdict(dict)
    for row in connection.execute(query):
        found[row.receipt_id][row.name] = row.value
    return found
