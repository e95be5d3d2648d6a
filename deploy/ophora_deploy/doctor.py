"""What stands between a machine and its next round: checks, each with what to do about it.

    folder -> checks, none of which changes anything -> a table; exit 1 where one fails

A check says "ok", "warn" (it works today) or "fail" (a round won't), and never a name or a path of
a patient's file.
"""

from __future__ import annotations

import datetime
import email.utils
import http.client
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509

from ophora_client.errors import ClientError
from ophora_client.site import Site
from ophora_deploy.errors import JoiningFailed
from ophora_deploy.joining.joined import JoinedFederation
from ophora_model.errors import ModelError
from ophora_privacy.errors import PrivacyError
from ophora_server.errors import ServerError
from ophora_server.federation_settings import FederationSettings
from ophora_server.roster import read_roster
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import rounds_done

State = Literal["ok", "warn", "fail"]

WARN_DAYS = 30
LEAST_FREE_GB = 5.0
MOST_SKEW_S = 60.0
_CONNECT_S = 10.0
_WRONG_NAME = (62, 64)  # OpenSSL's codes for another host name, another address


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding; `remedy` is empty where nothing has to be done."""

    name: str
    state: State
    said: str
    remedy: str = ""


def check_site(folder: Path) -> Iterator[Check]:
    """A hospital's side, in the order in which things are set up."""
    try:
        site = Site.open(folder)
    except ClientError as error:
        yield Check(name="settings", state="fail", said=str(error), remedy="correct site.toml")
        return
    yield Check(name="settings", state="ok", said=f"site {site.settings.site.code}")
    yield _guarded("ledger", lambda: _ledger(site))
    yield _guarded("base", lambda: _base(site))
    yield _accelerator()
    yield _disk(folder)
    try:
        member = JoinedFederation.read(folder)
    except JoiningFailed as error:
        yield Check(name="membership", state="fail", said=str(error), remedy="join with a kit")
        return
    yield Check(name="membership", state="ok", said=f"federation {member.federation}")
    yield _certificate(JoinedFederation.authority(folder), "authority")
    yield _guarded(
        "coordinator", lambda: _reach(member.address, JoinedFederation.authority(folder))
    )


def check_run(folder: Path) -> Iterator[Check]:
    """The coordinator's side."""
    run = RunFolder(path=folder)
    yield _guarded("settings", lambda: _federation(run))
    yield _certificate(run.tls / "ca.crt", "authority")
    yield _certificate(run.tls / "server.crt", "server certificate")
    yield _guarded("members", lambda: _members(run))
    yield _disk(folder)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """A check that can't be made has failed; our own errors say what to do."""
    try:
        return check()
    except (ClientError, ModelError, PrivacyError, ServerError, JoiningFailed) as error:
        return Check(name=name, state="fail", said=str(error), remedy="see the message")
    except ValueError:
        return Check(
            name=name, state="fail", said="not as it was written", remedy="join again with a kit"
        )
    except OSError as error:
        said = f"{type(error).__name__}: {error.strerror or 'no answer'}"
        return Check(name=name, state="fail", said=said, remedy="check the network and the file")


def _ledger(site: Site) -> Check:
    ledger = site.open_ledger()
    spent, cap = ledger.epsilon().value, ledger.cap
    said = f"{len(ledger.spends())} rounds reserved, epsilon {spent:.3g} of {cap:g}"
    if cap < float("inf") and spent >= cap:
        return Check(
            name="ledger", state="fail", said=said, remedy="the budget is spent: no round will run"
        )
    return Check(name="ledger", state="ok", said=said)


def _base(site: Site) -> Check:
    from ophora_model.base import base_fingerprint
    from ophora_model.presets import find_preset

    model = site.settings.model
    folder = Path(model.base_folder) if model.base_folder else None
    fingerprint = base_fingerprint(find_preset(model.preset), folder)
    return Check(name="base", state="ok", said=f"{model.preset}, {fingerprint[:12]}")


