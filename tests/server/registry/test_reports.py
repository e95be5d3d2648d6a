"""What the command line and the page are told, releases, and the export."""

import json
import re

import pytest

from ophora_model.errors import PlanInvalid
from ophora_server.registry import (
    EntryRefused,
    SiteRefused,
    UnknownEntry,
    export,
    finish_round,
    finite,
    receive,
    verify,
)
from ophora_server.registry.releases import add_release, mark_published, record_decision
from ophora_server.registry.reports import history, releases, show, sites, status
from ophora_server.registry.sites import revoke_site
from ophora_server.registry.tables import METADATA


def test_the_status_says_where_a_run_is(store):
    registry = store.begun(rounds=3)
    finished = store.finish(registry, 1)
    place = store.begin(registry, 2)
    receive(registry, place, store.receipt(place))
    receive(registry, place, store.receipt(place, "site-b", code="budget", update_digest=None))
    revoke_site(registry, "site-b")
    found = status(registry)
    assert found["sites"] == {"joined": 2, "approved": 2, "revoked": 1}
    (run,) = found["runs"]
    assert (run["rounds"], run["finished"]) == (3, 1)
    assert run["adapter_digest"] == finished.adapter_digest
    current = run["current"]
    assert (current["round"], current["state"], current["attempt"]) == (2, "open", 1)
    assert (current["ok"], current["not_ok"]) == (1, 1)
    assert json.loads(json.dumps(found)) == found


def test_the_status_of_a_run_at_its_end_has_no_round(store):
    registry = store.begun(rounds=1)
    store.finish(registry, 1)
    assert status(registry)["runs"][0]["current"] is None


def test_a_site_is_told_with_the_updates_that_count(store):
    registry = store.begun()
    store.finish(registry, 1)
    place = store.begin(registry, 2)
    receive(registry, place, store.receipt(place))
    assert [(each["code"], each["updates"]) for each in sites(registry)] == [
        ("site-a", 1),
        ("site-b", 1),
    ]


def test_a_round_is_shown_with_the_receipts_of_every_attempt(store):
    registry = store.begun()
    cut_off = store.begin(registry, 1)
    receive(registry, cut_off, store.receipt(cut_off))
    store.finish(registry, 1)
    found = show(registry, "run-1", 1)
    assert [(each["attempt"], each["counted"]) for each in found["receipts"]] == [
        (1, False),
        (2, True),
        (2, True),
    ]
    with pytest.raises(UnknownEntry):
        show(registry, "run-1", 9)


def test_the_history_is_that_of_a_checkpoint(store):
    registry = store.begun()
    place = store.begin(registry, 1)
    infinite = finite({"epsilon": float("inf"), "delta": 1e-3, "steps": 3.0})
    receipts = (
        store.receipt(place, metrics=infinite),
        store.receipt(place, "site-b", code="late", update_digest=None, arrived=None, num_bytes=0),
    )
    finish_round(registry, place, store.outcome(place, *receipts))
    (entry,) = history(registry, "run-1")
    assert entry.pop("seconds") >= 0
    assert entry == {
        "round": 1,
        "stage": "tpt",
        "sites": ["site-a"],
        "bytes_sent": {"site-a": 100, "site-b": 100},
        "bytes_received": {"site-a": 10},
        "update_norm": 0.25,
        "stated": {"site-a": {"epsilon": None, "delta": 1e-3}},
    }


def test_a_receipt_holds_codes_counts_and_known_metrics(store):
    place = store.begin(store.begun(), 1)
    for wrong in (
        {"code": "a reason in words"},
        {"code": "x" * 33},
        {"num_bytes": -1},
        {"num_bytes": 2**63},
        {"seconds": float("nan")},
        {"update_digest": None},
        {"update_digest": "abc"},
        {"metrics": {"epsilon": float("inf")}},
        {"metrics": {"patients": 3.0}},
        {"attempt": 0},
    ):
        with pytest.raises(PlanInvalid):
            store.receipt(place, **wrong)


def test_a_release_is_told_with_the_last_word_of_each_site(store):
    registry = store.begun()
    store.finish(registry, 1)
    release, record = store.digest("release"), store.digest("record")
    for _ in range(2):
        add_release(registry, "run-1", 1, digest=release)
    for site, decision in (("site-a", "reject"), ("site-b", "approve"), ("site-a", "approve")):
        record_decision(registry, release, site, decision=decision, record_digest=record)
    (found,) = releases(registry, "run-1")
    assert (found["digest"], found["round"], found["stage"]) == (release, 1, "tpt")
    assert [(each["site"], each["decision"]) for each in found["decisions"]] == [
        ("site-a", "approve"),
        ("site-b", "approve"),
    ]
    assert found["published"] is None
    records = {"evidence_digest": record, "policy_digest": record}
    mark_published(registry, release, **records)
    assert releases(registry, "run-1")[0]["published"] is not None
    with pytest.raises(EntryRefused, match="is published"):
        mark_published(registry, release, **records)
    with pytest.raises(EntryRefused, match="is published"):
        record_decision(registry, release, "site-a", decision="reject", record_digest=record)
    assert verify(registry).holds


def test_a_release_is_of_a_finished_round_and_decided_by_members(store):
    registry = store.begun()
    release, record = store.digest("release"), store.digest("record")
    with pytest.raises(EntryRefused, match="must be finished"):
        add_release(registry, "run-1", 1, digest=release)
    store.finish(registry, 1)
    store.finish(registry, 2)
    said = {"decision": "approve", "record_digest": record}
    with pytest.raises(UnknownEntry, match="must have been added"):
        record_decision(registry, release, "site-a", **said)
    add_release(registry, "run-1", 1, digest=release)
    with pytest.raises(EntryRefused, match="of another round"):
        add_release(registry, "run-1", 2, digest=release)
    revoke_site(registry, "site-a")
    with pytest.raises(SiteRefused):
        record_decision(registry, release, "site-a", **said)
    with pytest.raises(PlanInvalid, match="decision='maybe'"):
        record_decision(registry, release, "site-b", decision="maybe", record_digest=record)


def test_the_export_is_every_row_and_no_blob(store):
    registry = store.begun()
    store.finish(registry, 1)
    lines = [json.loads(line) for line in export(registry)]
    assert lines[0] == {"table": "schema", "revision": "0002"}
    for table in METADATA.tables:
        rows = store.ask(registry, f"SELECT count(*) FROM {table}")[0][0]
        assert sum(line["table"] == table for line in lines[1:]) == rows, table
    assert {line["table"] for line in lines} >= {"rounds", "receipts", "metrics", "audit_log"}
    text = "\n".join(export(registry))
    assert "state 1" not in text
    assert not re.search(r"/(dev|tmp|home|work)\b", text)
