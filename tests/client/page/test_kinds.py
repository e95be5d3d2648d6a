"""The schema on the page is that of egress and of the secure sum's messages."""

from __future__ import annotations

from dataclasses import fields

import pytest

from ophora_client.egress import ALLOWED_METRICS, DECLINE_CODES, EXCHANGES, LOSS
from ophora_client.page import kinds
from ophora_client.page.kinds import Kind
from ophora_client.sent_log import SentMessage
from ophora_privacy.ledger_head import LedgerReceipt
from ophora_privacy.secure_sum import messages

SCALARS = {*ALLOWED_METRICS, LOSS}
RECEIPT = {f"receipt.{each.name}" for each in fields(LedgerReceipt)}


def names(kind: Kind) -> set[str]:
    return {field.name for field in kind.fields}


def of(message: type, **nested: type) -> set[str]:
    """A message's field names; those of nested records after a dot."""
    found = set()
    for field in fields(message):
        inner = nested.get(field.name)
        found |= {f"{field.name}.{each.name}" for each in fields(inner)} if inner else {field.name}
    return found


def test_an_update_holds_what_egress_lets_pass() -> None:
    (layer,) = names(kinds.UPDATE) - SCALARS - RECEIPT - {"code"}
    assert layer.startswith("LAYER")
    assert names(kinds.KEYS) == {"code", *SCALARS, *RECEIPT, *of(messages.KeyAdvert)}


def test_messages_of_a_secure_sum_have_their_fields() -> None:
    sealed = of(messages.SharedKeys, sealed=messages.SealedShare)
    revealed = of(
        messages.UnmaskShares, self_seeds=messages.RevealedShare, mask_keys=messages.RevealedShare
    )
    assert names(kinds.SHARED_KEYS) == {"code", *sealed}
    assert names(kinds.MASKED) == {"code", *of(messages.MaskedInput)}
    assert names(kinds.CONFIRMATION) == {"code", *of(messages.Confirmation)}
    assert names(kinds.UNMASK) == {"code", *revealed}
    nonce, ciphertext = (field.shape for field in kinds.SHARED_KEYS.fields[-2:])
    assert nonce == f"{messages.NONCE_BYTES} bytes"
    assert ciphertext == f"{messages.SEALED_BYTES} bytes"


def test_every_refusal_is_explained() -> None:
    assert tuple(kinds.REFUSALS) == DECLINE_CODES


@pytest.mark.parametrize(
    ("asked", "code", "tensors", "slug"),
    [
        ("train", "ok", 3, "update"),
        ("train", "ok", 0, "keys"),
        ("train", "budget", 0, "refusal"),
        ("unmask", "secure-sum", 0, "refusal"),
        *((exchange, "ok", 0, exchange) for exchange in EXCHANGES),
    ],
)
def test_a_noted_message_is_of_one_kind(asked: str, code: str, tensors: int, slug: str) -> None:
    message = SentMessage(
        seq=1,
        time=0.0,
        asked=asked,
        about={},
        code=code,
        metrics={},
        tensors=tensors,
        num_bytes=1,
        digest="",
        has_receipt=False,
        previous="",
        hash="",
    )
    assert kinds.kind_of(message).slug == slug
    assert slug in {kind.slug for kind in kinds.KINDS}
