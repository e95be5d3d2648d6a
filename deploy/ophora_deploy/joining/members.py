"""The coordinator's side of joining: invitations out, requests in, members approved or revoked.

    RUN/invitations/CODE.json   one-time code and expiry of an invitation that is open (0600)
    RUN/sites/CODE.pub          node key of an approved site; RUN/identities/CODE.pub its identity
    RUN/revoked/CODE-N.json     keys and code that may not come back

A one-time code serves once. A revoked site is out at the next start of the federation; its keys are
kept so that the same ones are not approved again.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from ophora_deploy.bundle import BUNDLE
from ophora_deploy.checked_app import bundle_hash
from ophora_deploy.errors import JoiningFailed
from ophora_deploy.joining.kit import NAME, SiteKit
from ophora_deploy.joining.request import JoinRequest
from ophora_model.draft import write_private, write_whole
from ophora_server.release_policy import SITE_CODE, CoordinatorKey
from ophora_server.run_folder import RunFolder

VALID = timedelta(days=14)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[?[0-9A-Fa-f:]+\]?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Who may take part in a run, and who was asked to."""

    run: RunFolder

    @property
    def key_file(self) -> Path:
        """The coordinator's signing key."""
        return self.run.path / "coordinator.key"

    def invite(self, site: str, *, address: str, valid: timedelta = VALID) -> bytes:
        """The content of CODE.kit; an earlier invitation of the site is void. Raises JoiningFailed.

        The run must have been set up: its authority and its signing key are there.
        """
        if not SITE_CODE.fullmatch(site):
            raise JoiningFailed(f"site={site!r}: must be a code of a-z 0-9 -, not the hospital's")
        self._check_not_revoked(site)
        _check_address(address, self.run.tls / "server.crt")
        authority = self.run.tls / "ca.crt"
        if not authority.is_file():
            raise JoiningFailed(f"{self.run.path}: not set up; run `ophora federation init` first")
        kit = SiteKit(
            federation=self.federation(),
            site=site,
            address=address,
            authority=authority.read_text(encoding="ascii"),
            bundle=bundle_hash(BUNDLE),
            version=importlib.metadata.version("ophora-federated"),
            one_time_code=secrets.token_hex(16),
            expires=int((datetime.now(UTC) + valid).timestamp()),
        )
        opened = {"one_time_code": kit.one_time_code, "expires": kit.expires}
        self._write_private(self._invitation(site), json.dumps(opened).encode())
        return CoordinatorKey.open(self.key_file).sign(NAME, kit.to_document())

    def federation(self) -> str:
        """What a federation is called among its members: by the coordinator's public key."""
        return CoordinatorKey.open(self.key_file).public_key[:16]

    def check(self, request: JoinRequest) -> None:
        """Raises JoiningFailed unless the request answers an open invitation with new keys."""
        self._check_not_revoked(request.site)
        opened = self._open_invitation(request.site)
        if request.federation != self.federation() or not request.is_proven(opened):
            raise JoiningFailed(
                f"site {request.site}: the request was not made with the kit that is open; invite"
                " the site again"
            )
        for code, key in self.run.site_keys().items():
            if code != request.site and key.read_text().strip() == request.node_key:
                raise JoiningFailed(f"site {request.site}: its node key is another member's")
        for path in self.run.identities.glob("*.pub"):
            if path.stem != request.site and path.read_text().strip() == request.identity_key:
                raise JoiningFailed(f"site {request.site}: its identity key is another member's")
        for path in self.run.revoked.glob("*.json"):
            revoked = json.loads(path.read_text(encoding="ascii"))
            if request.node_key == revoked["node_key"]:
                raise JoiningFailed(
                    f"site {request.site}: its node key was revoked; make a new one"
                )
            if request.identity_key == revoked["identity_key"]:
                raise JoiningFailed(f"site {request.site}: its identity key was revoked")

    def approve(self, request: JoinRequest) -> None:
        """Let the site in with these keys, after `check`; the invitation is used up.

        A member that changes its node key keeps its identity key.
        """
        self.check(request)
        known = self.run.identities / f"{request.site}.pub"
        if known.exists() and known.read_text(encoding="ascii").strip() != request.identity_key:
            raise JoiningFailed(
                f"site {request.site}: is a member under another identity key; revoke it first"
            )
        for folder, text in (
            (self.run.identities, request.identity_key),
            (self.run.path / "sites", request.node_key),
        ):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / f"{request.site}.pub", f"{text}\n".encode())
        self._invitation(request.site).unlink()

    def revoke(self, site: str) -> None:
        """Out from the next start on, with these keys for good. Raises JoiningFailed."""
        node, identity = (
            self.run.path / "sites" / f"{site}.pub",
            self.run.identities / f"{site}.pub",
        )
        if not node.exists() and not identity.exists():
            raise JoiningFailed(f"site {site}: is no member; `ophora federation sites` shows them")
        keys = {
            "site": site,
            "node_key": node.read_text().strip() if node.exists() else "",
            "identity_key": identity.read_text().strip() if identity.exists() else "",
        }
        folder = self.run.revoked
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob(f"{site}-*.json"))) + 1
        write_whole(folder / f"{site}-{number}.json", json.dumps(keys).encode())
        for path in (node, identity, self._invitation(site)):
            path.unlink(missing_ok=True)

    def _check_not_revoked(self, site: str) -> None:
        """What a code gave stays under it, so it is of no other site and does not come back."""
        if site in self.run.revoked_codes():
            raise JoiningFailed(f"site {site}: was revoked; invite it under another code")

    def _open_invitation(self, site: str) -> str:
        try:
            opened = json.loads(self._invitation(site).read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise JoiningFailed(
                f"site {site}: no invitation is open; run `ophora federation invite {site}`"
            ) from error
        if opened["expires"] < datetime.now(UTC).timestamp():
            raise JoiningFailed(f"site {site}: the invitation has expired; invite the site again")
        return str(opened["one_time_code"])

    def _invitation(self, site: str) -> Path:
        return self.run.path / "invitations" / f"{site}.json"

    def _write_private(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        write_private(path, content)


def _check_address(address: str, certificate: Path) -> None:
    """Raises JoiningFailed unless it is HOST:PORT and the server's certificate is for the host."""
    host, _, port = address.rpartition(":")
    if not _HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise JoiningFailed(f"address={address!r}: must be HOST:PORT of the front")
    if not certificate.is_file():
        return  # what is missing is told with the authority
    held = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    }
    if host not in known:
        raise JoiningFailed(
            f"address={address!r}: the server's certificate is for {', '.join(sorted(known))}; move"
            " RUN/tls away and run `ophora federation init --name` with this host"
        )
