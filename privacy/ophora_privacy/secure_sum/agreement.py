"""What two sites can compute and the coordinator can't: the pair's mask key and its sealed shares.

Data path: own X25519 private key and the other's public key -> HKDF-SHA256, bound to the plan and
to both names -> a 256-bit ChaCha20 key for the pair's mask, or a ChaCha20-Poly1305 key for shares
in one direction.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ophora_privacy.errors import MessageRefused
from ophora_privacy.secure_sum.keystream import derive_key
from ophora_privacy.secure_sum.messages import NONCE_BYTES, SealedShare


def pair_mask_key(own: X25519PrivateKey, other: bytes, tag: bytes, names: tuple[str, str]) -> bytes:
    """The same for both sites of a pair. Raises MessageRefused on a public key of low order."""
    return derive_key(_shared(own, other), salt=tag, info=_info("pair", *sorted(names)))


def self_mask_key(seed: bytes, tag: bytes, site_id: str) -> bytes:
    """The key of the mask that only the seed's owner adds."""
    return derive_key(seed, salt=tag, info=_info("self", site_id))


def commitment_to(seed: bytes, tag: bytes, site_id: str) -> bytes:
    """SHA-256 that binds a random seed of 256 bits without telling it."""
    return hashlib.sha256(_info("commit", site_id) + tag + seed).digest()


def seal_share(
    own: X25519PrivateKey, other: bytes, tag: bytes, *, sender: str, recipient: str, shares: bytes
) -> SealedShare:
    """Encrypted and authenticated for `recipient`, as sent by `sender` in this round."""
    key = derive_key(_shared(own, other), salt=tag, info=_info("seal", sender, recipient))
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = ChaCha20Poly1305(key).encrypt(nonce, shares, tag)
    return SealedShare(sender=sender, recipient=recipient, nonce=nonce, ciphertext=ciphertext)


def open_share(own: X25519PrivateKey, other: bytes, tag: bytes, sealed: SealedShare) -> bytes:
    """The inverse of `seal_share`. Raises MessageRefused on a changed, forged or replayed one."""
    info = _info("seal", sealed.sender, sealed.recipient)
    key = derive_key(_shared(own, other), salt=tag, info=info)
    try:
        return ChaCha20Poly1305(key).decrypt(sealed.nonce, sealed.ciphertext, tag)
    except InvalidTag as error:
        raise MessageRefused(f"share of site {sealed.sender}: was changed on its way") from error


def _shared(own: X25519PrivateKey, other: bytes) -> bytes:
    try:
        return own.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError as error:
        raise MessageRefused("public key: must not be of low order") from error


def _info(purpose: str, *names: str) -> bytes:
    return "\0".join(["ophora secure sum 1", purpose, *names]).encode()
