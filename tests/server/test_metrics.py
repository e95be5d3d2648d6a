"""The coordinator's metrics over real HTTP, from real runs over a wire of fakes."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fake_rounds import Answer, FakeLink, asked_for, constant, not_a_number, run_folder
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Tensors
from ophora_privacy.watch.listener import serving_metrics
from ophora_server.errors import QuorumMissed
from ophora_server.live_sites import FILE, STALE_S, WatchedLink, num_live
from ophora_server.metrics import RUN_METRICS, RunMetrics, serving_run
from ophora_server.one_round import BaseFacts, read_base_facts
from ophora_server.rounds import run_rounds
from ophora_server.run_folder import RunFolder

Found = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def base() -> BaseFacts:
    return read_base_facts(asked_for(tpt=1))


def _scraped(run: RunFolder) -> Found:
    """Each sample by its name and label values."""
    metrics = RunMetrics(run)
    try:
        with serving_metrics(metrics, 0) as port:
            text = httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
    finally:
        metrics.close()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _declines(code: str) -> Answer:
    def answer(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        return code, {}

    return answer


def test_a_run_is_counted_and_a_restart_counts_the_same(tmp_path: Path, base: BaseFacts) -> None:
    run = run_folder(tmp_path)
    run_rounds(FakeLink(dict.fromkeys((1, 2, 3), constant(1.0))), run, asked_for(tpt=2), base)
    found = _scraped(run)
    assert found["ophora_rounds_finished_total", "tpt"] == 2
    assert found["ophora_round_seconds_count", "tpt"] == 2
    assert found["ophora_round_seconds_bucket", "+Inf", "tpt"] == 2
    assert found["ophora_round_open",] == 0
    assert found["ophora_bytes_sent_total", "site-1"] == 200
    assert found["ophora_bytes_received_total", "site-3"] == 20
    assert found["ophora_updates_counted_total",] == 6
    assert found["ophora_sites_live",] == 3
    assert found["ophora_registry_entries", "rounds"] == 2
    assert found["ophora_registry_entries", "receipts"] == 6
    assert found["ophora_registry_entries", "audit_log"] > 6
    assert _scraped(run) == found
    run_rounds(FakeLink(dict.fromkeys((1, 2, 3), constant(1.0))), run, asked_for(tpt=3), base)
    assert _scraped(run)["ophora_rounds_finished_total", "tpt"] == 3


def test_refusals_and_dropped_updates_are_counted_by_reason(
    tmp_path: Path, base: BaseFacts
) -> None:
    run, settings = run_folder(tmp_path), asked_for(tpt=1)
    quick = replace(settings, quorum=replace(settings.quorum, round_s=1.0))
    with pytest.raises(QuorumMissed):
        run_rounds(FakeLink({1: constant(1.0), 2: _declines("budget"), 3: None}), run, quick, base)
    found = _scraped(run)
    assert found["ophora_declined_total", "budget"] == 1
    assert found["ophora_updates_dropped_total", "late"] == 1
    assert found["ophora_updates_dropped_total", "ok"] == 1  # whole, of a round that was given up
    assert found["ophora_updates_counted_total",] == 0
    hostile = FakeLink({1: constant(1.0), 2: not_a_number, 3: constant(1.0)})
    run_rounds(hostile, run, settings, base)
    found = _scraped(run)
    assert found["ophora_updates_dropped_total", "rejected"] == 1
    assert found["ophora_updates_counted_total",] == 2


def test_a_code_that_a_site_makes_up_is_no_label(tmp_path: Path, base: BaseFacts) -> None:
    run = run_folder(tmp_path)
    link = FakeLink({1: constant(1.0), 2: constant(1.0), 3: _declines("whitcombe-1948")})
    run_rounds(link, run, asked_for(tpt=1), base)
    found = _scraped(run)
    assert found["ophora_declined_total", "other"] == 1
    assert not [labels for labels in found if "whitcombe-1948" in labels]


def test_an_open_round_shows_its_number(tmp_path: Path, base: BaseFacts) -> None:
    run, seen = run_folder(tmp_path), []

    def looks(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        seen.append(_scraped(run)["ophora_round_open",])
        return constant(1.0)(plan, start)

    run_rounds(FakeLink({1: looks, 2: constant(1.0)}), run, asked_for(tpt=2), base)
    assert seen == [1, 2]


def test_a_run_that_was_never_started_gets_no_registry(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    assert _scraped(run) == {("ophora_sites_live",): 0}
    assert not run.registry.exists()


def test_every_metric_of_the_table_is_served(tmp_path: Path, base: BaseFacts) -> None:
    run = run_folder(tmp_path)
    run_rounds(FakeLink(dict.fromkeys((1, 2), constant(1.0))), run, asked_for(tpt=1), base)
    served = {name.removesuffix("_count") for name, *_ in _scraped(run)}
    assert {each.name for each in RUN_METRICS} <= served


def test_without_a_port_nothing_is_served(tmp_path: Path) -> None:
    with serving_run(run_folder(tmp_path), None):
        pass


def test_the_note_of_who_is_online_is_thinned_and_grows_old(tmp_path: Path) -> None:
    link = FakeLink({1: constant(1.0), 2: None})
    watched = WatchedLink(link, tmp_path)
    watched.sites()
    first = (tmp_path / FILE).stat().st_mtime_ns
    watched.sites()
    assert (tmp_path / FILE).stat().st_mtime_ns == first
    link.answers[3] = None
    watched.sites()
    assert num_live(tmp_path) == 3
    assert num_live(tmp_path, now=time.time() + STALE_S + 1) == 0
    (tmp_path / FILE).write_text("torn{")
    assert num_live(tmp_path) == 0
    (tmp_path / FILE).unlink()
    assert num_live(tmp_path) == 0


def test_a_folder_that_cannot_be_written_costs_the_note_and_no_round(tmp_path: Path) -> None:
    watched = WatchedLink(FakeLink({1: None}), tmp_path / "gone")
    assert watched.sites() == {1: "site-1"}
    assert watched.poll("none") is None


def test_the_note_holds_a_count_and_no_code(tmp_path: Path) -> None:
    WatchedLink(FakeLink({1: None}), tmp_path).sites()
    assert sorted(json.loads((tmp_path / FILE).read_text())) == ["sites", "time"]
