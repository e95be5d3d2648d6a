"""The site's page over a site with all that it can show, and its real server in a thread."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ophora_client.egress import outgoing_decline, outgoing_update
from ophora_client.loopback.access import OnlyLocal, Pass
from ophora_client.loopback.server import listen
from ophora_client.page.board import Board
from ophora_client.page.server import make_app
from ophora_client.sent_log import SentLog
from ophora_client.site import Site
from ophora_privacy.plan import PrivacyPlan

PLAN = PrivacyPlan(
    clip_norm=1.0,
    noise_multiplier=3.0,
    sampling_rate=0.1,
    steps_per_round=2,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=2.0,
)


@dataclass(frozen=True)
class Door:
    """Where the page listens, and the link that opens it once."""

    home: str
    token: str


def write_authority(folder: Path, days: int) -> None:
    """A certificate that is valid for so many more days."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coordinator")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .sign(key, None)
    )
    (folder / "ca.crt").write_bytes(made.public_bytes(Encoding.PEM))


def write_policy(site: Site, text: str) -> None:
    (site.folder / "policy.toml").write_text(text)


def spend(site: Site, rounds: int) -> None:
    ledger = site.open_ledger()
    for number in range(1, rounds + 1):
        stage = "tpt" if number <= (rounds + 1) // 2 else "p2ft"
        made = ledger.reserve(PLAN, run_id="run-1", stage=stage, round=number)
        if number < rounds:
            ledger.settle(made, steps=2)


def send(site: Site, rounds: int) -> None:
    """An update a round, and a refusal of another run at the end."""
    receipt = site.open_ledger().receipt().to_json()
    log, tensors = SentLog(site.logs_dir), {"block.to_q": np.ones((64, 4), np.float32)}
    for number in range(1, rounds + 1):
        outgoing = outgoing_update(
            tensors,
            {"steps": 10, "seconds": 31, "epsilon": 0.31 * number, "delta": 1e-5},
            announced={"block.to_q": (64, 4)},
            share_loss=False,
            receipt=receipt,
        )
        log.note("train", {"run_id": "run-1", "stage": "tpt", "round": number}, outgoing)
    log.note("share-keys", {"attempt": "ab" * 32}, outgoing_decline("secure-sum"))
    place: dict[str, str | int] = {"run_id": "run-2", "stage": "p2ft", "round": 1}
    log.note("train", place, outgoing_decline("approval"))


@contextmanager
def page_server(site: Site) -> Iterator[Door]:
    """The page's real server in a thread, on a free port."""
    listener = listen(0)
    port, door = listener.getsockname()[1], Pass()
    app = OnlyLocal(make_app(Board(site)), port=port, door=door)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Door(home=f"http://127.0.0.1:{port}", token=door.token)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
