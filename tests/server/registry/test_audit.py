"""The audit log: what was changed behind its back is found."""

import json
import shutil

import pytest

from ophora_model.errors import PlanInvalid
from ophora_server.registry import RegistryCorrupt, last_finished, verify
from ophora_server.registry.audit_log import entries
from ophora_server.registry.sites import join_site


def of_two_rounds(store):
    registry = store.begun()
    for number in (1, 2):
        store.finish(registry, number)
    assert verify(registry).holds
    return registry


def last_finished_number(store, registry):
    return max(store.ask(registry, "SELECT number FROM rounds WHERE state = 'finished'"))[0]


def test_what_happened_is_told_in_order(store):
    with of_two_rounds(store).reading() as connection:
        events = [entry.event for entry in entries(connection)]
    assert events[:6] == [
        "federation-created",
        "site-joined",
        "site-approved",
        "site-joined",
        "site-approved",
        "run-opened",
    ]
    assert events[6:] == ["round-begun", "round-finished"] * 2


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (
            ["UPDATE audit_log SET body = replace(body, 'site-a', 'site-c') WHERE seq = 2"],
            "entry 2",
        ),
        (["UPDATE audit_log SET hash = previous WHERE seq = 10"], "entry 10"),
        (["DELETE FROM audit_log WHERE seq = 4"], "entry 4"),
        (
            [
                "DELETE FROM audit_log WHERE seq = 4",
                "UPDATE audit_log SET seq = seq - 1 WHERE seq = 5",
                "UPDATE audit_log SET seq = seq - 1 WHERE seq = 6",
            ],
            "entry 4",
        ),
        (
            [
                "UPDATE audit_log SET seq = 99 WHERE seq = 3",
                "UPDATE audit_log SET seq = 3 WHERE seq = 5",
                "UPDATE audit_log SET seq = 5 WHERE seq = 99",
            ],
            "entry 3",
        ),
        (["DELETE FROM audit_log WHERE seq = 10"], "9 entries, but audit.head knows of 10"),
        (["DELETE FROM audit_log"], "0 entries, but audit.head knows of 10"),
    ],
    ids=["edited", "end edited", "removed", "closed up", "moved", "cut", "emptied"],
)
def test_a_change_of_the_log_is_found(store, statements, fault):
    registry = of_two_rounds(store)
    store.tamper(registry, *statements)
    found = verify(registry)
    assert not found.holds
    assert fault in found.faults[0]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rounds SET update_norm = 0.5 WHERE number = 1",
        "UPDATE rounds SET plan_digest = NULL WHERE number = 1",
        "UPDATE receipts SET counted = (1 = 0) WHERE id = 1",
        "UPDATE metrics SET value = 0.0 WHERE receipt_id = 1 AND name = 'epsilon'",
        "UPDATE server_states SET num_bytes = 1, digest = upper(digest) WHERE round_id = 1",
        "DELETE FROM metrics WHERE receipt_id = 1",
    ],
)
def test_a_change_of_a_finished_round_is_found(store, statement):
    registry = of_two_rounds(store)
    store.tamper(registry, statement)
    assert any("round 1 is not what the audit log has" in each for each in verify(registry).faults)


def test_a_round_that_was_made_unfinished_is_found(store):
    registry = of_two_rounds(store)
    store.tamper(
        registry, "UPDATE rounds SET state = 'open', adapter_digest = NULL WHERE number = 2"
    )
    assert ["round 2 is not there" in each for each in verify(registry).faults] == [True]


def test_nothing_is_built_on_a_log_that_was_cut(store):
    registry = of_two_rounds(store)
    store.tamper(registry, "DELETE FROM audit_log WHERE seq > 8")
    with pytest.raises(RegistryCorrupt, match=r"8 entries, but audit\.head knows of 10"):
        join_site(registry, "site-c", key_fingerprint=store.digest("site-c"))
    assert last_finished(registry, "run-1").number == 2  # reading goes on


def test_nothing_is_built_on_a_log_whose_head_is_gone(store):
    registry = of_two_rounds(store)
    (store.folder / "audit.head").unlink()
    assert "audit.head: not there" in verify(registry).faults[0]
    with pytest.raises(RegistryCorrupt, match="not there, but the log has 10 entries"):
        store.begin(registry, 3)


def test_an_old_copy_goes_on_only_when_it_is_adopted(store):
    registry = of_two_rounds(store)
    store.tamper(registry, "DELETE FROM audit_log WHERE seq > 8")
    with pytest.raises(RegistryCorrupt):
        store.begin(registry, 3)
    registry.adopt_head()
    store.begin(registry, 3)
    faults = verify(registry).faults
    assert len(faults) == 1
    assert "round 2 is finished, but not in the audit log" in faults[0]


def test_a_head_that_a_crash_left_behind_is_brought_up(store):
    registry = of_two_rounds(store)
    head = store.folder / "audit.head"
    shutil.copy(head, store.folder / "old")
    store.begin(registry, 3)
    shutil.copy(store.folder / "old", head)
    assert verify(registry).holds
    store.open()
    assert json.loads(head.read_text())["seq"] == 11


def test_a_head_that_holds_nothing_is_told(store):
    registry = of_two_rounds(store)
    (store.folder / "audit.head").write_text("{}")
    assert verify(registry).faults[0].startswith("audit.head: holds no head")
    with pytest.raises(RegistryCorrupt):
        store.begin(registry, 3)


def test_another_folder_may_read_and_not_write(store):
    of_two_rounds(store)
    elsewhere = store.open(folder=store.folder.with_name("elsewhere"))
    assert last_finished_number(store, elsewhere) == 2
    with pytest.raises(RegistryCorrupt, match="not there"):
        store.begin(elsewhere, 3)


def test_a_damaged_blob_is_found(store):
    registry = of_two_rounds(store)
    digest = last_finished(registry, "run-1").adapter_digest
    (store.folder / "blobs" / digest[:2] / digest).write_bytes(b"else")
    assert "not what was written" in verify(registry).faults[0]
    assert verify(registry, blobs=False).holds


def test_federations_share_a_log_and_nothing_else(store):
    of_two_rounds(store)
    other = store.open(federation="other")
    join_site(other, "site-a", key_fingerprint=store.digest("site-a"))
    store.plan(other, ["p2ft"])
    assert last_finished(other, "run-1") is None
    assert verify(other).holds


def test_the_log_takes_ids_and_counts_only(store):
    registry = store.begun()
    for value in ("Patient Smith", "/home/x", "x" * 65, float("nan")):
        with pytest.raises(PlanInvalid):
            registry.record("note", value=value)
