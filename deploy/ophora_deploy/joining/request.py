"""A site's request to join: its two public keys, proven to be its own.

    kit, keys made at the site -> CODE.join -> a person -> `ophora federation approve`

The identity key signs the request, so that the site holds it; an HMAC under the one-time code binds
the request to the kit; and the fingerprint over both keys, read out by phone, binds it to the
hospital. The private keys never leave the site.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ophora_deploy.errors import JoiningFailed
from ophora_privacy.errors import RecordRefused
from ophora_privacy.signed_record import open_record
from ophora_server.release_policy import SITE_CODE

NAME = "join"
_MOST_BYTES = 2**16
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """`node_key` is in OpenSSH format, `identity_key` and `proof` are 64 hexadecimal digits.

    Raises JoiningFailed for a code that is no site code, which a file is named by, and for a node
    key that is not on P-384 or is spelled otherwise than Flower's tools spell it.
    """

    federation: str
    site: str
    node_key: str
    identity_key: str
    proof: str

    def __post_init__(self) -> None:
        if not SITE_CODE.fullmatch(self.site):
            raise JoiningFailed(f"{NAME}: site must be a code of a-z 0-9 -; join again")
        if not _HEX.fullmatch(self.identity_key) or not _HEX.fullmatch(self.proof):
            raise JoiningFailed(f"{NAME}: keys must be 64 hexadecimal digits; join again")
        if self.node_key != _respelled(self.node_key):
            raise JoiningFailed(f"{NAME}: node_key must be a plain P-384 key; join again")

    @classmethod
    def make(
        cls, *, federation: str, site: str, node_key: str, identity_key: str, one_time_code: str
    ) -> Self:
        """With its proof."""
        plain = {
            "federation": federation,
            "site": site,
            "node_key": node_key.strip(),
            "identity_key": identity_key,
        }
        return cls(**plain, proof=_proof(plain, one_time_code))

    def to_document(self) -> dict[str, Any]:
        """What is signed."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises JoiningFailed unless it is whole and signed by the identity key that it names."""
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise RecordRefused("join: too long")
            signed = open_record(NAME, path.read_bytes())
        except OSError as error:
            raise JoiningFailed(f"{path.name}: can't be read ({type(error).__name__})") from error
        except RecordRefused as error:
            raise JoiningFailed(f"{path.name}: {error}") from error
        given = signed.document
        names = {field.name for field in fields(cls)}
        if set(given) != names or not all(isinstance(value, str) for value in given.values()):
            raise JoiningFailed(f"{path.name}: of another version; install the coordinator's")
        request = cls(**given)
        if request.identity_key != signed.public_key:
            raise JoiningFailed(f"{path.name}: must be signed by the identity key that it names")
        return request

    def is_proven(self, one_time_code: str) -> bool:
        """Whether it was made with this code."""
        plain = {key: value for key, value in asdict(self).items() if key != "proof"}
        return hmac.compare_digest(self.proof, _proof(plain, one_time_code))

    def fingerprint(self) -> str:
        """64 hexadecimal digits over both keys, for the phone."""
        return fingerprint_of(self.node_key, self.identity_key)


def fingerprint_of(node_key: str, identity_key: str) -> str:
    """SHA-256 over the two public keys of a site."""
    return hashlib.sha256(f"{node_key.strip()}\n{identity_key}\n".encode()).hexdigest()


def _respelled(text: str) -> str:
    """The key as Flower's tools write it, without a comment; empty for what is none on P-384."""
    try:
        key = serialization.load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        return ""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        return ""
    spelled = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return spelled.decode("ascii")


def _proof(plain: Mapping[str, str], code: str) -> str:
    body = "\n".join(plain[key] for key in sorted(plain)).encode()
    return hmac.new(code.encode(), body, hashlib.sha256).hexdigest()
