"""The schema's version: an older database is brought up, a newer one is left alone.

All steps are one transaction under a lock, so that a process that dies, or a second one that starts
at the same time, leaves the old schema or the new one. Alembic is loaded only where there is
something to do.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from ophora_server.registry.database import WAIT_S, Database
from ophora_server.registry.errors import RegistryTooNew

NEWEST = "0002"
REVISIONS = ("0001", NEWEST)
_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('ophora registry schema'))"


def upgrade(url: str, *, to: str = NEWEST, wait_s: float = WAIT_S) -> None:
    """Bring the database at this URL to revision `to`; a second call does nothing.

    Raises RegistryTooNew, RegistryBusy, RegistryUnavailable, and `PlanInvalid` on a wrong URL.
    """
    database = Database(url, wait_s=wait_s)
    try:
        upgrade_database(database, to=to)
    finally:
        database.close()


def upgrade_database(database: Database, *, to: str = NEWEST) -> None:
    """As `upgrade`, on a database that is open. A look is enough where nothing is to be done."""
    with database.reading() as connection:
        revision = _checked_revision(connection)
    if revision is not None and REVISIONS.index(revision) >= REVISIONS.index(to):
        return
    with database.writing(_LOCK) as connection:
        _checked_revision(connection)  # another process may have been first
        _migrate(connection, to)


def _checked_revision(connection: Connection) -> str | None:
    """The revision, or None for a database without tables. Raises RegistryTooNew."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is not None and revision not in REVISIONS:
        raise RegistryTooNew(
            f"schema={str(revision)[:32]!r}: must be at most {NEWEST!r}; a newer version made it:"
            " install that one"
        )
    return None if revision is None else str(revision)


def _migrate(connection: Connection, to: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)
