"""Keys of a pair: the RFC's X25519 vector, fixed values that must never change, sealed shares."""

import dataclasses
import hashlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ophora_privacy.errors import MessageRefused
from ophora_privacy.secure_sum.agreement import (
    commitment_to,
    open_share,
    pair_mask_key,
    seal_share,
    self_mask_key,
)
from ophora_privacy.secure_sum.keystream import Keystream, add_mask, derive_key

TAG = bytes(range(32))
# RFC 7748, section 6.1
ALICE = X25519PrivateKey.from_private_bytes(
    bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
)
BOB = X25519PrivateKey.from_private_bytes(
    bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
)
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
EXPECTED = [
    "7ab314d36140642bf9b96b7f46f46716e6e458683437dec527772683aa384a38",  # the pair's key
    "11400f151ebece6a23ccac8e7abb4dfe685d18584babb4c26b1e00a5353731a8",  # a site's own
    "d5fbbf2b20132e9b741deb147f6049121da0b912d17ed81de2f3a6834af4715f",  # the commitment
    "d477743af364725f8297e2a1c1280303",  # the pair's stream
    "3798e4c8805158685c71d0b778db55c6808bfe3977c854a216e86adf3b1d2a15",  # both on 100,000 words
]


def _public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def test_a_pair_derives_the_same_key_from_the_rfcs_shared_secret() -> None:
    names = ("s01", "s00")
    key = pair_mask_key(ALICE, _public(BOB), TAG, names)
    assert key == pair_mask_key(BOB, _public(ALICE), TAG, names[::-1])
    assert key == derive_key(SHARED, salt=TAG, info=b"ophora secure sum 1\0pair\0s00\0s01")


def test_fixed_secrets_give_fixed_masks() -> None:
    key = pair_mask_key(ALICE, _public(BOB), TAG, ("s00", "s01"))
    own = self_mask_key(bytes(range(32, 64)), TAG, "s00")
    total = np.arange(100_000, dtype=np.uint32)
    add_mask(total, key)
    add_mask(total, own, subtract=True)
    found = [
        key.hex(),
        own.hex(),
        commitment_to(bytes(32), TAG, "s00").hex(),
        Keystream(key).words32(4).astype("<u4").tobytes().hex(),
        hashlib.sha256(total.astype("<u4").tobytes()).hexdigest(),
    ]
    assert found == EXPECTED


def test_keys_differ_by_round_pair_and_purpose() -> None:
    keys = {
        pair_mask_key(ALICE, _public(BOB), TAG, ("s00", "s01")),
        pair_mask_key(ALICE, _public(BOB), bytes(32), ("s00", "s01")),
        pair_mask_key(ALICE, _public(BOB), TAG, ("s00", "s02")),
        self_mask_key(SHARED, TAG, "s00"),
        self_mask_key(SHARED, TAG, "s01"),
        commitment_to(SHARED, TAG, "s00"),
    }
    assert len(keys) == 6


def test_a_sealed_share_opens_for_its_recipient_in_its_round_only() -> None:
    shares = bytes(range(64))
    sealed = seal_share(ALICE, _public(BOB), TAG, sender="s00", recipient="s01", shares=shares)
    assert open_share(BOB, _public(ALICE), TAG, sealed) == shares
    swapped = dataclasses.replace(sealed, sender="s01", recipient="s00")
    for key, other, tag, message in (
        (BOB, _public(ALICE), bytes(32), sealed),
        (BOB, _public(X25519PrivateKey.generate()), TAG, sealed),
        (X25519PrivateKey.generate(), _public(ALICE), TAG, sealed),
        (BOB, _public(ALICE), TAG, swapped),
    ):
        with pytest.raises(MessageRefused):
            open_share(key, other, tag, message)
