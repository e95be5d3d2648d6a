"""Rounds: begun, finished once and whole, taken over, refused."""

import numpy as np
import pytest

from ophora_model.errors import PlanInvalid
from ophora_server.registry import (
    EntryRefused,
    RoundClosed,
    RoundOutcome,
    SiteRefused,
    UnknownEntry,
    UpdateReplayed,
    abandon_round,
    finish_round,
    last_finished,
    read_adapter,
    receive,
    verify,
    withdraw_round,
)
from ophora_server.registry.audit_log import entries
from ophora_server.registry.releases import add_release
from ophora_server.registry.reports import rounds, show
from ophora_server.registry.sites import join_site, revoke_site


def refusals(registry):
    """Reasons in the audit log, oldest first."""
    with registry.reading() as connection:
        return [
            (entry.values["site"], entry.values["reason"])
            for entry in entries(connection)
            if entry.event == "refused"
        ]


def counted(store, registry):
    return store.ask(registry, "SELECT round_id, site_id FROM receipts WHERE counted")


def test_a_run_without_a_finished_round_has_no_last_one(store):
    assert last_finished(store.begun(), "run-1") is None


def test_the_next_start_goes_on_from_the_last_finished_round(store):
    registry = store.begun()
    for number in (1, 2):
        store.finish(registry, number)
    store.begin(registry, 3)
    registry.close()
    again = store.open()
    last = last_finished(again, "run-1")
    assert (last.number, last.stage, last.server_state) == (2, "tpt", b"state 2")
    tensors = read_adapter(again, last.adapter_digest)
    assert np.array_equal(tensors["attn1.to_q.lora_B"], np.full((3, 2), 2, np.float32))


