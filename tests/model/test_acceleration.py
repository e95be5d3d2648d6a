"""Acceleration: settings are checked and read strictly; what would do nothing is refused."""

import json

import pytest

from ophora_model.acceleration import (
    ACCELERATIONS,
    FasterCache,
    FirstBlock,
    MagCache,
    NoAcceleration,
    Pab,
    find_acceleration,
    read_acceleration,
    write_acceleration,
)
from ophora_model.errors import PlanInvalid

EACH = (NoAcceleration(), Pab(), FasterCache(), MagCache(ratios=(1.0, 0.9)), FirstBlock())


def test_there_is_one_of_every_kind():
    assert tuple(each.kind for each in EACH) == ACCELERATIONS


@pytest.mark.parametrize("given", EACH, ids=lambda given: given.kind)
def test_reading_reverses_writing_through_json(given):
    assert read_acceleration(json.loads(json.dumps(write_acceleration(given)))) == given


@pytest.mark.parametrize("kind", ["none", "pab", "fastercache", "firstblock"])
def test_a_kind_by_name_comes_with_its_defaults(kind):
    assert find_acceleration(kind) in EACH


def test_magcache_is_not_had_without_ratios():
    with pytest.raises(PlanInvalid, match=r"Generator\.calibrate"):
        find_acceleration("magcache")


@pytest.mark.parametrize(
    ("kind", "reason"), [("taylorseer", "matches none"), ("seacache", "which step it is at")]
)
def test_an_acceleration_that_would_do_nothing_is_refused_with_the_reason(kind, reason):
    with pytest.raises(PlanInvalid, match=reason):
        find_acceleration(kind)
    with pytest.raises(PlanInvalid, match=reason):
        read_acceleration({"kind": kind})


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Pab, {"every": 1}),
        (Pab, {"every": 2.0}),
        (Pab, {"above": 800, "below": 801}),
        (Pab, {"below": 1001}),
        (FasterCache, {"branch_every": 1}),
        (FasterCache, {"branch_below": 0}),
        (FasterCache, {"decay": float("nan")}),
        (FasterCache, {"decay": 2.1}),
        (FasterCache, {"attention_every": 0}),
        (FasterCache, {"attention_below": 1001}),
        (MagCache, {"ratios": ()}),
        (MagCache, {"ratios": [1.0]}),
        (MagCache, {"ratios": (1.0, float("inf"))}),
        (MagCache, {"ratios": (1.0,), "threshold": -0.1}),
        (MagCache, {"ratios": (1.0,), "most_skipped": 0}),
        (MagCache, {"ratios": (1.0,), "retention": 1.1}),
        (FirstBlock, {"threshold": float("inf")}),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(kind, settings):
    with pytest.raises(PlanInvalid, match=rf"{kind.kind}\.({'|'.join(settings)})"):
        kind(**settings)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"kind": "pab", "every": 2, "above": 1, "below": 9, "more": 1}, "more=1: unknown key"),
        ({"kind": "pab", "every": 2, "above": 1}, "below: missing"),
        ({"every": 2}, "with a kind"),
        ({"kind": "teacache"}, "teacache.*allowed: none, pab"),
        ("pab", "must be a table"),
    ],
)
def test_unknown_and_missing_keys_are_refused(given, named):
    with pytest.raises(PlanInvalid, match=named):
        read_acceleration(given)
