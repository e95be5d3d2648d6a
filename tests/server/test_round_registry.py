"""Rounds as transactions: torn adapters, revoked sites, attempts."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import plans
from fake_rounds import Answer, FakeLink, asked_for, constant, halfway, not_a_number, run_folder
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Tensors
from ophora_server.errors import QuorumMissed
from ophora_server.one_round import BaseFacts, read_base_facts
from ophora_server.registry.errors import RegistryCorrupt, UnknownEntry
from ophora_server.registry.finished import withdraw_round
from ophora_server.registry.reports import rounds, show
from ophora_server.registry.sites import revoke_site
from ophora_server.registry.verification import verify
from ophora_server.rounds import run_rounds
from ophora_server.run_record import open_registry, rounds_done


@pytest.fixture(scope="module")
def base() -> BaseFacts:
    return read_base_facts(asked_for(tpt=1))


def test_a_torn_adapter_stops_the_run_until_its_round_is_withdrawn(
    tmp_path: Path, base: BaseFacts
) -> None:
    run, settings = run_folder(tmp_path), asked_for(tpt=3, p2ft=1)
    sites: dict[int, Answer | None] = {1: halfway, 2: halfway, 3: halfway}

    def lost_after_two(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        return ("cancelled", {}) if plan.round == 3 else halfway(plan, start)

    with pytest.raises(QuorumMissed):
        run_rounds(FakeLink({**sites, 1: lost_after_two, 2: lost_after_two}), run, settings, base)
    with open_registry(run) as registry:
        digest = rounds(registry, settings.run_id)[1]["adapter_digest"]
    (torn,) = (run.registry / "blobs").rglob(digest)
    torn.write_bytes(torn.read_bytes()[:-7])
    link = FakeLink(sites)
    with pytest.raises(RegistryCorrupt):
        run_rounds(link, run, settings, base)
    assert link.plans == []
    with open_registry(run) as registry:
        withdraw_round(registry, settings.run_id, 2, reason="torn")
    run_rounds(link, run, settings, base)
    assert sorted({plan.round for plan in link.plans}) == [2, 3, 4]


def test_a_revoked_site_is_not_counted_even_in_the_open_round(
    tmp_path: Path, base: BaseFacts
) -> None:
    run, settings = run_folder(tmp_path), asked_for(tpt=2)

    def revoked_meanwhile(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        if plan.round == 2:
            with open_registry(run) as registry:
                revoke_site(registry, "site-3")
        return constant(9.0)(plan, start)

    link = FakeLink({1: constant(1.0), 2: constant(3.0), 3: revoked_meanwhile})
    end = run_rounds(link, run, settings, base)
    assert [entry["sites"] for entry in end.history] == [
        ["site-1", "site-2", "site-3"], ["site-1", "site-2"],
    ]  # fmt: skip
    assert all(np.allclose(tensor, 13 / 3 + 2) for tensor in end.tensors.values())
    with open_registry(run) as registry:
        receipts = show(registry, settings.run_id, 2)["receipts"]
    assert [(each["site"], each["code"], each["counted"]) for each in receipts] == [
        ("site-1", "ok", True), ("site-2", "ok", True), ("site-3", "refused", False),
    ]  # fmt: skip


def test_a_site_that_nobody_let_in_stops_the_round_before_it_counts(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = plans.enrolled(tmp_path, ["site-1", "site-2"])
    link = FakeLink(dict.fromkeys((1, 2, 3), constant(1.0)))
    with pytest.raises(UnknownEntry, match="site-3"):
        run_rounds(link, run, asked_for(tpt=1), base)
    assert rounds_done(run, asked_for(tpt=1)) == 0


def test_a_missed_round_is_a_new_attempt_and_the_log_holds(tmp_path: Path, base: BaseFacts) -> None:
    run, settings = run_folder(tmp_path), asked_for(tpt=1)
    absent: dict[int, Answer | None] = {1: constant(1.0), 2: not_a_number, 3: not_a_number}
    with pytest.raises(QuorumMissed):
        run_rounds(FakeLink(absent), run, settings, base)
    with open_registry(run) as registry:
        assert show(registry, settings.run_id, 1)["state"] == "abandoned"
    run_rounds(FakeLink(dict.fromkeys((1, 2, 3), constant(1.0))), run, settings, base)
    with open_registry(run) as registry:
        found = show(registry, settings.run_id, 1)
        assert verify(registry).holds
    assert (found["state"], found["attempt"]) == ("finished", 2)
    codes = [(each["attempt"], each["code"], each["counted"]) for each in found["receipts"]]
    assert codes == [
        (1, "ok", False), (1, "rejected", False), (1, "rejected", False),
        (2, "ok", True), (2, "ok", True), (2, "ok", True),
    ]  # fmt: skip
