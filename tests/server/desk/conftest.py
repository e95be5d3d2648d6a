"""A run with all that the page can show, and the page's real server in a thread."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

import gating
import plans
from ophora_model.release import read_release
from ophora_server.desk.access import Address
from ophora_server.desk.board import Board
from ophora_server.desk.login import Login
from ophora_server.desk.password import PasswordHash
from ophora_server.desk.server import Listening, _listen, make_app
from ophora_server.desk.sessions import Sessions
from ophora_server.registry.releases import mark_published, record_decision
from ophora_server.registry.sites import note_contact, revoke_site
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import RunRecord, admit_sites, open_registry

PASSWORD = "correct horse battery"
SITES = ("site-a", "site-b", "site-c")


@dataclass(frozen=True)
class Running:
    """Where the page listens, what it shows, and who is logged in."""

    home: str
    run: RunFolder
    sessions: Sessions

    def post(self, client: httpx.Client, path: str, **form: str) -> httpx.Response:
        """As the page's own form does."""
        return client.post(path, data=form, headers={"Origin": self.home})


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def password() -> PasswordHash:
    return PasswordHash.of(PASSWORD)


@pytest.fixture
def empty(tmp_path: Path) -> RunFolder:
    """A run that nobody has started."""
    made = RunFolder(path=tmp_path / "run")
    made.path.mkdir()
    return made


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Made once; a test gets a copy of it."""
    return fill(tmp_path_factory.mktemp("filled") / "run")


@pytest.fixture
def run(filled: RunFolder, tmp_path: Path) -> RunFolder:
    """Round 1 took two attempts, 2 and 3 one; 2 has a release; 4 is open and waits for site-c."""
    return RunFolder(path=Path(shutil.copytree(filled.path, tmp_path / "run")))


@pytest.fixture
def running(run: RunFolder, password: PasswordHash, clock: Clock) -> Iterator[Running]:
    with page_server(run, password, clock) as made:
        yield made


@pytest.fixture
def stranger(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.home) as client:
        yield client


@pytest.fixture
def browser(running: Running, stranger: httpx.Client) -> httpx.Client:
    assert running.post(stranger, "/login", password=PASSWORD).status_code == 303
    return stranger


@pytest.fixture
def serving() -> Callable[..., AbstractContextManager[Running]]:
    """`page_server`, for a test that brings its own run."""
    return page_server


@pytest.fixture
def filling() -> Callable[..., RunFolder]:
    """`fill`, for a test that says where."""
    return fill


@contextmanager
def page_server(
    run: RunFolder, password: PasswordHash, clock: Clock | None = None
) -> Iterator[Running]:
    """Listens on a free port. Without a clock of its own, time is what it is."""
    timed = {} if clock is None else {"clock": clock}
    board, sessions = Board(run), Sessions(**timed)
    with _listen(Listening()) as listener:
        port = listener.getsockname()[1]
        address = Address(names=Listening().names(), port=port, is_tls=False)
        app = make_app(board, Login(password, **timed), sessions, address)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Running(home=f"http://127.0.0.1:{port}", run=run, sessions=sessions)
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            board.close()


def fill(path: Path, *, num_finished: int = 3) -> RunFolder:
    """Round 1 takes two attempts; the second has a release that was measured and published."""
    run = plans.enrolled(path, [*SITES, "site-d", "site-e"])
    settings = plans.make_federation(
        plans.make_stage("tpt", 2), plans.make_stage("p2ft", num_finished)
    )
    settings.write(run.settings_file)
    with open_registry(run) as registry:
        record = RunRecord.open(registry, settings, identity="base")
        admit_sites(registry, run)
        revoke_site(registry, "site-e")
        note_contact(registry, "site-a", software="0.1.0")
        run.record("started", after_round=0, rounds=num_finished + 2)
        first = record.begin(1, "tpt", "0" * 64)
        first.take("site-a", "budget", num_bytes=5)
        first.abandon("quorum")
        for number in range(1, num_finished + 1):
            finish_round(record, number)
        folder = gating.write_plain_release(run.releases / "tpt", stage="tpt")
        digest = read_release(folder).sha256
        record.released(2, digest)
        gating.make_evidence(digest).write(folder / "evidence.json")
        for site, said in (("site-a", "approve"), ("site-b", "approve"), ("site-c", "reject")):
            record_decision(registry, digest, site, decision=said, record_digest="a" * 64)
        mark_published(registry, digest, evidence_digest="b" * 64, policy_digest="c" * 64)
        number = num_finished + 1
        run.record("round-started", round=number, stage="p2ft", sites=list(SITES))
        entry = record.begin(number, "p2ft", "0" * 64)
        take(entry, "site-a", number)
        entry.sent("site-b", 400_000)
        entry.take("site-b", "hours", num_bytes=40)
    return run


def finish_round(record: RunRecord, number: int) -> None:
    """A round of three updates."""
    entry = record.begin(number, "tpt" if number < 3 else "p2ft", "0" * 64)
    for site in SITES:
        take(entry, site, number)
    entry.finish({"layer": np.full((2, 2), number, np.float32)}, update_norm=1.5 / number)


def take(entry, site: str, number: int) -> None:
    """An update; site-c keeps its loss and its bound to itself."""
    entry.sent(site, 400_000)
    metrics = {"update_norm": 0.4}
    if site != "site-c":
        loss = 0.5 / number + (0.2 if site == "site-a" else 0.26)
        metrics |= {"epsilon": 1.25 * number, "delta": 1e-5, "loss": loss}
    digest = f"{number:063d}{SITES.index(site)}"
    entry.take(site, "ok", num_bytes=200_000, update_digest=digest, metrics=metrics)
