"""Plan and roster: what can't be honoured is refused by name; any change changes the tag."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ophora_privacy.errors import InvalidPlan, MessageRefused
from ophora_privacy.secure_sum import FixedPoint, Layout, Roster, SecureSumPlan, SiteIdentity

PLAN = SecureSumPlan(
    round_id="run 1 round 2",
    layout=Layout(tensors=(("a", (2, 3)), ("b", (4,)))),
    grid=FixedPoint(bound=0.5, max_sites=10, noise_std=0.01),
    min_sites=5,
    neighbours=9,
    roster_digest="ab" * 32,
    context="cd" * 32,
)


def test_round_trips_through_json() -> None:
    again = SecureSumPlan.from_dict(json.loads(json.dumps(PLAN.to_dict())))
    assert again == PLAN
    assert again.tag() == PLAN.tag()


@pytest.mark.parametrize(
    "changed",
    [
        {"round_id": "run 1 round 3"},
        {"layout": Layout(tensors=(("a", (3, 2)), ("b", (4,))))},
        {"grid": FixedPoint(bound=0.5, max_sites=10, noise_std=0.0)},
        {"grid": FixedPoint(bound=0.4, max_sites=10, noise_std=0.01)},
        {"min_sites": 4},
        {"neighbours": 8},
        {"roster_digest": "ac" * 32},
        {"context": ""},
    ],
)
def test_every_setting_is_in_the_tag(changed: dict[str, Any]) -> None:
    assert dataclasses.replace(PLAN, **changed).tag() != PLAN.tag()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("round_id", ""),
        ("round_id", 3),
        ("min_sites", 2),
        ("min_sites", 11),
        ("min_sites", 5.0),
        ("neighbours", 3),
        ("neighbours", 0),
        ("neighbours", True),
        ("roster_digest", "ab"),
        ("context", "no digest"),
        ("bound", 0),
        ("max_sites", 2**31),
        ("layout", [["a"]]),
        ("layout", 3),
    ],
)
def test_refuses_what_it_cannot_honour(key: str, value: object) -> None:
    with pytest.raises(InvalidPlan, match=key):
        SecureSumPlan.from_dict({**PLAN.to_dict(), key: value})


def test_names_unknown_and_missing_keys() -> None:
    with pytest.raises(InvalidPlan, match="trust_me: unknown"):
        SecureSumPlan.from_dict({**PLAN.to_dict(), "trust_me": 1})
    values = PLAN.to_dict()
    del values["min_sites"]
    with pytest.raises(InvalidPlan, match="min_sites: missing"):
        SecureSumPlan.from_dict(values)


def test_says_how_many_colluders_it_withstands() -> None:
    assert PLAN.threshold(10) == 6
    assert PLAN.tolerated_colluders == 2  # of five sites: four neighbours, threshold three
    assert PLAN.tolerated_liars == 1
    assert dataclasses.replace(PLAN, min_sites=10).tolerated_colluders == 5


def test_a_roster_knows_its_sites_signatures_and_no_others() -> None:
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    first, second = (SiteIdentity(f"s{n}", key) for n, key in enumerate(keys))
    roster = Roster({"s1": second.public_key(), "s0": first.public_key()})
    signature = first.sign("advert", b"body")
    roster.check("s0", "advert", b"body", signature)
    for name, purpose, body, given in (
        ("s1", "advert", b"body", signature),
        ("s0", "confirm", b"body", signature),
        ("s0", "advert", b"other", signature),
        ("s0", "advert", b"body", bytes(64)),
        ("s0", "advert", b"body", b""),
        ("s2", "advert", b"body", signature),
    ):
        with pytest.raises(MessageRefused):
            roster.check(name, purpose, body, given)
    raw = keys[0].private_bytes_raw()
    assert SiteIdentity.from_private_bytes("s0", raw).public_key() == roster.keys["s0"]
    with pytest.raises(InvalidPlan):
        SiteIdentity.from_private_bytes("s0", raw[:31])


def test_a_roster_digest_tells_names_and_keys_but_not_their_order() -> None:
    one, two = bytes([1]) * 32, bytes([2]) * 32
    assert Roster({"a": one, "b": two}).digest() == Roster({"b": two, "a": one}).digest()
    assert Roster({"a": one, "b": two}).digest() != Roster({"a": two, "b": one}).digest()


@pytest.mark.parametrize(
    "keys",
    [{"a b": bytes(32)}, {"a": bytes(31)}, {"a": bytes(32), "b": bytes(32)}, {"": bytes(32)}],
)
def test_a_bad_roster_is_refused(keys: dict[str, bytes]) -> None:
    with pytest.raises(InvalidPlan):
        Roster(keys)
