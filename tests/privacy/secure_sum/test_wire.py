"""Messages: strict both ways; any damage is a refusal, never another exception."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophora_privacy.errors import MessageRefused
from ophora_privacy.secure_sum.messages import (
    Confirmation,
    KeyAdvert,
    KeyRoster,
    MaskedInput,
    RelayedShares,
    RevealedShare,
    SealedShare,
    SharedKeys,
    SurvivorList,
    UnmaskRequest,
    UnmaskShares,
)

TAG, KEY, SIGNATURE = bytes(range(32)), bytes(range(100, 132)), bytes(range(64))
ADVERT = KeyAdvert(
    tag=TAG, sender="s00", seal_key=KEY, mask_key=TAG, commitment=KEY, signature=SIGNATURE
)
SEALED = SealedShare(sender="s00", recipient="s01", nonce=bytes(12), ciphertext=bytes(80))
CONFIRMED = Confirmation(tag=TAG, sender="s00", signature=SIGNATURE)
MESSAGES = [
    ADVERT,
    KeyRoster(tag=TAG, adverts=(ADVERT, ADVERT)),
    SharedKeys(tag=TAG, sender="s00", sealed=(SEALED,)),
    RelayedShares(tag=TAG, recipient="s01", members=("s00", "s01"), sealed=(SEALED,)),
    MaskedInput(tag=TAG, sender="s00", words=bytes(range(16))),
    SurvivorList(tag=TAG, members=("s00", "s01"), survivors=("s00",)),
    CONFIRMED,
    UnmaskRequest(tag=TAG, survivors=("s00",), dropped=(), confirmations=(CONFIRMED,)),
    UnmaskShares(
        tag=TAG, sender="s00", self_seeds=(RevealedShare(owner="s01", share=KEY),), mask_keys=()
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_round_trips(message: Any) -> None:
    assert type(message).from_bytes(message.to_bytes()) == message


@settings(deadline=None, max_examples=300)
@given(
    message=st.sampled_from(MESSAGES),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    how=st.sampled_from(["set", "cut", "drop", "add"]),
)
def test_damage_is_refused_or_shows(message: Any, place: float, value: int, how: str) -> None:
    data = message.to_bytes()
    at = int(place * len(data))
    damaged = {
        "set": data[:at] + bytes([value]) + data[at + 1 :],
        "cut": data[:at],
        "drop": data[:at] + data[at + 1 :],
        "add": data[:at] + bytes([value]) + data[at:],
    }[how]
    try:
        found = type(message).from_bytes(damaged)
    except MessageRefused:
        return
    assert found.to_bytes() == damaged
    assert (found == message) == (damaged == data)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    for message in MESSAGES:
        with pytest.raises(MessageRefused):
            type(message).from_bytes(data)


def _framed(header: bytes, body: bytes = b"") -> bytes:
    return b"OSS1" + struct.pack(">I", len(header)) + header + body


def _edited(edit: Callable[[dict[str, Any]], None]) -> bytes:
    data = CONFIRMED.to_bytes()
    content = json.loads(data[8:])
    edit(content)
    return _framed(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content.update(kind="KeyAdvert"),
        lambda content: content.update(more=1),
        lambda content: content["fields"].update(more=1),
        lambda content: content["fields"].pop("sender"),
        lambda content: content["fields"].update(sender=7),
        lambda content: content["fields"].update(sender="../s00"),
        lambda content: content["fields"].update(sender="s" * 65),
        lambda content: content["fields"].update(signature="00"),
        lambda content: content["fields"].update(signature="zz" * 64),
        lambda content: content["fields"].update(signature="AB" * 64),
        lambda content: content.update(fields=[]),
    ],
)
def test_another_kind_key_type_or_length_is_refused(
    edit: Callable[[dict[str, Any]], None],
) -> None:
    assert Confirmation.from_bytes(_edited(lambda content: None)) == CONFIRMED
    with pytest.raises(MessageRefused):
        Confirmation.from_bytes(_edited(edit))


@pytest.mark.parametrize(
    "header",
    [b"[" * 100_000, b'{"kind":"Confirmation","kind":"Confirmation"}', b"NaN", b"\xff\xfe", b""],
)
def test_hostile_json_is_refused(header: bytes) -> None:
    with pytest.raises(MessageRefused):
        Confirmation.from_bytes(_framed(header))


def test_a_length_that_promises_more_than_there_is_is_refused() -> None:
    with pytest.raises(MessageRefused, match="cut short"):
        Confirmation.from_bytes(b"OSS1" + struct.pack(">I", 2**31) + b"{}")
    with pytest.raises(MessageRefused):
        Confirmation.from_bytes(CONFIRMED.to_bytes() + b"trailing")


@pytest.mark.parametrize(
    "changed",
    [
        {"members": ("s01", "s00")},
        {"members": ("s00", "s00")},
        {"members": "s00"},
        {"members": ["s00"]},
        {"survivors": ("s 0",)},
        {"tag": "0" * 32},
        {"tag": bytes(31)},
    ],
)
def test_a_message_with_a_bad_field_cannot_be_made(changed: dict[str, Any]) -> None:
    with pytest.raises(MessageRefused):
        dataclasses.replace(MESSAGES[5], **changed)
    with pytest.raises(MessageRefused):
        KeyRoster(tag=TAG, adverts=(CONFIRMED,))  # type: ignore[arg-type]
