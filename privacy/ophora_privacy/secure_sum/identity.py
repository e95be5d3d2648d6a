"""Who the sites are: one site's Ed25519 key, and the roster of all keys that each site pins.

Data path: the roster is agreed on when the federation is set up and kept by each site; messages
are signed by `SiteIdentity.sign` and checked by `Roster.check`. A coordinator has no site's key, so
it can't put sites of its own into a round.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ophora_privacy.errors import InvalidPlan, MessageRefused

SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_DOMAIN = b"ophora secure sum 1 "


class Roster:
    """The sites of a federation and their public keys (raw Ed25519, 32 bytes); never changes.

    Raises InvalidPlan on a name or key that is not one, or a key that two sites share.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        for name, key in keys.items():
            if not SITE_NAME.fullmatch(name) or len(key) != 32:
                raise InvalidPlan(f"roster of {len(keys)}: must map site ids to keys of 32 bytes")
        if len(set(keys.values())) != len(keys):
            raise InvalidPlan(f"roster of {len(keys)}: each site must have a key of its own")
        self.keys: Mapping[str, bytes] = MappingProxyType(dict(sorted(keys.items())))

    def __len__(self) -> int:
        return len(self.keys)

    def digest(self) -> str:
        """SHA-256 of all names and keys, in hex; what a plan names the roster by."""
        lines = [f"{name} {key.hex()}\n" for name, key in self.keys.items()]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def check(self, site_id: str, purpose: str, body: bytes, signature: bytes) -> None:
        """Raises MessageRefused unless `site_id` is on the roster and signed `body` for that."""
        key = self.keys.get(site_id)
        if key is None:
            raise MessageRefused(f"site {site_id}: must be on the pinned roster")
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, _signed(purpose, body))
        except (InvalidSignature, ValueError) as error:
            raise MessageRefused(f"site {site_id}: its signature doesn't hold") from error


class SiteIdentity:
    """One site's name and its long-term private key, which is never shown, logged or sent."""

    def __init__(self, site_id: str, key: Ed25519PrivateKey) -> None:
        self.site_id = site_id
        self._key = key

    @classmethod
    def from_private_bytes(cls, site_id: str, key: bytes) -> SiteIdentity:
        """From the 32 raw bytes that the site keeps. Raises InvalidPlan on another length."""
        if len(key) != 32:
            raise InvalidPlan(f"site {site_id}: its private key must be 32 bytes")
        return cls(site_id, Ed25519PrivateKey.from_private_bytes(key))

    def public_key(self) -> bytes:
        """The 32 raw bytes for the roster."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, purpose: str, body: bytes) -> bytes:
        """64 bytes over `body`, of no use for another purpose."""
        return self._key.sign(_signed(purpose, body))


def _signed(purpose: str, body: bytes) -> bytes:
    return _DOMAIN + purpose.encode() + b"\0" + body
