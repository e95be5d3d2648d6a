"""Sites: one key, one code, approved before they count, revoked for good."""

import pytest

from ophora_model.errors import PlanInvalid
from ophora_server.registry import EntryRefused, SiteRefused, UnknownEntry, verify
from ophora_server.registry.audit_log import entries
from ophora_server.registry.reports import sites
from ophora_server.registry.sites import (
    approve_site,
    approved_sites,
    join_site,
    note_contact,
    revoke_site,
)


def test_a_site_counts_once_it_is_approved_and_until_it_is_revoked(store):
    registry, key = store.open(), store.digest("a")
    join_site(registry, "site-a", key_fingerprint=key)
    assert approved_sites(registry) == {}
    approve_site(registry, "site-a")
    assert approved_sites(registry) == {"site-a": key}
    revoke_site(registry, "site-a")
    assert approved_sites(registry) == {}
    with pytest.raises(SiteRefused, match="is revoked"):
        approve_site(registry, "site-a")


def test_joining_again_with_the_same_key_changes_nothing(store):
    registry = store.begun()
    before = sites(registry), store.ask(registry, "SELECT count(*) FROM audit_log")
    join_site(registry, "site-a", key_fingerprint=store.digest("site-a"))
    assert (sites(registry), store.ask(registry, "SELECT count(*) FROM audit_log")) == before


@pytest.mark.parametrize(("code", "key"), [("site-a", "other"), ("site-c", "site-a")])
def test_neither_a_code_nor_a_key_serves_two_sites(store, code, key):
    with pytest.raises(EntryRefused, match="another site's"):
        join_site(store.begun(), code, key_fingerprint=store.digest(key))


def test_the_last_contact_and_what_a_site_says_are_kept(store):
    registry = store.begun()
    said = {"software": "0.1.0+cpu", "budget_epsilon": 8.0, "budget_delta": 1e-5}
    note_contact(registry, "site-a", **said)
    note_contact(registry, "site-a", **said)
    note_contact(registry, "site-a")
    found = sites(registry)[0]
    assert {name: found[name] for name in said} == said
    assert found["last_contact"] >= found["joined"]
    with registry.reading() as connection:
        changed = [each.values for each in entries(connection) if each.event == "site-changed"]
    assert changed == [{"federation": "federation", "site": "site-a", **said}]
    assert verify(registry).holds


@pytest.mark.parametrize(
    "said",
    [
        {"software": "x" * 65},
        {"software": "two words"},
        {"software": "/opt/ophora"},
        {"budget_epsilon": -1.0},
        {"budget_epsilon": float("nan")},
        {"budget_delta": "1e-5"},
    ],
)
def test_a_site_says_no_free_text(store, said):
    registry = store.begun()
    with pytest.raises(PlanInvalid) as caught:
        note_contact(registry, "site-a", **said)
    assert "two words" not in str(caught.value)
    assert sites(registry)[0]["last_contact"] is None


@pytest.mark.parametrize("code", ["Site", "a b", "", "x" * 33, None, "site/../a"])
def test_a_code_is_a_short_word(store, code):
    with pytest.raises(PlanInvalid, match=r"site=.*must be"):
        join_site(store.open(), code, key_fingerprint=store.digest("a"))


def test_a_site_that_never_joined_is_unknown(store):
    for act in (approve_site, revoke_site, note_contact):
        with pytest.raises(UnknownEntry, match="must have joined"):
            act(store.open(), "site-x")
