"""A run as the rounds write it, on both databases: who may take part, attempts, what is resumed."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import plans
from ophora_server.registry.errors import EntryRefused, RoundClosed, SiteRefused
from ophora_server.registry.registry import Registry
from ophora_server.registry.reports import show, sites
from ophora_server.registry.sites import revoke_site
from ophora_server.registry.verification import verify
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import (
    URL_VARIABLE,
    RoundEntry,
    RunRecord,
    admit_sites,
    open_registry,
    rounds_done,
)

SETTINGS = plans.make_federation(plans.make_stage("tpt", 3))
ZEROS = {"layer": np.zeros((2, 2), np.float32)}


@pytest.fixture
def run(store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv(URL_VARIABLE, store.url)
    return plans.enrolled(tmp_path / "run", ["a", "b"])


@pytest.fixture
def registry(run: RunFolder) -> Iterator[Registry]:
    with open_registry(run) as opened:
        admit_sites(opened, run)
        yield opened


def _record(registry: Registry) -> RunRecord:
    return RunRecord.open(registry, SETTINGS, identity="base")


def _finished(entry: RoundEntry, value: float, state: bytes | None = None) -> None:
    for site in ("a", "b"):
        entry.sent(site, 100)
        entry.sent(site, 11)
        assert entry.take(site, "ok", num_bytes=5, update_digest="1" * 64, metrics={"epsilon": 2.0})
    entry.finish({"layer": np.full((2, 2), value, np.float32)}, 0.5, state)


def test_a_run_goes_on_from_its_last_finished_round(run: RunFolder, registry: Registry) -> None:
    assert rounds_done(run, SETTINGS) == 0
    record = _record(registry)
    assert record.state(ZEROS).tensors is ZEROS
    _finished(record.begin(1, "tpt", "0" * 64), 1.0, b"momentum")
    record.begin(2, "tpt", "0" * 64).take("a", "late", arrived=False)  # and killed here
    state = _record(registry).state(ZEROS)
    assert (state.round, state.server_state) == (1, b"momentum")
    assert np.array_equal(state.tensors["layer"], np.ones((2, 2), np.float32))
    assert [entry["bytes_sent"] for entry in state.history] == [{"a": 111, "b": 111}]
    assert rounds_done(run, SETTINGS) == 1
    budgets = {site["code"]: site["budget_epsilon"] for site in sites(registry)}
    assert budgets == {"a": 2.0, "b": 2.0}
    assert {site["software"] for site in sites(registry)} == {version("ophora-federated")}
    assert verify(registry).holds


def test_an_attempt_that_was_taken_over_can_add_nothing(registry: Registry) -> None:
    record = _record(registry)
    old = record.begin(1, "tpt", "0" * 64)
    assert old.take("a", "ok", update_digest="1" * 64)
    new = record.begin(1, "tpt", "0" * 64)
    with pytest.raises(RoundClosed):
        old.take("b", "ok", update_digest="2" * 64)
    _finished(new, 3.0)
    receipts = show(registry, SETTINGS.run_id, 1)["receipts"]
    assert [(each["attempt"], each["site"], each["counted"]) for each in receipts] == [
        (1, "a", False), (2, "a", True), (2, "b", True),
    ]  # fmt: skip


def test_a_site_revoked_between_its_reply_and_the_end_abandons_the_round(
    registry: Registry,
) -> None:
    record = _record(registry)
    entry = record.begin(1, "tpt", "0" * 64)
    for site in ("a", "b"):
        assert entry.take(site, "ok", update_digest="1" * 64)
    revoke_site(registry, "b")
    with pytest.raises(SiteRefused):
        entry.finish(ZEROS, 0.0)
    assert show(registry, SETTINGS.run_id, 1)["state"] == "abandoned"
    assert record.state(ZEROS).round == 0


def test_a_revoked_code_does_not_come_back_and_a_code_keeps_its_key(
    run: RunFolder, registry: Registry
) -> None:
    (run.path / "sites" / "b.pub").write_text("another key\n")
    with pytest.raises(EntryRefused, match="site='b'"):
        admit_sites(registry, run)
    (run.path / "sites" / "b.pub").unlink()
    run.revoked.mkdir()
    (run.revoked / "a-1.json").write_text('{"site": "a"}')
    with pytest.raises(SiteRefused, match="another code"):
        admit_sites(registry, run)  # its key is still there
    (run.path / "sites" / "a.pub").unlink()
    admit_sites(registry, run)
    assert [site["revoked"] is not None for site in sites(registry)] == [True, False]


def test_another_base_or_adapter_is_another_run(registry: Registry) -> None:
    _record(registry)
    with pytest.raises(EntryRefused, match="another preset, base or adapter"):
        RunRecord.open(registry, SETTINGS, identity="other base")
    adapter = replace(SETTINGS.adapter, seed=99)
    with pytest.raises(EntryRefused, match="another preset, base or adapter"):
        RunRecord.open(registry, replace(SETTINGS, adapter=adapter), identity="base")