def _accelerator() -> Check:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        said = f"{torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GB free"
        return Check(name="GPU", state="ok", said=said)
    return Check(
        name="GPU",
        state="warn",
        said="none that torch can use",
        remedy="fine for the tiny preset; for others install the driver and torch for it",
    )


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder if folder.is_dir() else folder.parent).free / 2**30
    if free < LEAST_FREE_GB:
        return Check(
            name="disk",
            state="fail",
            said=f"{free:.1f} GB free",
            remedy=f"free {LEAST_FREE_GB:g} GB: a full disk stops curation and rounds",
        )
    return Check(name="disk", state="ok", said=f"{free:.0f} GB free")


def _certificate(path: Path, name: str) -> Check:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return Check(
            name=name,
            state="fail",
            said=f"{path.name}: not there or no certificate",
            remedy="`ophora federation init` makes it, a kit brings it to a site",
        )
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    said = f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
    if left < datetime.timedelta(0):
        return Check(name=name, state="fail", said=said, remedy="make a new one and invite again")
    if left < datetime.timedelta(days=WARN_DAYS):
        return Check(
            name=name, state="warn", said=said, remedy=f"{left.days} days left: plan a new one"
        )
    return Check(name=name, state="ok", said=said)


def _reach(address: str, authority: Path) -> Check:
    """A TLS handshake with the front, and how far the clocks are apart."""
    host, _, port = address.rpartition(":")
    trusted = ssl.create_default_context(cafile=str(authority))
    connection = http.client.HTTPSConnection(host, int(port), timeout=_CONNECT_S, context=trusted)
    try:
        connection.request("GET", "/")
        answered = connection.getresponse().getheader("Date")
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _WRONG_NAME:
            return Check(
                name="coordinator",
                state="fail",
                said=f"{address}: its certificate is for another name",
                remedy="the coordinator has to make it for this one, then invite again",
            )
        return Check(
            name="coordinator",
            state="fail",
            said=f"{address}: its certificate is not of the authority in the kit",
            remedy="check the clock, then ask for a new kit; something may sit in between",
        )
    except ssl.SSLError as error:
        return Check(
            name="coordinator",
            state="fail",
            said=f"{address}: no TLS there ({getattr(error, 'reason', '') or 'handshake'})",
            remedy="ask whether the address is right; something may sit in between",
        )
    except (ConnectionError, TimeoutError, socket.gaierror, http.client.HTTPException) as error:
        return Check(
            name="coordinator",
            state="fail",
            said=f"{address}: {type(error).__name__}",
            remedy="allow outbound TCP to this host and port; ask whether the federation runs",
        )
    finally:
        connection.close()
    return _clock(address, answered)


def _clock(address: str, answered: str | None) -> Check:
    if answered is None:
        return Check(name="coordinator", state="ok", said=f"{address} answers")
    skew = abs(time.time() - email.utils.parsedate_to_datetime(answered).timestamp())
    if skew > MOST_SKEW_S:
        return Check(
            name="coordinator",
            state="fail",
            said=f"{address} answers; the clocks are {skew:.0f} s apart",
            remedy="set this machine's clock by NTP: Flower refuses messages of another time",
        )
    return Check(
        name="coordinator", state="ok", said=f"{address} answers, clocks {skew:.0f} s apart"
    )


def _federation(run: RunFolder) -> Check:
    settings = FederationSettings.read(run.settings_file)
    rounds = sum(stage.rounds for stage in settings.stages)
    masked = "" if settings.secure_sum is None else ", secure aggregation"
    done = rounds_done(run, settings)
    said = f"run {settings.run_id}, {settings.preset}, {done} of {rounds} rounds{masked}"
    return Check(name="settings", state="ok", said=said)


def _members(run: RunFolder) -> Check:
    settings = FederationSettings.read(run.settings_file)
    members = run.site_keys()
    said = f"{len(members)} approved, {settings.quorum.min_sites} needed for a round"
    if settings.secure_sum is not None:
        roster = read_roster(run.roster_file)
        if set(roster.keys) != set(members):
            return Check(
                name="members",
                state="fail",
                said=f"{said}; the roster holds others",
                remedy="run `ophora federation roster`, and have the sites pin it",
            )
    if len(members) < settings.quorum.min_sites:
        return Check(name="members", state="fail", said=said, remedy="invite and approve more")
    return Check(name="members", state="ok", said=said)
