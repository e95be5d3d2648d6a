"""The site's side of joining: the kit kept, keys made here, a request written.

SITE/federation.json   what the kit said: federation, address, the app's hash, coordinator's key
SITE/ca.crt            the only authority that the site trusts
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from ophora_client.approval import IdentityKey
from ophora_client.site import AUTHORITY, Site
from ophora_deploy.errors import JoiningFailed
from ophora_deploy.joining.kit import SiteKit
from ophora_deploy.joining.request import NAME, JoinRequest
from ophora_deploy.provisioning import make_node_key
from ophora_model.draft import write_whole

_FILE = "federation.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedFederation:
    """The federation that a site has joined."""

    federation: str
    address: str
    bundle: str
    coordinator_key: str

    @classmethod
    def read(cls, site: Path) -> Self:
        """Raises JoiningFailed where the site has not joined one."""
        try:
            return cls(**json.loads((site / _FILE).read_text(encoding="ascii")))
        except FileNotFoundError as error:
            raise JoiningFailed(
                f"{site}: has not joined a federation; run `ophora site join KIT --site {site}`"
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise JoiningFailed(f"{_FILE}: can't be read; join again with the kit") from error

    @staticmethod
    def authority(site: Path) -> Path:
        """The coordinator's certificate."""
        return site / AUTHORITY


def join(site: Site, kit: SiteKit, coordinator_key: str) -> tuple[bytes, JoinRequest]:
    """Keep what the kit says and make this site's keys; the content of CODE.join.

    Raises JoiningFailed where the kit is for another code, or the site is in another federation.
    """
    code = site.settings.site.code
    if kit.site != code:
        raise JoiningFailed(f"kit: is for site {kit.site}, this is {code}; ask for this site's")
    if (site.folder / _FILE).exists():
        before = JoinedFederation.read(site.folder)
        if before.coordinator_key != coordinator_key:
            raise JoiningFailed(
                f"{_FILE}: this site is in another federation; remove the file to leave it"
            )
    node_key = make_node_key(site.folder / "keys").public.read_text(encoding="ascii").strip()
    identity = IdentityKey.open(site.folder)
    request = JoinRequest.make(
        federation=kit.federation,
        site=code,
        node_key=node_key,
        identity_key=identity.public_key,
        one_time_code=kit.one_time_code,
    )
    joined = JoinedFederation(
        federation=kit.federation,
        address=kit.address,
        bundle=kit.bundle,
        coordinator_key=coordinator_key,
    )
    write_whole(site.folder / AUTHORITY, kit.authority.encode("ascii"))
    write_whole(site.folder / _FILE, json.dumps(asdict(joined), indent=1).encode())
    return identity.sign(NAME, request.to_document()), request
