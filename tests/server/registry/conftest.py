"""A registry on SQLite and on PostgreSQL: every test that asks for `store` runs on both."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import postgres
from ophora_server.registry import (
    AdapterBlob,
    FinishedRound,
    Receipt,
    Registry,
    RoundAttempt,
    RoundOutcome,
    begin_round,
    finish_round,
    open_run,
)
from ophora_server.registry.sites import approve_site, join_site

RUN = "run-1"


@dataclass
class Store:
    """Where a registry lies, and what is done with it so often that a test need not say how."""

    folder: Path
    url: str
    opened: list[Registry] = field(default_factory=list)

    @staticmethod
    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def open(self, **changed: Any) -> Registry:
        usual: dict[str, Any] = {"url": self.url, "wait_s": 5.0}
        self.opened.append(Registry(changed.pop("folder", self.folder), **{**usual, **changed}))
        return self.opened[-1]

    def begun(self, rounds: int = 4, sites: tuple[str, ...] = ("site-a", "site-b")) -> Registry:
        """Sites approved and a run of so many rounds of tpt planned."""
        registry = self.open()
        for site in sites:
            join_site(registry, site, key_fingerprint=self.digest(site))
            approve_site(registry, site)
        self.plan(registry, ["tpt"] * rounds)
        return registry

    def plan(self, registry: Registry, stages: list[str], **changed: Any) -> None:
        usual: dict[str, Any] = {
            "identity": self.digest("identity"),
            "settings": {"preset": "tiny", "quorum": {"min_sites": 2, "wait_s": 0.5}},
        }
        open_run(registry, RUN, **{**usual, **changed}, stages=stages)

    def begin(self, registry: Registry, number: int, stage: str = "tpt") -> RoundAttempt:
        plan = self.digest(f"plan {number}")
        return begin_round(registry, RUN, number, stage=stage, plan_digest=plan)

    def receipt(self, place: RoundAttempt, site: str = "site-a", **changed: Any) -> Receipt:
        usual: dict[str, Any] = {
            "site": site,
            "attempt": place.attempt,
            "code": "ok",
            "num_bytes": 10,
            "bytes_sent": 100,
            "seconds": 1.5,
            "update_digest": self.digest(f"{site} {place.number} {place.attempt}"),
            "arrived": 1_800_000_000.25,
            "metrics": {"epsilon": 0.5, "delta": 1e-5},
        }
        return Receipt(**{**usual, **changed})

    def outcome(self, place: RoundAttempt, *receipts: Receipt, **changed: Any) -> RoundOutcome:
        usual: dict[str, Any] = {
            "adapter": self.adapter(place.number),
            "receipts": receipts
            or tuple(self.receipt(place, site) for site in ("site-a", "site-b")),
            "update_norm": 0.25,
            "server_state": f"state {place.number}".encode(),
            "metrics": {"loss": 0.125},
        }
        return RoundOutcome(**{**usual, **changed})

    @staticmethod
    def adapter(number: int) -> AdapterBlob:
        return AdapterBlob.of({"attn1.to_q.lora_B": np.full((3, 2), number, np.float32)})

    def finish(self, registry: Registry, number: int) -> FinishedRound:
        place = self.begin(registry, number)
        return finish_round(registry, place, self.outcome(place))

    @staticmethod
    def tamper(registry: Registry, *statements: str) -> None:
        """As somebody does who may write the database."""
        with registry.database.writing() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    @staticmethod
    def ask(registry: Registry, statement: str) -> list[tuple[Any, ...]]:
        with registry.reading() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    if postgres.programs() is None:
        pytest.skip(postgres.MISSING)
    with postgres.running_cluster() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be: no test cuts the power, so no disk has to be awaited."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="ophora-registry-", dir=memory) as made:
        yield Path(made)


@pytest.fixture
def on_sqlite(folder: Path) -> Iterator[Store]:
    yield from _store(folder, f"sqlite:///{folder / 'registry.sqlite'}")


@pytest.fixture
def on_postgres(folder: Path, cluster: postgres.Cluster) -> Iterator[Store]:
    url = cluster.make_database()
    yield from _store(folder, url)
    cluster.drop_database(url)


@pytest.fixture(params=["on_sqlite", "on_postgres"], ids=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    return request.getfixturevalue(request.param)


def _store(folder: Path, url: str) -> Iterator[Store]:
    made = Store(folder=folder / "registry", url=url)
    yield made
    for registry in made.opened:
        registry.close()
