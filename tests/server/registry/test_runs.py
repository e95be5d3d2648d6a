"""Runs: opened at every start; what is over stays as it was."""

import pytest

from ophora_model.errors import PlanInvalid
from ophora_server.registry import EntryRefused, UnknownEntry, last_finished, verify
from ophora_server.registry.reports import rounds, status


def stages(registry):
    return [(each["number"], each["stage"], each["state"]) for each in rounds(registry, "run-1")]


def test_rounds_are_planned_by_stage(store):
    registry = store.open()
    store.plan(registry, ["tpt", "p2ft"])
    assert stages(registry) == [(1, "tpt", "planned"), (2, "p2ft", "planned")]


def test_the_rounds_to_come_may_change(store):
    registry = store.begun(rounds=3)
    store.finish(registry, 1)
    store.begin(registry, 2)
    store.plan(registry, ["tpt", "p2ft", "p2ft", "p2ft"])
    assert [stage for _, stage, _ in stages(registry)] == ["tpt", "p2ft", "p2ft", "p2ft"]
    store.plan(registry, ["tpt"])
    assert stages(registry) == [(1, "tpt", "finished"), (2, "p2ft", "abandoned")]
    store.plan(registry, ["tpt", "tpt"])
    assert store.begin(registry, 2).attempt == 2


@pytest.mark.parametrize("changed", [["p2ft", "p2ft"], ["tpt"]])
def test_a_round_that_is_over_stays_what_it_was(store, changed):
    registry = store.begun(rounds=2)
    for number in (1, 2):
        store.finish(registry, number)
    with pytest.raises(EntryRefused, match="but was run as 'tpt'; put the rounds"):
        store.plan(registry, changed)
    assert [state for *_, state in stages(registry)] == ["finished"] * 2


def test_a_run_of_another_identity_is_refused(store):
    registry = store.begun()
    with pytest.raises(EntryRefused, match="another preset, base or adapter"):
        store.plan(registry, ["tpt"], identity=store.digest("else"))


def test_changed_settings_are_told_and_the_same_are_not(store):
    registry = store.begun()
    before = status(registry)["audit_entries"]
    store.plan(registry, ["tpt"] * 4)
    assert status(registry)["audit_entries"] == before
    store.plan(registry, ["tpt"] * 4, settings={"preset": "tiny", "stages": ["tpt", 3, 0.5, None]})
    assert status(registry)["audit_entries"] == before + 1
    assert verify(registry).holds


@pytest.mark.parametrize(
    "settings",
    [
        {"base_folder": "/srv/base"},
        {"note": "a sentence about it"},
        {"A Key": 1},
        {"wait_s": float("inf")},
        {"deep": [[[[[[[[[[1]]]]]]]]]]},
        {"payload": b"bytes"},
    ],
)
def test_settings_are_numbers_and_words(store, settings):
    with pytest.raises(PlanInvalid):
        store.plan(store.open(), ["tpt"], settings=settings)


def test_a_run_has_rounds_of_known_stages(store):
    for wrong in ([], ["tpt", "tuning"]):
        with pytest.raises(PlanInvalid, match="stage"):
            store.plan(store.open(), wrong)


def test_an_unknown_run_is_told(store):
    with pytest.raises(UnknownEntry, match="run_id='run-9'"):
        last_finished(store.begun(), "run-9")
