"""One federation's registry: its database, the blobs beside it, and the head of its audit log.

    FOLDER/registry.sqlite   unless a URL names another database
    FOLDER/blobs/            adapters and server states, by digest
    FOLDER/audit.head        the last entry of the audit log, kept a second time

The modules beside this one read and write through it: `with registry.writing() as transaction`.
The folder belongs to the coordinator that writes; one on another machine may read a database by
URL, but is refused when it writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, insert, select, union

from ophora_server.registry.allowed import check_run
from ophora_server.registry.audit_head import EMPTY, HEAD_FILE, AuditHead, read_head, write_head
from ophora_server.registry.audit_log import append, check_holds, last_head
from ophora_server.registry.blobs import BlobStore, Swept
from ophora_server.registry.database import WAIT_S, Database
from ophora_server.registry.errors import RegistryUnavailable
from ophora_server.registry.schema import upgrade_database
from ophora_server.registry.tables import ADAPTERS, FEDERATIONS, SERVER_STATES

DATABASE_FILE = "registry.sqlite"


@dataclass(slots=True, kw_only=True)
class Transaction:
    """What one `writing` does; nothing of it is there before it ends without an error."""

    connection: Connection
    now: float  # seconds since 1970; one for all rows of the transaction
    folder: Path
    federation: str
    head: AuditHead | None = None

    def audit(self, event: str, **values: Any) -> None:
        """Add an entry of ids, counts and digests. Raises RegistryCorrupt on a cut log."""
        head = self.head or read_head(self.folder)
        named = {"federation": self.federation, **values}
        self.head = append(self.connection, head, event, named)


class Registry:
    """Opened for one federation. Safe across threads and processes, but not across a fork.

    Raises RegistryBusy after `wait_s` seconds behind another writer, RegistryUnavailable on a full
    disk or a lost connection (what was committed stays), RegistryTooNew, RegistryCorrupt, and
    `PlanInvalid` on a wrong URL; so does every function that takes one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        url: str | None = None,
        federation: str = "federation",
        wait_s: float = WAIT_S,
    ) -> None:
        check_run(federation, "federation")
        self.federation = federation
        self.folder = folder
        self.blobs = BlobStore(folder / "blobs")
        _make_folders(self.blobs.folder)
        self.database = Database(url or f"sqlite:///{folder / DATABASE_FILE}", wait_s=wait_s)
        try:
            upgrade_database(self.database)
            self.federation_id = self._found_federation()
            self._mend_head()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self.database.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot."""
        with self.database.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """The only writer until this ends; then all of it is committed, or none."""
        with self.database.writing() as connection:
            transaction = Transaction(
                connection=connection,
                now=round(time.time(), 3),
                folder=self.folder,
                federation=self.federation,
            )
            yield transaction
        if transaction.head is not None:
            write_head(self.folder, transaction.head)

    def record(self, event: str, **values: Any) -> None:
        """One entry of the audit log by itself."""
        with self.writing() as transaction:
            transaction.audit(event, **values)

    def sweep(self) -> Swept:
        """Take away the blobs that no row names: what processes that died had written."""
        with self.writing() as transaction:  # nobody can be about to commit a row
            named = union(select(ADAPTERS.c.digest), select(SERVER_STATES.c.digest))
            return self.blobs.sweep(set(transaction.connection.scalars(named)))

    def adopt_head(self) -> None:
        """Go on from the log as it is, after a copy was put back on purpose; the log says so."""
        with self.writing() as transaction:
            transaction.head = last_head(transaction.connection)
            transaction.audit("head-adopted", entries=transaction.head.seq)
            (self.folder / HEAD_FILE).unlink(missing_ok=True)

    def _found_federation(self) -> int:
        query = select(FEDERATIONS.c.id).where(FEDERATIONS.c.name == self.federation)
        with self.reading() as connection:
            found = connection.scalar(query)
        if found is not None:
            return int(found)
        with self.writing() as transaction:
            connection = transaction.connection
            if last_head(connection) == EMPTY and read_head(self.folder) is None:
                write_head(self.folder, EMPTY)  # from here on a missing one is a fault
            found = connection.scalar(query)  # another process may have been first
            if found is None:
                row = {"name": self.federation, "created": transaction.now}
                connection.execute(insert(FEDERATIONS).values(row))
                transaction.audit("federation-created")
                found = connection.scalar(query)
        assert found is not None
        return int(found)

    def _mend_head(self) -> None:
        """Bring the head up to the log where a crash left it behind; a fault is left to be found.

        Reading is all that may be wanted, and goes on without a head that holds.
        """
        head = read_head(self.folder)
        if head is None:
            return
        with self.reading() as connection:
            last = last_head(connection)
            if last.seq <= head.seq:
                return
            check_holds(connection, head, last)
        write_head(self.folder, last)


def _make_folders(blobs: Path) -> None:
    try:
        blobs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RegistryUnavailable(
            f"registry: its folder can't be made ({error.strerror}); mend that, or name another"
        ) from error
