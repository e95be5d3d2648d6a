"""A run in the registry: who may take part, where it stands, each round as one transaction.

    RUN/sites, RUN/identities, RUN/revoked -> `admit_sites` -> sites of the registry
    RunRecord.state -> begin -> RoundEntry: sent, take, finish | abandon -> RunRecord.state

The database is RUN/registry/registry.sqlite, or the one that OPHORA_REGISTRY_URL names; a URL holds
a password, so it is not in federation.toml.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ophora_model.update import Tensors
from ophora_server.federation_settings import FederationSettings
from ophora_server.registry.adapter_blob import AdapterBlob
from ophora_server.registry.errors import SiteRefused, UnknownEntry
from ophora_server.registry.finished import (
    RoundOutcome,
    finish_round,
    last_finished,
    read_adapter,
)
from ophora_server.registry.receipts import OK, Receipt, finite
from ophora_server.registry.registry import Registry
from ophora_server.registry.releases import add_release
from ophora_server.registry.reports import history
from ophora_server.registry.rounds import RoundAttempt, abandon_round, begin_round, receive
from ophora_server.registry.runs import open_run
from ophora_server.registry.sites import (
    approve_site,
    approved_sites,
    join_site,
    note_contact,
    revoke_site,
)
from ophora_server.run_folder import RunFolder

URL_VARIABLE = "OPHORA_REGISTRY_URL"
REFUSED = "refused"
_PACKAGE = "ophora-federated"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The adapter after `round` (counted over all stages; 0 is the untrained one)."""

    round: int
    stage: str
    tensors: Tensors
    history: tuple[Mapping[str, Any], ...] = ()
    server_state: bytes | None = None


def open_registry(run: RunFolder) -> Registry:
    """The registry of this run's folder; made where there is none."""
    return Registry(run.registry, url=os.environ.get(URL_VARIABLE) or None)


def admit_sites(registry: Registry, run: RunFolder) -> None:
    """Every site with a key in the folder may take part, every revoked one may not any more.

    A site is known by its identity key, else by its node key, which may change. Raises EntryRefused
    where a code comes with another key, SiteRefused where it was revoked.
    """
    for code in run.revoked_codes() & approved_sites(registry).keys():
        revoke_site(registry, code)
    for code, node_key in run.site_keys().items():
        identity = run.identities / f"{code}.pub"
        key = identity if identity.is_file() else node_key
        digest = hashlib.sha256(key.read_bytes().strip()).hexdigest()
        join_site(registry, code, key_fingerprint=digest)
        approve_site(registry, code)


def has_registry(run: RunFolder) -> bool:
    """Whether there is one to open, without making it."""
    return run.registry.is_dir() or bool(os.environ.get(URL_VARIABLE))


def rounds_done(run: RunFolder, settings: FederationSettings) -> int:
    """How many rounds of the run are finished; 0 where it was never started."""
    if not has_registry(run):
        return 0
    with open_registry(run) as registry, suppress(UnknownEntry):
        finished = last_finished(registry, settings.run_id)
        return 0 if finished is None else finished.number
    return 0


class RunRecord:
    """One run of an open registry."""

    def __init__(self, registry: Registry, run_id: str) -> None:
        self._registry, self._run_id = registry, run_id

    @classmethod
    def open(cls, registry: Registry, settings: FederationSettings, *, identity: str) -> RunRecord:
        """Enter the run or go on with it. Raises EntryRefused where it is another one.

        `identity` says what finished rounds depend on beside the settings' own.
        """
        registry.sweep()
        whole = f"{settings.identity()}/{identity}".encode()
        document = {k: v for k, v in settings.to_dict().items() if k != "base_folder"}
        stages = [stage.name for stage in settings.stages for _ in range(stage.rounds)]
        open_run(
            registry,
            settings.run_id,
            identity=hashlib.sha256(whole).hexdigest(),
            settings=document,
            stages=stages,
        )
        return cls(registry, settings.run_id)

    def state(self, untrained: Tensors) -> RunState:
        """Where the run stands. Raises RegistryCorrupt where its adapter is not whole."""
        finished = last_finished(self._registry, self._run_id)
        if finished is None:
            return RunState(round=0, stage="", tensors=untrained)
        return RunState(
            round=finished.number,
            stage=finished.stage,
            tensors=read_adapter(self._registry, finished.adapter_digest),
            history=tuple(history(self._registry, self._run_id)),
            server_state=finished.server_state,
        )

    def begin(self, number: int, stage: str, plan_digest: str) -> RoundEntry:
        """A new attempt at the round."""
        place = begin_round(
            self._registry, self._run_id, number, stage=stage, plan_digest=plan_digest
        )
        return RoundEntry(self._registry, place)

    def released(self, number: int, digest: str) -> None:
        """The release of this round has an adapter file with this SHA-256."""
        add_release(self._registry, self._run_id, number, digest=digest)


@dataclass(slots=True)
class RoundEntry:
    """One attempt at a round, from its first request to its end."""

    _registry: Registry
    _place: RoundAttempt
    _sent_at: dict[str, float] = field(default_factory=dict)
    _bytes_sent: dict[str, int] = field(default_factory=dict)
    _receipts: dict[str, Receipt] = field(default_factory=dict)

    def sent(self, site: str, num_bytes: int) -> None:
        """So many bytes went to the site just now."""
        self._sent_at.setdefault(site, time.monotonic())
        self._bytes_sent[site] = self._bytes_sent.get(site, 0) + num_bytes

    def take(
        self,
        site: str,
        code: str,
        *,
        num_bytes: int = 0,
        update_digest: str | None = None,
        metrics: Mapping[str, float] | None = None,
        arrived: bool = True,
    ) -> bool:
        """Enter what came of asking a site, once; False where its update must not count.

        Before the update is added up. `update_digest` is there for the code "ok" and no other.
        Raises RoundClosed where another process has taken the round over.
        """
        now = time.monotonic()
        receipt = Receipt(
            site=site,
            attempt=self._place.attempt,
            code=code,
            num_bytes=num_bytes,
            bytes_sent=self._bytes_sent.get(site, 0),
            seconds=now - self._sent_at.get(site, now),
            update_digest=update_digest,
            arrived=time.time() if arrived else None,
            metrics=finite(metrics or {}),
        )
        try:
            receive(self._registry, self._place, receipt)
        except SiteRefused:
            if code != OK:
                raise
            self.take(site, REFUSED, num_bytes=num_bytes)
            return False
        self._receipts[site] = receipt
        if arrived:
            spent = receipt.metrics
            note_contact(
                self._registry,
                site,
                # a site of another version declines the plan
                software=importlib.metadata.version(_PACKAGE) if code == OK else None,
                budget_epsilon=spent.get("epsilon"),
                budget_delta=spent.get("delta"),
            )
        return True

    def finish(
        self, tensors: Tensors, update_norm: float, server_state: bytes | None = None
    ) -> None:
        """Commit the round with this adapter: all that was taken with the code "ok" counts.

        Raises SiteRefused where one of those was revoked meanwhile; the round is abandoned then.
        """
        outcome = RoundOutcome(
            adapter=AdapterBlob.of(tensors),
            receipts=tuple(self._receipts.values()),
            update_norm=update_norm,
            server_state=server_state,
        )
        try:
            finish_round(self._registry, self._place, outcome)
        except SiteRefused:
            self.abandon("site-refused")
            raise

    def abandon(self, reason: str) -> None:
        """Close the attempt without a result; `reason` is a code."""
        abandon_round(self._registry, self._place, reason=reason)
