"""The seam: what is listed passes, all else raises in strict mode and is withheld elsewhere."""

from typing import Any

import pytest

from ophora_privacy.errors import FieldRefused
from ophora_privacy.watch.fields import CODES, FIELDS, STRICT_VARIABLE, allowed, listed_code

PLANTED = "Mrs Eleanor Whitcombe"
GOOD: dict[str, Any] = {
    "run": "demo-1",
    "round": 3,
    "stage": "tpt",
    "site": "site-a",
    "code": "late",
    "exchange": "unmask",
    "sites": 3,
    "rounds": 4,
    "step": 1,
    "steps": 9,
    "failures": 2,
    "port": 9400,
    "bytes": 1_000_000,
    "seconds": 1.5,
    "error": "OSError",
    "where": "ophora_client.trainer:12",
    "video": "video_" + "0a" * 16,
    "state": "idle",
    "tier": "p2ft",
    "status": "curated",
    "kind": "rounds",
}


def test_every_listed_field_passes_with_a_value_of_its_kind() -> None:
    assert GOOD.keys() == FIELDS.keys()
    assert allowed(GOOD) == GOOD


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "value",
    [
        PLANTED,
        "/videos/WHITCOMBE/2026-03-01.mp4",
        "site-a\nMrs Whitcombe",
        "",
        None,
        -1,
        float("nan"),
        float("inf"),
        True,
        ["site-a"],
        {"a": 1},
        b"site-a",
        ValueError(PLANTED),
    ],
)
def test_what_a_field_does_not_accept_raises_and_is_withheld_in_production(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FieldRefused) as refused:
        allowed({name: value})
    assert "Whitcombe" not in str(refused.value)
    monkeypatch.delenv(STRICT_VARIABLE)
    assert allowed({name: value, "round": 1} | ({"round": value} if name == "round" else {})) == {
        name: "withheld",
        **({} if name == "round" else {"round": 1}),
    }


def test_a_name_that_is_not_listed_is_not_told_either(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("narration", "path", PLANTED, "epsilon", "loss", "patient"):
        with pytest.raises(FieldRefused) as refused:
            allowed({name: 3})
        assert PLANTED not in str(refused.value)
    monkeypatch.delenv(STRICT_VARIABLE)
    assert allowed({PLANTED: 1, "narration": "x", "round": 2}) == {"round": 2, "unlisted": 2}


def test_no_field_is_wide_enough_for_a_sentence() -> None:
    assert not {name for name, field in FIELDS.items() if field.accepts("two words")}


def test_a_code_of_a_sites_own_making_is_other() -> None:
    assert listed_code("late") == "late"
    assert listed_code("whitcombe") == "other"
    assert len(set(CODES)) == len(CODES)
