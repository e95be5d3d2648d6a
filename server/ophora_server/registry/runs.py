"""Runs: what is asked for, and the rounds that are planned for it.

`open_run` is called at every start. Settings may change between starts as far as the rounds that
are over still mean the same; what may not change is in the run's identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.engine import Row

from ophora_model.errors import PlanInvalid
from ophora_model.round_plan import STAGES
from ophora_model.strict import check_choice
from ophora_server.evidence import hash_of
from ophora_server.registry.allowed import check_digest, check_document, check_run, plain
from ophora_server.registry.errors import EntryRefused, UnknownEntry
from ophora_server.registry.registry import Registry, Transaction
from ophora_server.registry.tables import ROUNDS, RUNS


def open_run(
    registry: Registry,
    run: str,
    *,
    identity: str,
    settings: Mapping[str, Any],
    stages: Sequence[str],
) -> None:
    """Enter the run, or go on with it; `stages` names the stage of every round, in order.

    `settings` is JSON of numbers and words (no paths); `identity` the SHA-256 of what finished
    rounds depend on. Raises EntryRefused where the run has another identity, or where a finished
    round would be of another stage or none.
    """
    check_run(run)
    check_digest("identity", identity)
    check_document("settings", settings)
    if not stages:
        raise PlanInvalid("stages=[]: must name the stage of at least one round")
    for stage in stages:
        check_choice("stage", stage, STAGES)
    with registry.writing() as transaction:
        run_id = _enter(registry, transaction, run, identity, plain(settings))
        _plan_rounds(transaction, run_id, stages)


def find_run(registry: Registry, connection: Connection, run: str) -> Row[Any]:
    """Its row. Raises UnknownEntry."""
    check_run(run)
    query = select(RUNS).where(RUNS.c.federation_id == registry.federation_id)
    row = connection.execute(query.where(RUNS.c.name == run)).one_or_none()
    if row is None:
        raise UnknownEntry(f"run_id={run!r}: must be a run of this federation; open it first")
    return row


def _enter(
    registry: Registry,
    transaction: Transaction,
    run: str,
    identity: str,
    settings: dict[str, Any],
) -> int:
    connection, federation = transaction.connection, registry.federation_id
    digest = hash_of(settings)
    try:
        row = find_run(registry, connection, run)
    except UnknownEntry:
        values = {"federation_id": federation, "name": run, "created": transaction.now}
        connection.execute(insert(RUNS).values(identity=identity, settings=settings, **values))
        transaction.audit("run-opened", run=run, identity=identity, settings=digest)
        return int(find_run(registry, connection, run).id)
    if row.identity != identity:
        raise EntryRefused(
            f"run_id={run!r}: made with another preset, base or adapter;"
            " put them back, or name another run"
        )
    if row.settings != settings:
        connection.execute(update(RUNS).where(RUNS.c.id == row.id).values(settings=settings))
        transaction.audit("run-changed", run=run, settings=digest)
    return int(row.id)


def _plan_rounds(transaction: Transaction, run_id: int, stages: Sequence[str]) -> None:
    """One row a round; those that are finished are left as they are."""
    connection = transaction.connection
    query = select(ROUNDS)
    there = {row.number: row for row in connection.execute(query.where(ROUNDS.c.run_id == run_id))}
    for number, stage in enumerate(stages, start=1):
        row = there.pop(number, None)
        if row is None:
            values = {"number": number, "stage": stage, "state": "planned", "attempt": 0}
            connection.execute(insert(ROUNDS).values(run_id=run_id, **values))
        elif row.stage != stage:
            _check_not_finished(row, f"would be {stage!r}")
            _change(connection, run_id, number, stage=stage)
    for number, row in there.items():
        _check_not_finished(row, "would be no more")
        if row.attempt:
            _change(connection, run_id, number, state="abandoned")
        else:
            connection.execute(delete(ROUNDS).where(_place(run_id, number)))


def _check_not_finished(row: Row[Any], what: str) -> None:
    if row.state == "finished":
        raise EntryRefused(
            f"stages: round {row.number} {what} but was run as {row.stage!r};"
            " put the rounds of the stages that are over back"
        )


def _change(connection: Connection, run_id: int, number: int, **values: Any) -> None:
    connection.execute(update(ROUNDS).where(_place(run_id, number)).values(**values))


def _place(run_id: int, number: int) -> Any:
    return (ROUNDS.c.run_id == run_id) & (ROUNDS.c.number == number)
