"""Signed records: a document in its one canonical form, the signer's key and the signature.

    document -> `canonical_bytes` -> Ed25519 over "ophora NAME 1" and those bytes -> one JSON file

The name of the kind of document is signed with it, so that no signature serves for another kind.
Any other spelling of the same JSON is refused: a record's hash is the same for everybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ophora_privacy.errors import RecordRefused

_KEY = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRecord:
    """A document whose signature fits `public_key`; whose key that is, the caller decides."""

    document: Mapping[str, Any]
    public_key: str


def canonical_bytes(document: Mapping[str, Any]) -> bytes:
    """The only form that is signed, hashed and written: sorted, two spaces, ASCII, a last newline.

    Raises ValueError on NaN or infinity.
    """
    return (json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def signed_bytes(name: str, document: Mapping[str, Any]) -> bytes:
    """What a signature is over: the kind of document, then the document."""
    return f"ophora {name} 1\n".encode("ascii") + canonical_bytes(document)


def sign_record(key: Ed25519PrivateKey, name: str, document: Mapping[str, Any]) -> bytes:
    """A record that holds the document under this name, the public key and the signature."""
    public = key.public_key().public_bytes_raw().hex()
    signature = key.sign(signed_bytes(name, document)).hex()
    return canonical_bytes({name: document, "public_key": public, "signature": signature})


def open_record(name: str, payload: bytes) -> SignedRecord:
    """The inverse of `sign_record`. Raises RecordRefused on any other byte."""
    try:
        given = json.loads(payload)
        same = isinstance(given, dict) and canonical_bytes(given) == payload
    except (ValueError, TypeError, RecursionError) as error:
        raise RecordRefused(f"{name}: is no JSON without NaN; ask for it again") from error
    if not same or set(given) != {name, "public_key", "signature"}:
        raise RecordRefused(f"{name}: not as it was written; ask for it again, don't edit it")
    document, key, signature = given[name], given["public_key"], given["signature"]
    # lower case alone: the same signature in other letters would be another record
    texts = isinstance(key, str) and isinstance(signature, str)
    if not texts or not _KEY.fullmatch(key) or not _SIGNATURE.fullmatch(signature):
        raise RecordRefused(f"{name}: key and signature must be lower-case hexadecimal digits")
    if not isinstance(document, dict):
        raise RecordRefused(f"{name}: must be a table; ask for it again")
    try:
        verifier = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        verifier.verify(bytes.fromhex(signature), signed_bytes(name, document))
    except (InvalidSignature, ValueError) as error:
        raise RecordRefused(f"{name}: its signature does not fit; get the original") from error
    return SignedRecord(document=document, public_key=key)
