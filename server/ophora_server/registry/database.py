"""The registry's database: SQLite in WAL mode, or PostgreSQL, with one writer at a time.

`writing` -> lock (bounded wait) -> statements -> commit, on the disk -> done; any error rolls all
of it back. `reading` sees one moment and never waits for a writer. Whatever the driver says becomes
an error of ours without values, paths or passwords in it.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ophora_model.errors import PlanInvalid
from ophora_model.strict import check_number
from ophora_server.registry.errors import (
    EntryRefused,
    RegistryBusy,
    RegistryCorrupt,
    RegistryError,
    RegistryUnavailable,
)

WAIT_S = 30.0
_IDLE_S = 60  # a frozen writer loses PostgreSQL's lock after this
_READ_ONLY = "registry_read_only"
_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_POSTGRES_BUSY = {"55P03", "40001", "40P01"}  # lock not available, serialization, deadlock
_POSTGRES_CORRUPT = {"XX001", "XX002"}


class Database:
    """Connections to one database. Safe across threads and processes, but not across a fork."""

    def __init__(self, url: str, *, wait_s: float = WAIT_S) -> None:
        """`url` is sqlite:///PATH or postgresql://...; raises `PlanInvalid` on any other.

        `wait_s` bounds the wait for another writer, and for PostgreSQL to answer.
        """
        check_number("wait_s", wait_s, low=0, high=3600, low_open=True)
        self._wait_s = wait_s
        self._engine = _engine(_parsed(url), wait_s)
        self.dialect = self._engine.dialect.name

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot: what others commit meanwhile is not seen."""
        options: dict[str, Any] = {_READ_ONLY: True}
        if self.dialect == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
        with (
            self._translated(),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def writing(self, lock: str | None = None) -> Iterator[Connection]:
        """One transaction while nobody else writes; all of it is on the disk afterwards, or none.

        `lock` is the statement that takes PostgreSQL's lock; SQLite's comes with the transaction.
        """
        with self._translated(), self._engine.begin() as connection:
            if self.dialect == "postgresql":
                connection.exec_driver_sql(lock or "LOCK TABLE audit_log IN EXCLUSIVE MODE")
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise EntryRefused(
                "registry: the database refused an entry that contradicts others; correct it"
            ) from error
        except (ProgrammingError, DataError):
            raise  # a mistake of ours, not a state of the database
        except DBAPIError as error:
            raise self._error_of(error.orig) from error
        except sqlite3.Error as error:  # while the connection was set up
            raise self._error_of(error) from error
        except PoolTimeout as error:
            raise self._busy() from error

    def _error_of(self, error: BaseException | None) -> RegistryError:
        """Shaped by what to do; the driver's own words stay in the cause."""
        number = getattr(error, "sqlite_errorcode", None)
        state = getattr(error, "sqlstate", None)
        code = number & 0xFF if number is not None else state
        if code in _SQLITE_BUSY or code in _POSTGRES_BUSY:
            return self._busy()
        if code in _SQLITE_CORRUPT or code in _POSTGRES_CORRUPT:
            return RegistryCorrupt(
                f"registry: the database is damaged (code {code}); put the newest copy back"
            )
        reason = {sqlite3.SQLITE_FULL: "its disk is full", "53100": "its disk is full"}.get(
            code or "", f"code {code or 'none: no connection'}"
        )
        return RegistryUnavailable(
            f"registry: the database can't be used ({reason}); mend that and start again:"
            " what was committed before is kept"
        )

    def _busy(self) -> RegistryBusy:
        return RegistryBusy(
            f"registry: locked by another writer for {self._wait_s:g} s; try again,"
            " or end the process that holds it"
        )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise PlanInvalid("url: must be sqlite:///PATH or postgresql://HOST/NAME") from error
    drivers = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
    name = parsed.get_backend_name()
    if name not in drivers or (name == "sqlite" and not parsed.database):
        raise PlanInvalid(f"url={name}: must be sqlite:///PATH or postgresql://HOST/NAME")
    return parsed.set(drivername=drivers[name])


def _engine(url: URL, wait_s: float) -> Engine:
    if url.get_backend_name() == "postgresql":
        return _postgres_engine(url, wait_s)
    # hidden, because an error's text would otherwise quote the values
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": wait_s})
    event.listen(engine, "connect", lambda raw, _record: _configure_sqlite(raw, wait_s))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgres_engine(url: URL, wait_s: float) -> Engine:
    milliseconds = max(1, round(wait_s * 1000))
    settings = {
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": _IDLE_S * 1000,
        "synchronous_commit": "on",  # whatever the server's own default is
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": max(2, math.ceil(wait_s))},
    )


def _configure_sqlite(connection: sqlite3.Connection, wait_s: float) -> None:
    connection.isolation_level = None  # the "begin" event below starts transactions
    _switch_to_wal(connection, time.monotonic() + wait_s)
    connection.execute("PRAGMA synchronous=FULL")  # a commit survives a power cut
    connection.execute("PRAGMA foreign_keys=ON")


def _switch_to_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Where two processes make a database at once, SQLite doesn't wait for this lock itself."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads first can't wait for the write lock: it fails at once.
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
