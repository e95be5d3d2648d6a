"""The end of a round: all of it in one transaction, and what the next start goes on from.

    outcome -> blobs on the disk -> lock -> receipts, adapter, server's state, metrics, round, entry
    of the audit log -> one commit

A process that is killed at any moment leaves the round before whole, and perhaps a blob that no row
names, which `Registry.sweep` collects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import delete, func, insert, select, update

from ophora_model.errors import PlanInvalid
from ophora_model.strict import check_number
from ophora_model.update import Tensors
from ophora_server.evidence import hash_of
from ophora_server.registry.adapter_blob import AdapterBlob
from ophora_server.registry.allowed import check_code, check_digest, check_metrics
from ophora_server.registry.errors import EntryRefused, UpdateReplayed
from ophora_server.registry.receipts import OK, Receipt, count_receipts, write_receipt
from ophora_server.registry.registry import Registry, Transaction
from ophora_server.registry.round_record import round_record
from ophora_server.registry.rounds import RoundAttempt, find_round, named, open_row, refusals
from ophora_server.registry.runs import find_run
from ophora_server.registry.tables import ADAPTERS, RECEIPTS, RELEASES, ROUNDS, SERVER_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOutcome:
    """What an attempt came to. Raises `PlanInvalid`.

    `receipts` are those of all sites that were asked; those with the code "ok" are in the mean.
    `server_state` is the server optimizer's, None without one. `metrics` are the coordinator's own.
    """

    adapter: AdapterBlob
    receipts: tuple[Receipt, ...]
    update_norm: float
    server_state: bytes | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_number("update_norm", self.update_norm, low=0)
        check_metrics("metrics", self.metrics)
        if not self.counted:
            raise PlanInvalid("receipts: must hold at least one update; abandon the round")

    @property
    def counted(self) -> tuple[Receipt, ...]:
        """Those whose update is in the mean."""
        return tuple(receipt for receipt in self.receipts if receipt.code == OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRound:
    """Where a run is: what the next round goes on from."""

    number: int
    stage: str
    attempt: int
    adapter_digest: str
    server_state: bytes | None


def finish_round(registry: Registry, place: RoundAttempt, outcome: RoundOutcome) -> FinishedRound:
    """The round with all that belongs to it, on the disk when this returns, or nothing of it.

    Of two processes that finish a round one does. Raises RoundClosed for the other and for an
    attempt that was taken over; UpdateReplayed and SiteRefused, after which the round is still
    open; RegistryUnavailable, after which `last_finished` tells what was reached.
    """
    payloads = [outcome.adapter.payload]
    if outcome.server_state is not None:
        payloads.append(outcome.server_state)
    digests = [registry.blobs.put(payload) for payload in payloads]
    with refusals(registry, place), registry.writing() as transaction:
        open_row(transaction.connection, place)
        for digest, payload in zip(digests, payloads, strict=True):
            if not registry.blobs.has(digest):  # a sweep came in between; none can now
                registry.blobs.put(payload)
        _write_receipts(registry, transaction, place, outcome)
        _write_blobs(transaction, place, outcome, digests)
        _close(transaction, place, outcome, digests[0])
    return FinishedRound(
        number=place.number,
        stage=place.stage,
        attempt=place.attempt,
        adapter_digest=digests[0],
        server_state=outcome.server_state,
    )


def last_finished(registry: Registry, run: str) -> FinishedRound | None:
    """The newest finished round; None before the first.

    Raises RegistryCorrupt where the server's state is not what was written, UnknownEntry.
    """
    with registry.reading() as connection:
        run_id = find_run(registry, connection, run).id
        query = select(ROUNDS, SERVER_STATES.c.digest.label("state_digest")).outerjoin(
            SERVER_STATES, SERVER_STATES.c.round_id == ROUNDS.c.id
        )
        row = connection.execute(
            query.where(ROUNDS.c.run_id == run_id, ROUNDS.c.state == "finished")
            .order_by(ROUNDS.c.number.desc())
            .limit(1)
        ).one_or_none()
    if row is None:
        return None
    state = row.state_digest
    return FinishedRound(
        number=row.number,
        stage=row.stage,
        attempt=row.attempt,
        adapter_digest=row.adapter_digest,
        server_state=None if state is None else registry.blobs.get(state),
    )


def withdraw_round(registry: Registry, run: str, number: int, *, reason: str) -> None:
    """Take back the last finished round, whose blobs are lost, so that it is run once more.

    For an operator who has no copy of the folder; `reason` is a code. Its receipts stay and count
    no more; what the sites' ledgers spent on it stays spent. Raises EntryRefused unless it is the
    last finished round and was not released, UnknownEntry.
    """
    check_code(reason)
    with registry.writing() as transaction:
        connection = transaction.connection
        row = find_round(connection, find_run(registry, connection, run).id, number)
        last = select(func.max(ROUNDS.c.number)).where(
            ROUNDS.c.run_id == row.run_id, ROUNDS.c.state == "finished"
        )
        released = select(RELEASES.c.digest).where(RELEASES.c.round_id == row.id)
        if connection.scalar(last) != number or connection.scalar(released) is not None:
            raise EntryRefused(f"round={number}: must be the last finished one, not released")
        connection.execute(delete(SERVER_STATES).where(SERVER_STATES.c.round_id == row.id))
        connection.execute(
            update(RECEIPTS).where(RECEIPTS.c.round_id == row.id).values(counted=False)
        )
        withdrawn = {"state": "abandoned", "adapter_digest": None, "finished": None}
        connection.execute(update(ROUNDS).where(ROUNDS.c.id == row.id).values(withdrawn))
        transaction.audit("round-withdrawn", run=run, round=number, reason=reason)


def read_adapter(registry: Registry, digest: str) -> Tensors:
    """The tensors of an adapter, verified. Raises RegistryCorrupt."""
    check_digest("adapter", digest)
    return AdapterBlob.read(registry.blobs.get(digest)).tensors()


def _write_receipts(
    registry: Registry, transaction: Transaction, place: RoundAttempt, outcome: RoundOutcome
) -> None:
    sites = [receipt.site for receipt in outcome.receipts]
    for site in sites:
        if sites.count(site) > 1:
            raise UpdateReplayed(site, f"site={site!r}: must have one receipt; none of it counts")
    written = {
        receipt.site: write_receipt(
            registry,
            transaction,
            receipt,
            round_id=place.round_id,
            attempt=place.attempt,
            may_be_there=True,
        )
        for receipt in outcome.receipts
    }
    count_receipts(transaction, [written[receipt.site] for receipt in outcome.counted])


def _write_blobs(
    transaction: Transaction, place: RoundAttempt, outcome: RoundOutcome, digests: list[str]
) -> None:
    connection, adapter = transaction.connection, outcome.adapter
    query = select(ADAPTERS.c.digest).where(ADAPTERS.c.digest == digests[0])
    if connection.scalar(query) is None:  # the same adapter again: every update was zero
        connection.execute(
            insert(ADAPTERS).values(
                digest=digests[0],
                num_bytes=len(adapter.payload),
                shapes_digest=adapter.shapes_digest,
                created=transaction.now,
            )
        )
    if outcome.server_state is not None:
        row = {"digest": digests[1], "num_bytes": len(outcome.server_state)}
        connection.execute(insert(SERVER_STATES).values(round_id=place.round_id, **row))


def _close(
    transaction: Transaction, place: RoundAttempt, outcome: RoundOutcome, adapter_digest: str
) -> None:
    """The round's own row and the entry that tells of it, last: its hash covers all the rest."""
    connection = transaction.connection
    connection.execute(
        update(ROUNDS)
        .where(ROUNDS.c.id == place.round_id)
        .values(
            state="finished",
            finished=transaction.now,
            participants=len(outcome.counted),
            bytes_sent=sum(receipt.bytes_sent for receipt in outcome.receipts),
            bytes_received=sum(receipt.num_bytes for receipt in outcome.receipts),
            update_norm=float(outcome.update_norm),
            adapter_digest=adapter_digest,
            metrics=dict(outcome.metrics),
        )
    )
    transaction.audit(
        "round-finished",
        **named(place),
        stage=place.stage,
        adapter=adapter_digest,
        participants=len(outcome.counted),
        record=hash_of(round_record(connection, place.round_id)),
    )
