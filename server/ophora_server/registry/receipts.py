"""Receipts: what came of asking a site in one attempt of a round.

A site has one receipt an attempt. It may be entered as the reply comes (`receive`, before the
update is added up) or with the round's end; only the end makes it count, in the transaction that
finishes the round, so an update is counted once or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select, update

from ophora_model.errors import PlanInvalid
from ophora_model.strict import check_number
from ophora_server.registry.allowed import (
    RECEIPT_METRICS,
    check_code,
    check_count,
    check_digest,
    check_metrics,
    check_site,
)
from ophora_server.registry.errors import UpdateReplayed
from ophora_server.registry.registry import Registry, Transaction
from ophora_server.registry.sites import check_may_take_part, find_site
from ophora_server.registry.tables import METRICS, RECEIPTS

OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One site's answer, or that there was none. Raises `PlanInvalid`.

    `attempt` is that of the request it answers. `num_bytes` came from the site and `bytes_sent`
    went to it; `seconds` passed in between. `update_digest` is the SHA-256 of the update, for the
    code "ok" and no other; `arrived` is None for what never came. Of `metrics` only those of
    RECEIPT_METRICS are kept; None stands for one that is infinite or missing.
    """

    site: str
    attempt: int
    code: str
    num_bytes: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0
    update_digest: str | None = None
    arrived: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_site(self.site)
        check_count("attempt", self.attempt, low=1)
        check_code(self.code)
        check_count("num_bytes", self.num_bytes)
        check_count("bytes_sent", self.bytes_sent)
        check_number("seconds", self.seconds, low=0)
        if self.arrived is not None:
            check_number("arrived", self.arrived, low=0)
        if (self.update_digest is not None) != (self.code == OK):
            raise PlanInvalid('update_digest: must be there for the code "ok" and no other')
        if self.update_digest is not None:
            check_digest("update_digest", self.update_digest)
        check_metrics("metrics", self.metrics, RECEIPT_METRICS)

    def row(self) -> dict[str, Any]:
        """As columns, without the site's."""
        return {
            "attempt": self.attempt,
            "code": self.code,
            "num_bytes": self.num_bytes,
            "bytes_sent": self.bytes_sent,
            "seconds": float(self.seconds),
            "update_digest": self.update_digest,
            "arrived": None if self.arrived is None else float(self.arrived),
        }


def finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """The metrics as a receipt holds them: None for what is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def write_receipt(
    registry: Registry,
    transaction: Transaction,
    receipt: Receipt,
    *,
    round_id: int,
    attempt: int,
    may_be_there: bool,
) -> int:
    """Enter a receipt, or find the same one where it `may_be_there`; its id. Nothing counts yet.

    Raises UpdateReplayed where it is of another attempt or not the site's only one, SiteRefused
    where its update must not count, UnknownEntry.
    """
    connection = transaction.connection
    site = find_site(registry, connection, receipt.site)
    if receipt.code == OK:
        check_may_take_part(site)
    if receipt.attempt != attempt:
        raise UpdateReplayed(
            receipt.site,
            f"site={receipt.site!r}: its receipt is of attempt {receipt.attempt}; must be of"
            f" {attempt}; it was left out",
        )
    place = {"round_id": round_id, "attempt": attempt, "site_id": site.id}
    found = connection.execute(select(RECEIPTS).filter_by(**place)).one_or_none()
    if found is None:
        row = {**receipt.row(), **place, "counted": False}
        made = connection.execute(insert(RECEIPTS).values(row).returning(RECEIPTS.c.id))
        receipt_id = int(made.scalar_one())
        _write_metrics(transaction, receipt_id, receipt)
        return receipt_id
    same = {name: getattr(found, name) for name in receipt.row()} == receipt.row()
    if not (may_be_there and same and _metrics(transaction, found.id) == receipt.metrics):
        raise UpdateReplayed(
            receipt.site,
            f"site={receipt.site!r}: must have one receipt an attempt, and has another;"
            " it was left out",
        )
    return int(found.id)


def count_receipts(transaction: Transaction, receipt_ids: list[int]) -> None:
    """These are in the round's mean."""
    transaction.connection.execute(
        update(RECEIPTS).where(RECEIPTS.c.id.in_(receipt_ids)).values(counted=True)
    )


def _metrics(transaction: Transaction, receipt_id: int) -> dict[str, float | None]:
    query = select(METRICS).where(METRICS.c.receipt_id == receipt_id)
    return {row.name: row.value for row in transaction.connection.execute(query)}


def _write_metrics(transaction: Transaction, receipt_id: int, receipt: Receipt) -> None:
    rows = [
        {"receipt_id": receipt_id, "name": name, "value": value}
        for name, value in sorted(receipt.metrics.items())
    ]
    if rows:
        transaction.connection.execute(insert(METRICS), rows)
