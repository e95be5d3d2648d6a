"""The audit log: what happened, each entry chained to the one before by hash.

`append` runs inside the transaction of what it tells about: neither is there without the other.
The hash covers number, predecessor, time, event and values. It has no key: who may write the
database can write another chain, which is what the head, kept elsewhere, is for.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.engine import Row

from ophora_server.registry.allowed import check_document, check_word
from ophora_server.registry.audit_head import EMPTY, HEAD_FILE, AuditHead
from ophora_server.registry.errors import RegistryCorrupt
from ophora_server.registry.tables import AUDIT_LOG

_RESTORE = "put the newest copy of the registry and its head back"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry; `values` are ids, counts and digests."""

    seq: int
    time: float
    event: str
    values: dict[str, Any]


def append(
    connection: Connection, head: AuditHead | None, event: str, values: dict[str, Any]
) -> AuditHead:
    """Add an entry under the write lock; the new head, to be kept once this is committed.

    Raises RegistryCorrupt where the log doesn't hold `head`: nothing is built on a cut log.
    """
    check_word("event", event)
    check_document("values", values)
    last = last_head(connection)
    check_holds(connection, head, last)
    body = json.dumps(
        {"event": event, "time": round(time.time(), 3), "values": values},
        sort_keys=True,
        allow_nan=False,
    )
    seq = last.seq + 1
    digest = _hash(seq, last.hash, body)
    row = {"seq": seq, "body": body, "previous": last.hash, "hash": digest}
    connection.execute(insert(AUDIT_LOG).values(row))
    return AuditHead(seq=seq, hash=digest)


def entries(connection: Connection) -> Iterator[AuditEntry]:
    """All entries, oldest first, the chain checked on the way. Raises RegistryCorrupt."""
    expected = EMPTY
    for row in connection.execute(select(AUDIT_LOG).order_by(AUDIT_LOG.c.seq)):
        expected = _follow(expected, row)
        yield AuditEntry(seq=row.seq, **json.loads(row.body))


def check_holds(connection: Connection, head: AuditHead | None, last: AuditHead) -> None:
    """Raises RegistryCorrupt unless the log, whose end is `last`, holds the entry of the head."""
    if head is None:
        if last.seq:
            raise RegistryCorrupt(
                f"{HEAD_FILE}: not there, but the log has {last.seq} entries; {_RESTORE}"
            )
        return
    if last.seq < head.seq:
        raise RegistryCorrupt(
            f"audit log: {last.seq} entries, but {HEAD_FILE} knows of {head.seq}:"
            f" cut off, or an old copy; {_RESTORE}"
        )
    query = select(AUDIT_LOG.c.hash).where(AUDIT_LOG.c.seq == head.seq)
    if head.seq and connection.scalar(query) != head.hash:
        raise RegistryCorrupt(
            f"audit log: entry {head.seq} is not the one that {HEAD_FILE} knows; {_RESTORE}"
        )


def last_head(connection: Connection) -> AuditHead:
    """The head as the log itself has it; the chain is not checked."""
    query = select(AUDIT_LOG.c.seq, AUDIT_LOG.c.hash).order_by(AUDIT_LOG.c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    try:
        return EMPTY if row is None else AuditHead(seq=row.seq, hash=row.hash)
    except ValueError as error:
        raise RegistryCorrupt(f"audit log: its last entry was edited; {_RESTORE}") from error


def _follow(before: AuditHead, row: Row[Any]) -> AuditHead:
    seq = before.seq + 1
    if (row.seq, row.previous, row.hash) != (seq, before.hash, _hash(seq, before.hash, row.body)):
        raise RegistryCorrupt(
            f"audit log: entry {seq} doesn't follow from the one before it;"
            f" it was edited, moved or taken away; {_RESTORE}"
        )
    return AuditHead(seq=seq, hash=row.hash)


def _hash(seq: int, previous: str, body: str) -> str:
    return hashlib.sha256(f"{seq}\n{previous}\n{body}".encode()).hexdigest()
