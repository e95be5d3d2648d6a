"""Files encrypted at rest: AES-256-GCM under a key derived from the site's.

Payload in memory -> sealed in memory -> a hidden draft, synced, renamed. Nothing plain touches the
disk. A file is bound to its own name, and a name is a keyed hash of what the file stands for, so a
file put under another's name is refused and no name can be guessed back without the key.

    FILE   "ophora-sealed-1\\n"  nonce (12 bytes)  ciphertext  tag (16 bytes)
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ophora_model.draft import draft_of
from ophora_model.errors import CacheUnreadable, PlanInvalid

SUFFIX = ".sealed"
KEY_BYTES = 32
_MAGIC = b"ophora-sealed-1\n"
_NONCE_BYTES, _TAG_BYTES = 12, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The two keys of one purpose: one encrypts, one makes names. Made by `derive`."""

    cipher: bytes = field(repr=False)
    names: bytes = field(repr=False)

    @classmethod
    def derive(cls, key: bytes, purpose: str) -> Seal:
        """By HKDF-SHA256 (RFC 5869) from `key`, 32 random bytes or more; purposes share no key.

        Raises `PlanInvalid` without such a key: there is no unencrypted mode.
        """
        if not isinstance(key, bytes) or len(key) < KEY_BYTES:
            found = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
            raise PlanInvalid(f"key={found}: must be {KEY_BYTES} bytes or more; give the site's")
        return cls(
            cipher=_expand(key, f"ophora {purpose}: encryption"),
            names=_expand(key, f"ophora {purpose}: names"),
        )

    def name(self, kind: str, identity: str) -> str:
        """The file name of what `identity` stands for: HMAC-SHA256, not to be tried without it."""
        text = f"{kind}\x1f{identity}".encode("utf-8", "surrogatepass")
        return f"{kind}-{hmac.new(self.names, text, hashlib.sha256).hexdigest()}{SUFFIX}"

    def write(self, path: Path, payload: bytes) -> None:
        """Seals the payload under a fresh nonce; the file is there whole, with mode 0600."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self.cipher).encrypt(nonce, payload, _bound_to(path))
        with draft_of(path) as part:
            part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_MAGIC + nonce + sealed)

    def read(self, path: Path) -> bytes:
        """The payload. Raises `CacheUnreadable` unless this key wrote just this under this name."""
        try:
            whole = path.read_bytes()
        except OSError as error:
            raise _unreadable(path, f"can't be read ({type(error).__name__})") from error
        start = len(_MAGIC) + _NONCE_BYTES
        if len(whole) < start + _TAG_BYTES or not whole.startswith(_MAGIC):
            raise _unreadable(path, f"its {len(whole)} bytes are no sealed file")
        try:
            return AESGCM(self.cipher).decrypt(
                whole[len(_MAGIC) : start], whole[start:], _bound_to(path)
            )
        except InvalidTag as error:
            reason = f"its {len(whole)} bytes were cut, changed, renamed or sealed with another key"
            raise _unreadable(path, reason) from error


def _expand(key: bytes, info: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(key)


def _bound_to(path: Path) -> bytes:
    return _MAGIC + path.name.encode()


def _unreadable(path: Path, reason: str) -> CacheUnreadable:
    return CacheUnreadable(
        f"entry {path.stem[:17]}: {reason}; delete the cache folder and encode again"
    )
