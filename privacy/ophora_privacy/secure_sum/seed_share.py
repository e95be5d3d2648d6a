"""A 256-bit secret split among holders, any `threshold` of whom can rebuild it.

Shamir over GF(2^128), so the secret is shared as two halves at the same places.
"""

from __future__ import annotations

from collections.abc import Mapping

from Crypto.Protocol.SecretSharing import Shamir

SHARE_BYTES = 32

_HALF = 16


def split_seed(seed: bytes, *, threshold: int, holders: int) -> list[bytes]:
    """One share of 32 bytes for each holder; the first is for place 1. Fewer tell nothing."""
    halves = [
        Shamir.split(threshold, holders, half, False) for half in (seed[:_HALF], seed[_HALF:])
    ]
    return [first + second for (_, first), (_, second) in zip(*halves, strict=True)]


def join_seed(shares: Mapping[int, bytes], *, threshold: int) -> bytes:
    """The secret from shares by place; a wrong share gives a wrong secret, so compare it.

    Takes the `threshold` lowest places. Raises ValueError with fewer shares.
    """
    if len(shares) < threshold:
        raise ValueError(f"{len(shares)} shares: must be at least {threshold}")
    used = sorted(shares)[:threshold]
    return b"".join(
        Shamir.combine([(place, shares[place][cut]) for place in used], False)
        for cut in (slice(None, _HALF), slice(_HALF, None))
    )
