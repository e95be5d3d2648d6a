"""Releases of a run, the sites' decisions on them, and whether they were published.

The signed records are files of the release (`published_release`); here are their digests, so that
one can ask what became of a release without its folder.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.engine import Row

from ophora_model.strict import check_choice
from ophora_server.registry.allowed import check_digest
from ophora_server.registry.errors import EntryRefused, UnknownEntry
from ophora_server.registry.registry import Registry
from ophora_server.registry.rounds import find_round
from ophora_server.registry.runs import find_run
from ophora_server.registry.sites import check_may_take_part, find_site
from ophora_server.registry.tables import APPROVALS, RELEASES

DECISIONS = ("approve", "reject")


def add_release(registry: Registry, run: str, number: int, *, digest: str) -> None:
    """Enter the release made after this finished round; once more does nothing.

    `digest` is the SHA-256 of its adapter file. Raises EntryRefused, UnknownEntry.
    """
    check_digest("release", digest)
    with registry.writing() as transaction:
        connection = transaction.connection
        row = find_round(connection, find_run(registry, connection, run).id, number)
        if row.state != "finished":
            raise EntryRefused(f"round={number}: must be finished before it is released")
        found = connection.scalar(select(RELEASES.c.round_id).where(RELEASES.c.digest == digest))
        if found == row.id:
            return
        if found is not None:
            raise EntryRefused(f"release={digest[:12]}...: is of another round; name that one")
        values = {"digest": digest, "round_id": row.id, "created": transaction.now}
        connection.execute(insert(RELEASES).values(values))
        transaction.audit("release", run=run, round=number, release=digest)


def record_decision(
    registry: Registry, digest: str, site: str, *, decision: str, record_digest: str
) -> None:
    """A site's signed word on a release, which takes the place of an earlier one of it.

    Raises UnknownEntry, SiteRefused, EntryRefused when the release is published.
    """
    check_choice("decision", decision, DECISIONS)
    check_digest("record", record_digest)
    with registry.writing() as transaction:
        connection = transaction.connection
        _check_not_published(_find_release(connection, digest))
        row = find_site(registry, connection, site)
        check_may_take_part(row)
        place = {"release_digest": digest, "site_id": row.id}
        connection.execute(delete(APPROVALS).filter_by(**place))
        said = {"decision": decision, "record_digest": record_digest}
        connection.execute(insert(APPROVALS).values(**place, **said, recorded=transaction.now))
        transaction.audit(
            "decision", release=digest, site=site, said=decision, record=record_digest
        )


def mark_published(
    registry: Registry, digest: str, *, evidence_digest: str, policy_digest: str
) -> None:
    """The gate held and the release went out. Raises UnknownEntry, EntryRefused the second time."""
    check_digest("evidence", evidence_digest)
    check_digest("policy", policy_digest)
    with registry.writing() as transaction:
        _check_not_published(_find_release(transaction.connection, digest))
        records = {"evidence_digest": evidence_digest, "policy_digest": policy_digest}
        transaction.connection.execute(
            update(RELEASES)
            .where(RELEASES.c.digest == digest)
            .values(published=transaction.now, **records)
        )
        transaction.audit("published", release=digest, **records)


def _find_release(connection: Connection, digest: str) -> Row[Any]:
    check_digest("release", digest)
    row = connection.execute(select(RELEASES).where(RELEASES.c.digest == digest)).one_or_none()
    if row is None:
        raise UnknownEntry(f"release={digest[:12]}...: must have been added; add it first")
    return row


def _check_not_published(row: Row[Any]) -> None:
    if row.published is not None:
        raise EntryRefused(f"release={row.digest[:12]}...: is published; make another release")
