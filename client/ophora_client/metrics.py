"""The site's metrics, for its own monitoring: they are served on this machine and nowhere else.

    trainer, ledger, manifest -> SiteMetrics.collect -> `serving_metrics` on loopback, by option

Totals alone: no series is of a patient, a case, a video or a clip, and losses are in none. What is
spent and left is read from the ledger, and clips and videos from the manifest, at each reading.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ophora_client.site import Site
from ophora_client.step_meter import BOUNDS_S, StepMeter
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import TIERS
from ophora_privacy.accountant import epsilon_of
from ophora_privacy.ledger import Ledger
from ophora_privacy.watch.metrics import Metric

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

STATES = ("loading", "idle", "tuning")
_STATUSES = ("curated", "refused")

TRAINER_STATE = Metric(
    name="ophora_site_trainer_state",
    kind="gauge",
    labels=("state",),
    meaning="1 for what the trainer does now, 0 for the others",
)
STEPS = Metric(
    name="ophora_site_steps_total",
    kind="counter",
    meaning="steps taken since the trainer was started",
)
STEP_SECONDS = Metric(
    name="ophora_site_step_seconds",
    kind="histogram",
    bounds=BOUNDS_S,
    meaning="time of a step, since the trainer was started",
)
EPSILON_SPENT = Metric(
    name="ophora_site_epsilon_spent",
    kind="gauge",
    meaning="epsilon of all rounds that the ledger has reserved, for each patient",
)
EPSILON_LEFT = Metric(
    name="ophora_site_epsilon_left", kind="gauge", meaning="cap less what is spent; +Inf: no cap"
)
ROUNDS_RESERVED = Metric(
    name="ophora_site_rounds_reserved_total",
    kind="counter",
    meaning="rounds that the ledger has reserved",
)
CLIPS = Metric(name="ophora_site_clips", kind="gauge", labels=("tier",), meaning="clips by tier")
VIDEOS = Metric(
    name="ophora_site_videos",
    kind="gauge",
    labels=("status",),
    meaning="videos that curation is done with",
)
SITE_METRICS = (
    TRAINER_STATE,
    STEPS,
    STEP_SECONDS,
    EPSILON_SPENT,
    EPSILON_LEFT,
    ROUNDS_RESERVED,
    CLIPS,
    VIDEOS,
)


class SiteMetrics:
    """A collector for the Prometheus client. Safe across threads."""

    def __init__(self, folder: Path, meter: StepMeter) -> None:
        self.state: Callable[[], str] = lambda: "loading"
        self._folder, self._meter = folder, meter
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._epsilon = (-1, 0.0)  # after how many reservations; it is dear to compute

    def collect(self) -> Iterator[Family]:
        """Every family as it is now. Raises what the ledger's and manifest's reading raises."""
        now = self.state()
        yield TRAINER_STATE.family({(state,): float(state == now) for state in STATES})
        yield STEPS.family({(): self._meter.num_steps})
        yield STEP_SECONDS.histogram({(): self._meter.seconds})
        site = Site.open(self._folder)
        yield from self._budget(site)
        yield from _curated(site.manifest_path)

    def _budget(self, site: Site) -> Iterator[Family]:
        with self._lock:
            number, spent = self._spent(site)
        cap = site.settings.privacy.epsilon_cap
        left = math.inf if math.isinf(cap) else max(0.0, cap - spent)
        yield EPSILON_SPENT.family({(): spent})
        yield EPSILON_LEFT.family({(): left})
        yield ROUNDS_RESERVED.family({(): number})

    def _spent(self, site: Site) -> tuple[int, float]:
        if self._ledger is None:
            self._ledger = site.open_ledger()
        spends = self._ledger.spends()
        if len(spends) != self._epsilon[0]:
            events = [spend.event for spend in spends]
            self._epsilon = (len(spends), epsilon_of(events, self._ledger.delta).value)
        return self._epsilon


def _curated(manifest_path: Path) -> Iterator[Family]:
    """Nothing curated yet is nought of each; reading makes no manifest."""
    counts: dict[str, int] = {}
    if manifest_path.is_file():
        with Manifest.open(manifest_path) as manifest:
            counts = manifest.counts()
    yield CLIPS.family({(tier,): counts.get(tier, 0) for tier in TIERS})
    yield VIDEOS.family({(each,): counts.get(f"videos-{each}", 0) for each in _STATUSES})