def test_a_round_is_kept_with_all_that_belongs_to_it(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    late = store.receipt(
        place, "site-b", code="late", update_digest=None, arrived=None, num_bytes=0
    )
    finish_round(registry, place, store.outcome(place, store.receipt(place), late))
    found = show(registry, "run-1", 1)
    assert found["participants"] == 1
    assert (found["bytes_sent"], found["bytes_received"]) == (200, 10)
    assert (found["update_norm"], found["metrics"]) == (0.25, {"loss": 0.125})
    assert found["plan_digest"] == store.digest("plan 1")
    assert [(each["site"], each["counted"]) for each in found["receipts"]] == [
        ("site-a", True),
        ("site-b", False),
    ]
    assert found["receipts"][0]["metrics"] == {"delta": 1e-5, "epsilon": 0.5}
    assert verify(registry).holds


def test_the_same_adapter_may_come_of_two_rounds(store):
    registry = store.begun()
    for number in (1, 2):
        place = store.begin(registry, number)
        finish_round(registry, place, store.outcome(place, adapter=store.adapter(7)))
    assert len(store.ask(registry, "SELECT digest FROM adapters")) == 1
    assert last_finished(registry, "run-1").number == 2


def test_a_round_without_an_optimizer_has_no_state(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    finish_round(registry, place, store.outcome(place, server_state=None))
    assert last_finished(registry, "run-1").server_state is None


def test_every_begin_is_a_new_attempt_and_the_old_one_is_over(store):
    registry = store.begun()
    old, new = store.begin(registry, 1), store.begin(registry, 1)
    assert (old.attempt, new.attempt) == (1, 2)
    with pytest.raises(RoundClosed, match="attempt 1 was taken over by 2"):
        finish_round(registry, old, store.outcome(old))
    assert counted(store, registry) == []
    finish_round(registry, new, store.outcome(new))
    assert len(counted(store, registry)) == 2


def test_a_finished_round_is_neither_begun_nor_finished_again(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    finish_round(registry, place, store.outcome(place))
    with pytest.raises(RoundClosed, match="round=1: is finished"):
        finish_round(registry, place, store.outcome(place))
    with pytest.raises(RoundClosed, match="round=1: is finished"):
        store.begin(registry, 1)
    assert len(counted(store, registry)) == 2


def test_a_receipt_of_another_attempt_is_refused_and_told(store):
    registry = store.begun()
    old, new = store.begin(registry, 1), store.begin(registry, 1)
    with pytest.raises(UpdateReplayed, match="of attempt 1; must be of 2"):
        receive(registry, new, store.receipt(old))
    mixed = store.outcome(new, store.receipt(new), store.receipt(old, "site-b"))
    with pytest.raises(UpdateReplayed, match="of attempt 1; must be of 2"):
        finish_round(registry, new, mixed)
    assert refusals(registry) == [("site-a", "UpdateReplayed"), ("site-b", "UpdateReplayed")]
    assert store.ask(registry, "SELECT id FROM receipts") == []


def test_a_second_receipt_of_a_site_is_refused_and_told(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    receive(registry, place, store.receipt(place))
    for again in (store.receipt(place), store.receipt(place, update_digest=store.digest("other"))):
        with pytest.raises(UpdateReplayed, match="one receipt an attempt"):
            receive(registry, place, again)
    assert refusals(registry) == [("site-a", "UpdateReplayed")] * 2
    assert len(store.ask(registry, "SELECT id FROM receipts")) == 1


def test_two_receipts_of_a_site_never_finish_a_round(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    twice = store.outcome(place, store.receipt(place), store.receipt(place, num_bytes=11))
    with pytest.raises(UpdateReplayed, match="site='site-a'"):
        finish_round(registry, place, twice)
    assert rounds(registry, "run-1")[0]["state"] == "open"
    finish_round(registry, place, store.outcome(place))


def test_a_receipt_that_differs_from_what_was_received_never_counts(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    receive(registry, place, store.receipt(place))
    swapped = store.receipt(place, update_digest=store.digest("swapped"))
    with pytest.raises(UpdateReplayed):
        finish_round(registry, place, store.outcome(place, swapped))
    assert counted(store, registry) == []


def test_what_was_received_counts_with_the_end_of_the_round_alone(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    receive(registry, place, store.receipt(place))
    assert counted(store, registry) == []
    finish_round(registry, place, store.outcome(place))
    assert len(counted(store, registry)) == 2
    assert len(store.ask(registry, "SELECT id FROM receipts")) == 2


def test_the_database_itself_counts_a_site_once_a_round(store):
    registry = store.begun()
    store.finish(registry, 1)
    columns = "round_id, attempt, site_id, code, num_bytes, bytes_sent, seconds, counted"
    twin = "SELECT round_id, 9, site_id, code, num_bytes, bytes_sent, seconds, counted"
    with pytest.raises(EntryRefused, match="contradicts"):
        store.tamper(registry, f"INSERT INTO receipts ({columns}) {twin} FROM receipts")


@pytest.mark.parametrize("state", ["unknown", "joined", "revoked"])
def test_an_update_of_a_site_that_may_not_take_part_never_counts(store, state):
    registry = store.begun()
    place = store.begin(registry, 1)
    if state == "joined":
        join_site(registry, "site-c", key_fingerprint=store.digest("site-c"))
    site = "site-a" if state == "revoked" else "site-c"
    if state == "revoked":
        revoke_site(registry, site)
    with pytest.raises(UnknownEntry if state == "unknown" else SiteRefused):
        finish_round(registry, place, store.outcome(place, store.receipt(place, site)))
    assert counted(store, registry) == []
    assert last_finished(registry, "run-1") is None


def test_a_site_that_is_revoked_may_still_be_told_to_have_declined(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    revoke_site(registry, "site-b")
    declined = store.receipt(place, "site-b", code="budget", update_digest=None)
    finish_round(registry, place, store.outcome(place, store.receipt(place), declined))
    assert len(counted(store, registry)) == 1


def test_an_abandoned_round_is_begun_again(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    abandon_round(registry, place, reason="quorum")
    assert rounds(registry, "run-1")[0]["state"] == "abandoned"
    with pytest.raises(RoundClosed, match="is abandoned"):
        finish_round(registry, place, store.outcome(place))
    assert store.begin(registry, 1).attempt == 2


def test_rounds_are_begun_in_order_and_as_planned(store):
    registry = store.begun(rounds=2)
    with pytest.raises(EntryRefused, match="must follow the last finished one"):
        store.begin(registry, 2)
    with pytest.raises(EntryRefused, match="planned as 'tpt'"):
        store.begin(registry, 1, stage="p2ft")
    with pytest.raises(UnknownEntry, match="round=3: must be planned"):
        store.begin(registry, 3)


def test_an_outcome_without_an_update_is_no_round(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    late = store.receipt(place, code="late", update_digest=None)
    with pytest.raises(PlanInvalid, match="abandon the round"):
        RoundOutcome(adapter=store.adapter(1), receipts=(late,), update_norm=0.0)


def test_a_round_whose_blobs_are_lost_is_withdrawn_and_run_again(store):
    registry = store.begun()
    for number in (1, 2):
        store.finish(registry, number)
    lost = last_finished(registry, "run-1").adapter_digest
    (store.folder / "blobs" / lost[:2] / lost).unlink()
    with pytest.raises(EntryRefused, match="round=1: must be the last finished one"):
        withdraw_round(registry, "run-1", 1, reason="lost")
    withdraw_round(registry, "run-1", 2, reason="lost")
    assert last_finished(registry, "run-1").number == 1
    assert verify(registry).holds
    assert store.finish(registry, 2).attempt == 2
    assert verify(registry).holds
    assert len(counted(store, registry)) == 4


def test_a_round_that_was_released_is_not_withdrawn(store):
    registry = store.begun()
    store.finish(registry, 1)
    add_release(registry, "run-1", 1, digest=store.digest("release"))
    with pytest.raises(EntryRefused, match="not released"):
        withdraw_round(registry, "run-1", 1, reason="lost")


def test_metrics_that_differ_from_what_was_received_never_count(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    receive(registry, place, store.receipt(place))
    better = store.receipt(place, metrics={"epsilon": 0.1, "delta": 1e-5})
    with pytest.raises(UpdateReplayed):
        finish_round(registry, place, store.outcome(place, better))
