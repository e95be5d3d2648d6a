"""The site's metrics over real HTTP, from a real ledger and a real manifest."""

import math
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import plans
from ophora_client.metrics import SITE_METRICS, SiteMetrics
from ophora_client.site import Site, init_site
from ophora_client.step_meter import StepMeter
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import TIERS
from ophora_privacy.watch.fields import FIELDS
from ophora_privacy.watch.listener import serving_metrics
from reviewed_site import make_site

Found = dict[tuple[str, ...], float]


def _scraped(metrics: SiteMetrics) -> Found:
    with serving_metrics(metrics, 0) as port:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return init_site(tmp_path / "site", code="site-a")


def test_a_new_site_has_noughts_and_its_whole_budget(site: Site) -> None:
    found = _scraped(SiteMetrics(site.folder, StepMeter()))
    assert found["ophora_site_trainer_state", "loading"] == 1
    assert found["ophora_site_epsilon_spent",] == 0
    assert found["ophora_site_epsilon_left",] == 8
    assert found["ophora_site_clips", "p2ft"] == 0
    assert not site.manifest_path.exists()


def test_what_is_spent_and_left_is_the_ledgers(site: Site) -> None:
    metrics = SiteMetrics(site.folder, StepMeter())
    _scraped(metrics)
    ledger = site.open_ledger()
    ledger.reserve(plans.PRIVACY, run_id="run-1", stage="tpt", round=1, cap=math.inf)
    found = _scraped(metrics)
    spent = ledger.epsilon().value
    assert found["ophora_site_rounds_reserved_total",] == 1
    assert found["ophora_site_epsilon_spent",] == pytest.approx(spent)
    assert found["ophora_site_epsilon_left",] == pytest.approx(max(0.0, 8 - spent))


def test_steps_are_counted_with_their_times_and_the_state_is_the_trainers(site: Site) -> None:
    times = iter([0.0, 2.0, 2.2, 60.0])
    meter = StepMeter(clock=lambda: next(times))
    metrics = SiteMetrics(site.folder, meter)
    metrics.state = lambda: "tuning"
    meter.begin()
    for _ in range(3):
        meter.step()
    found = _scraped(metrics)
    assert found["ophora_site_steps_total",] == 3
    assert found["ophora_site_step_seconds_count",] == 3
    assert found["ophora_site_step_seconds_bucket", "3.0"] == 2
    assert found["ophora_site_step_seconds_sum",] == pytest.approx(60.0)
    assert found["ophora_site_trainer_state", "tuning"] == 1
    assert found["ophora_site_trainer_state", "loading"] == 0


def test_clips_and_videos_are_the_manifests(site: Site) -> None:
    made = make_site(site.folder.parent / "curated")
    with Manifest.open(made.manifest_path) as manifest:
        counts = manifest.counts()
    found = _scraped(SiteMetrics(made.folder, StepMeter()))
    assert found["ophora_site_videos", "curated"] == counts["videos-curated"] == 1
    assert counts["p2ft"] > 0
    for tier in TIERS:
        assert found["ophora_site_clips", tier] == counts[tier]


def test_no_series_is_of_a_patient_a_case_a_video_or_a_clip(site: Site) -> None:
    labels = {label for each in SITE_METRICS for label in each.labels}
    assert labels == {"state", "tier", "status"}
    assert not any(FIELDS[label].accepts("patient-0123abcd") for label in labels)
    served = {name.removesuffix("_count") for name, *_ in _scraped_names(site)}
    assert {each.name for each in SITE_METRICS} <= served


def _scraped_names(site: Site) -> Found:
    return _scraped(SiteMetrics(site.folder, StepMeter()))


def test_the_trainer_process_serves_none_by_default_and_ends_in_a_line(tmp_path: Path) -> None:
    """There is no site in the folder: it ends at once, and says so by a class and a place."""
    planted = tmp_path / "WHITCOMBE"
    planted.mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", "ophora_client.trainer_process", "--site", str(planted)],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "trainer-ended error=SiteMissing where=ophora_client.site" in ended.stderr
    assert "WHITCOMBE" not in ended.stdout + ended.stderr
    assert "metrics-served" not in ended.stderr


def test_metrics_are_on_loopback_alone(site: Site) -> None:
    with serving_metrics(SiteMetrics(site.folder, StepMeter()), 0) as port:
        own = socket.gethostbyname(socket.gethostname())
        if own.startswith("127."):
            pytest.skip("not possible here: the machine has no address but loopback")
        with pytest.raises(OSError), socket.create_connection((own, port), timeout=2):  # noqa: PT011
            pass
