"""The sites of the federation: who joined with which key, who may take part, who was heard of.

A site is never deleted: revoked, it stays with all that it gave. One key is one site, and a code
keeps its key; a site with a new key joins under a new code.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Row

from ophora_model.strict import check_number
from ophora_server.registry.allowed import check_digest, check_site, check_word
from ophora_server.registry.errors import EntryRefused, SiteRefused, UnknownEntry
from ophora_server.registry.registry import Registry, Transaction
from ophora_server.registry.tables import SITES


def join_site(registry: Registry, code: str, *, key_fingerprint: str) -> None:
    """Enter a site, not approved yet; once more with the same key does nothing.

    `key_fingerprint` is the SHA-256 of its public key. Raises EntryRefused where the code has
    another key, or the key another code.
    """
    check_site(code)
    check_digest("key_fingerprint", key_fingerprint)
    with registry.writing() as transaction:
        connection, federation = transaction.connection, registry.federation_id
        same = (SITES.c.code == code) | (SITES.c.key_fingerprint == key_fingerprint)
        query = select(SITES.c.code, SITES.c.key_fingerprint)
        found = connection.execute(query.where(SITES.c.federation_id == federation, same)).all()
        if [tuple(row) for row in found] == [(code, key_fingerprint)]:
            return
        if found:
            raise EntryRefused(
                f"site={code!r}: its code or key is another site's; give it new ones"
            )
        connection.execute(
            insert(SITES).values(
                federation_id=federation,
                code=code,
                key_fingerprint=key_fingerprint,
                joined=transaction.now,
            )
        )
        transaction.audit("site-joined", site=code, key=key_fingerprint)


def approve_site(registry: Registry, code: str) -> None:
    """From now on its updates count. Raises UnknownEntry, SiteRefused when it is revoked."""
    with registry.writing() as transaction:
        row = find_site(registry, transaction.connection, code)
        if row.revoked is not None:
            raise SiteRefused(code, f"site={code!r}: is revoked; let it join under another code")
        if row.approved is None:
            _change(transaction, row.id, approved=transaction.now)
            transaction.audit("site-approved", site=code, key=row.key_fingerprint)


def revoke_site(registry: Registry, code: str) -> None:
    """From now on nothing of it counts, not even in a round that is open. Raises UnknownEntry."""
    with registry.writing() as transaction:
        row = find_site(registry, transaction.connection, code)
        if row.revoked is None:
            _change(transaction, row.id, revoked=transaction.now)
            transaction.audit("site-revoked", site=code)


def note_contact(
    registry: Registry,
    code: str,
    *,
    software: str | None = None,
    budget_epsilon: float | None = None,
    budget_delta: float | None = None,
) -> None:
    """The site was heard of just now; None leaves what it said before. Raises UnknownEntry.

    Only a changed version or budget is worth an entry of the audit log. An infinite budget is none.
    """
    said: dict[str, Any] = {}
    if software is not None:
        check_word("software", software)
        said["software"] = software
    for name, value in (("budget_epsilon", budget_epsilon), ("budget_delta", budget_delta)):
        if value is not None:
            check_number(name, value, low=0)
            said[name] = float(value)
    with registry.writing() as transaction:
        row = find_site(registry, transaction.connection, code)
        _change(transaction, row.id, last_contact=transaction.now, **said)
        changed = {name: value for name, value in said.items() if getattr(row, name) != value}
        if changed:
            transaction.audit("site-changed", site=code, **changed)


def approved_sites(registry: Registry) -> dict[str, str]:
    """Code to key fingerprint of the sites whose updates count now."""
    query = select(SITES.c.code, SITES.c.key_fingerprint).where(
        SITES.c.federation_id == registry.federation_id,
        SITES.c.approved.is_not(None),
        SITES.c.revoked.is_(None),
    )
    with registry.reading() as connection:
        found = connection.execute(query.order_by(SITES.c.code))
        return {row.code: row.key_fingerprint for row in found}


def find_site(registry: Registry, connection: Connection, code: str) -> Row[Any]:
    """Its row. Raises UnknownEntry."""
    check_site(code)
    query = select(SITES).where(SITES.c.federation_id == registry.federation_id)
    row = connection.execute(query.where(SITES.c.code == code)).one_or_none()
    if row is None:
        raise UnknownEntry(f"site={code!r}: must have joined; join it first")
    return row


def check_may_take_part(row: Row[Any]) -> None:
    """Raises SiteRefused unless the site of this row is approved and not revoked."""
    if row.revoked is not None:
        raise SiteRefused(row.code, f"site={row.code!r}: is revoked; its update must not count")
    if row.approved is None:
        raise SiteRefused(row.code, f"site={row.code!r}: must be approved before its update counts")


def _change(transaction: Transaction, site_id: int, **values: Any) -> None:
    transaction.connection.execute(update(SITES).where(SITES.c.id == site_id).values(**values))
