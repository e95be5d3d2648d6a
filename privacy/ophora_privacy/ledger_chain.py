"""The ledger's file: entries chained by hash in one append-only SQLite table.

Data path: entry body -> `Appending.append` -> commit, synced -> head beside the file. Reading
checks the whole chain from its start, then against the head, so nobody computes with a part of it.
The hashes have no key: who may write the file can write another one. That is what the head with
the coordinator is for.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ophora_privacy.errors import (
    LedgerCorrupt,
    LedgerRolledBack,
    LedgerTruncated,
    LedgerUnavailable,
)
from ophora_privacy.ledger_head import LedgerHead, head_path, read_head, write_head

Body = dict[str, Any]  # one entry as JSON holds it; its hash was checked

_GENESIS = "0" * 64
_WAIT_S = 30.0  # for another writer
_RESTORE = "train nothing; put the newest copy of the ledger and its head back"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry whose place in the chain was checked."""

    seq: int
    body: Body
    hash: str


@dataclass(frozen=True, slots=True)
class Appending:
    """The chain while its file is locked: nobody else appends until this ends."""

    entries: list[Entry]
    _connection: sqlite3.Connection

    def append(self, body: Body) -> Entry:
        """Add an entry; it is spent once the lock is given back without an error.

        Its random number keeps a round that is spent again after a roll-back from being the same.
        """
        last = self.entries[-1] if self.entries else None
        seq, previous = (last.seq + 1, last.hash) if last else (1, _GENESIS)
        body = {**body, "random": secrets.token_hex(8)}
        text = json.dumps(body, sort_keys=True, allow_nan=False)
        digest = _hash(seq, previous, text)
        row = (seq, text, previous, digest)
        self._connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", row)
        self._connection.execute(f"PRAGMA user_version = {seq:d}")  # tells a cut-off tail
        entry = Entry(seq=seq, body=body, hash=digest)
        self.entries.append(entry)
        return entry


class LedgerChain:
    """One ledger file and the head beside it.

    Every method raises LedgerUnavailable, LedgerCorrupt, LedgerTruncated or LedgerRolledBack.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._connection() as connection:
            connection.executescript(_SCHEMA)

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        head = read_head(self.path)  # before the chain, which is never behind it
        with self._connection() as connection:
            connection.execute("BEGIN")
            return _checked(connection, head, self.path)

    @contextmanager
    def appending(self) -> Iterator[Appending]:
        """Lock the file, check it, and commit what is appended; an error inside appends nothing."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            entries = _checked(connection, read_head(self.path), self.path)
            yield Appending(entries, connection)
            connection.execute("COMMIT")
            self._publish(connection)

    def mend_head(self) -> None:
        """Bring the head up to the chain where a crash left it behind."""
        head = read_head(self.path)
        with self._connection() as connection:
            if _head_of(_checked(connection, head, self.path)) != head:
                self._publish(connection)

    def restore_head(self, kept: LedgerHead) -> None:
        """Write a lost head anew, where the chain holds the one that was `kept` elsewhere.

        Changes nothing where there is a head.
        """
        if read_head(self.path) is not None:
            return
        with self._connection() as connection:
            check_head(_whole(connection), kept, "the receipt")
            self._publish(connection)

    def _publish(self, connection: sqlite3.Connection) -> None:
        """Write the head under the lock, so that of two writers the later one's stays."""
        connection.execute("BEGIN IMMEDIATE")
        head = _head_of(_read(connection))
        if head is not None:
            write_head(self.path, head)
        connection.execute("ROLLBACK")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        name = self.path.name
        try:
            connection = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise LedgerUnavailable(f"{name}: {error}") from error
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            yield connection
        except sqlite3.OperationalError as error:  # locked, disk full, read-only
            raise LedgerUnavailable(f"{name}: {error}; mend that and try again") from error
        except sqlite3.DatabaseError as error:
            raise LedgerCorrupt(f"{name}: {error}; {_RESTORE}") from error
        finally:
            connection.close()


def check_head(entries: list[Entry], head: LedgerHead, kept: str) -> None:
    """Raises LedgerRolledBack where the chain doesn't hold `head`, which was `kept` somewhere."""
    identity = _identity(entries)
    if identity is None or identity["ledger_id"] != head.ledger_id:
        raise LedgerRolledBack(f"not the ledger that {kept} knows; {_RESTORE}")
    if len(entries) < head.seq:
        raise LedgerRolledBack(
            f"{len(entries)} entries, but {kept} knows of {head.seq}: an old copy; {_RESTORE}"
        )
    if entries[head.seq - 1].hash != head.head_hash:
        raise LedgerRolledBack(f"entry {head.seq} is not the one that {kept} knows; {_RESTORE}")


def _checked(connection: sqlite3.Connection, head: LedgerHead | None, path: Path) -> list[Entry]:
    entries = _whole(connection)
    if head is not None:
        check_head(entries, head, head_path(path).name)
    elif any(entry.body["kind"] == "open" for entry in entries[:-1]):
        raise LedgerUnavailable(
            f"{head_path(path).name}: not there; {_RESTORE}, or run `ophora site budget"
            " restore-head` with the coordinator's receipt"
        )
    return entries


def _whole(connection: sqlite3.Connection) -> list[Entry]:
    """All entries, and as many as were ever written."""
    entries = _read(connection)
    (written,) = connection.execute("PRAGMA user_version").fetchone()
    if written > len(entries):
        raise LedgerTruncated(f"{len(entries)} entries of {written} written; {_RESTORE}")
    return entries


def _read(connection: sqlite3.Connection) -> list[Entry]:
    """All entries, after the chain was checked from its start."""
    entries: list[Entry] = []
    expected = _GENESIS
    rows = connection.execute("SELECT seq, body, previous, hash FROM entries ORDER BY seq")
    for place, (seq, text, previous, digest) in enumerate(rows, start=1):
        if seq != place or previous != expected or digest != _hash(seq, previous, text):
            raise LedgerCorrupt(f"entry {place}: its hash doesn't follow; {_RESTORE}")
        entries.append(Entry(seq=seq, body=json.loads(text), hash=digest))
        expected = digest
    return entries


def _head_of(entries: list[Entry]) -> LedgerHead | None:
    identity = _identity(entries)
    if identity is None:
        return None
    last = entries[-1]
    return LedgerHead(ledger_id=identity["ledger_id"], seq=last.seq, head_hash=last.hash)


def _identity(entries: list[Entry]) -> Body | None:
    """The body of the entry that names the ledger."""
    return next((entry.body for entry in entries if entry.body["kind"] == "open"), None)


def _hash(seq: int, previous: str, text: str) -> str:
    return hashlib.sha256(f"{seq}\n{previous}\n{text}".encode()).hexdigest()
