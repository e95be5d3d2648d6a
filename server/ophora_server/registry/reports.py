"""What the command line and the page ask for; JSON-able, read in one snapshot each.

`history` gives the rounds as a release's card holds them. Nothing here is a blob or reads one.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import Row

from ophora_server.registry.audit_log import last_head
from ophora_server.registry.receipts import OK
from ophora_server.registry.registry import Registry
from ophora_server.registry.round_record import round_record, round_records
from ophora_server.registry.rounds import find_round
from ophora_server.registry.runs import find_run
from ophora_server.registry.tables import (
    APPROVALS,
    AUDIT_LOG,
    RECEIPTS,
    RELEASES,
    ROUNDS,
    RUNS,
    SITES,
)


def status(registry: Registry) -> dict[str, Any]:
    """The federation at a glance: counts of sites, each run's place, releases, the log's length."""
    with registry.reading() as connection:
        query = select(RUNS).where(RUNS.c.federation_id == registry.federation_id)
        found = connection.execute(query.order_by(RUNS.c.created, RUNS.c.id)).all()
        return {
            "federation": registry.federation,
            "sites": _count_sites(registry, connection),
            "runs": [_run_status(connection, row) for row in found],
            "audit_entries": last_head(connection).seq,
        }


def rounds(registry: Registry, run: str) -> list[dict[str, Any]]:
    """Every round of the run by number, without receipts. Raises UnknownEntry."""
    columns = (column for column in ROUNDS.c if column.name not in ("id", "run_id"))
    with registry.reading() as connection:
        run_id = find_run(registry, connection, run).id
        query = select(*columns).where(ROUNDS.c.run_id == run_id).order_by(ROUNDS.c.number)
        return [row._asdict() for row in connection.execute(query)]


def sites(registry: Registry) -> list[dict[str, Any]]:
    """Every site by code, with the number of its updates that count."""
    columns = [column for column in SITES.c if column.name not in ("id", "federation_id")]
    counted = (
        select(func.count())
        .where(RECEIPTS.c.site_id == SITES.c.id, RECEIPTS.c.counted)
        .scalar_subquery()
        .label("updates")
    )
    query = select(*columns, counted).where(SITES.c.federation_id == registry.federation_id)
    with registry.reading() as connection:
        return [row._asdict() for row in connection.execute(query.order_by(SITES.c.code))]


def show(registry: Registry, run: str, number: int) -> dict[str, Any]:
    """One round with the receipts of all its attempts. Raises UnknownEntry."""
    with registry.reading() as connection:
        row = find_round(connection, find_run(registry, connection, run).id, number)
        return round_record(connection, row.id)


def records(registry: Registry, run: str) -> list[dict[str, Any]]:
    """Every planned round by number, as `show` gives one. Raises UnknownEntry."""
    with registry.reading() as connection:
        run_id = find_run(registry, connection, run).id
        return list(round_records(connection, ROUNDS.c.run_id == run_id).values())


def audit_tail(registry: Registry, most: int) -> list[dict[str, Any]]:
    """The newest entries of the audit log, newest first; the chain is not checked.

    An entry that was edited beyond reading has no event and no values.
    """
    query = select(AUDIT_LOG.c.seq, AUDIT_LOG.c.body).order_by(AUDIT_LOG.c.seq.desc())
    with registry.reading() as connection:
        return [_entry(row.seq, row.body) for row in connection.execute(query.limit(most))]


def releases(registry: Registry, run: str) -> list[dict[str, Any]]:
    """The run's releases by round, with the sites' decisions. Raises UnknownEntry."""
    columns = (column for column in RELEASES.c if column.name != "round_id")
    with registry.reading() as connection:
        run_id = find_run(registry, connection, run).id
        query = select(*columns, ROUNDS.c.number.label("round"), ROUNDS.c.stage).join_from(
            RELEASES, ROUNDS, RELEASES.c.round_id == ROUNDS.c.id
        )
        query = query.where(ROUNDS.c.run_id == run_id).order_by(ROUNDS.c.number, RELEASES.c.created)
        return [
            {**row._asdict(), "decisions": _decisions(connection, row.digest)}
            for row in connection.execute(query).all()
        ]


def history(registry: Registry, run: str) -> list[dict[str, Any]]:
    """The finished rounds as `Checkpoint.history` holds them: who was in each, bytes, what it cost.

    `stated` is epsilon and delta by site, None for one that is infinite or missing.
    """
    with registry.reading() as connection:
        run_id = find_run(registry, connection, run).id
        is_finished = (ROUNDS.c.run_id == run_id) & (ROUNDS.c.state == "finished")
        return [_history_entry(each) for each in round_records(connection, is_finished).values()]


def _entry(seq: int, body: str) -> dict[str, Any]:
    try:
        read = json.loads(body)
        return {
            "seq": seq,
            "time": float(read["time"]),
            "event": str(read["event"]),
            "values": dict(read["values"]),
        }
    except (ValueError, TypeError, KeyError):
        return {"seq": seq, "time": None, "event": None, "values": {}}


def _history_entry(record: dict[str, Any]) -> dict[str, Any]:
    last = [each for each in record["receipts"] if each["attempt"] == record["attempt"]]
    counted = [each for each in last if each["counted"]]
    return {
        "round": record["number"],
        "stage": record["stage"],
        "sites": [each["site"] for each in counted],
        "seconds": round(record["finished"] - record["started"], 3),
        "bytes_sent": {each["site"]: each["bytes_sent"] for each in last},
        "bytes_received": {
            each["site"]: each["num_bytes"] for each in last if each["arrived"] is not None
        },
        "update_norm": record["update_norm"],
        "stated": {
            each["site"]: {name: each["metrics"].get(name) for name in ("epsilon", "delta")}
            for each in counted
        },
    }


def _count_sites(registry: Registry, connection: Connection) -> dict[str, int]:
    query = select(
        func.count().label("joined"),
        func.count(SITES.c.approved).label("approved"),
        func.count(SITES.c.revoked).label("revoked"),
    )
    row = connection.execute(query.where(SITES.c.federation_id == registry.federation_id)).one()
    return {name: int(value) for name, value in row._asdict().items()}


def _run_status(connection: Connection, run: Row[Any]) -> dict[str, Any]:
    """The round it is at is the open one, else the first that is not finished; None at its end."""
    query = select(ROUNDS).where(ROUNDS.c.run_id == run.id).order_by(ROUNDS.c.number)
    found = connection.execute(query).all()
    done = [row for row in found if row.state == "finished"]
    now = next((row for row in found if row.state != "finished"), None)
    return {
        "run": run.name,
        "identity": run.identity,
        "rounds": len(found),
        "finished": len(done),
        "last_finished": done[-1].finished if done else None,
        "adapter_digest": done[-1].adapter_digest if done else None,
        "current": None if now is None else _current(connection, now),
    }


def _current(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    answered = select(RECEIPTS.c.code).where(
        RECEIPTS.c.round_id == row.id, RECEIPTS.c.attempt == row.attempt
    )
    codes = connection.scalars(answered).all()
    return {
        "round": row.number,
        "stage": row.stage,
        "state": row.state,
        "attempt": row.attempt,
        "started": row.started,
        "ok": codes.count(OK),
        "not_ok": len(codes) - codes.count(OK),
    }


def _decisions(connection: Connection, digest: str) -> list[dict[str, Any]]:
    query = (
        select(
            SITES.c.code.label("site"),
            APPROVALS.c.decision,
            APPROVALS.c.record_digest,
            APPROVALS.c.recorded,
        )
        .join_from(APPROVALS, SITES, APPROVALS.c.site_id == SITES.c.id)
        .where(APPROVALS.c.release_digest == digest)
    )
    return [row._asdict() for row in connection.execute(query.order_by(SITES.c.code))]
