"""The coordinator's metrics, counted anew at each reading from the registry and the run's folder.

    registry (`totals`), RUN/live.json -> RunMetrics.collect -> `serving_metrics`

Any process of the coordinator's machine can serve them, and a restart resets none. Sites appear by
their codes; nothing of a patient is known here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ophora_privacy.watch.fields import DECLINED, DROPPED, OTHER
from ophora_privacy.watch.metrics import Histogram, Metric
from ophora_server.live_sites import num_live
from ophora_server.registry.receipts import OK
from ophora_server.registry.registry import Registry
from ophora_server.registry.totals import Totals, totals
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import open_registry

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

_BOUNDS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 24 * 3600.0)

ROUNDS_FINISHED = Metric(
    name="ophora_rounds_finished_total",
    kind="counter",
    labels=("stage",),
    meaning="rounds whose adapter is committed",
)
ROUND_SECONDS = Metric(
    name="ophora_round_seconds",
    kind="histogram",
    labels=("stage",),
    bounds=_BOUNDS_S,
    meaning="from a finished round's start to its commit",
)
ROUND_OPEN = Metric(
    name="ophora_round_open", kind="gauge", meaning="number of the open round, 0 between rounds"
)
SITES_LIVE = Metric(
    name="ophora_sites_live",
    kind="gauge",
    meaning="sites online, as the rounds last saw it; 0 from two minutes after that",
)
BYTES_SENT = Metric(
    name="ophora_bytes_sent_total",
    kind="counter",
    labels=("site",),
    meaning="payload to the site, in every attempt that it was heard of in",
)
BYTES_RECEIVED = Metric(
    name="ophora_bytes_received_total",
    kind="counter",
    labels=("site",),
    meaning="payload from the site",
)
UPDATES_COUNTED = Metric(
    name="ophora_updates_counted_total", kind="counter", meaning="updates that are in a mean"
)
DECLINES = Metric(
    name="ophora_declined_total",
    kind="counter",
    labels=("code",),
    meaning="refusals of sites, by reason",
)
DROPS = Metric(
    name="ophora_updates_dropped_total",
    kind="counter",
    labels=("code",),
    meaning="updates that were late, lost, malformed, rejected or of a revoked site; `ok`: whole,"
    " of a round that was given up",
)
ENTRIES = Metric(
    name="ophora_registry_entries",
    kind="gauge",
    labels=("kind",),
    meaning="rows of the registry",
)
RUN_METRICS = (
    ROUNDS_FINISHED,
    ROUND_SECONDS,
    ROUND_OPEN,
    SITES_LIVE,
    BYTES_SENT,
    BYTES_RECEIVED,
    UPDATES_COUNTED,
    DECLINES,
    DROPS,
    ENTRIES,
)


class RunMetrics:
    """A collector for the Prometheus client. Safe across threads; close it at the end.

    A run without a registry was never started: nothing is made, and only the live sites are given.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._registry: Registry | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the registry."""
        with self._lock:
            if self._registry is not None:
                self._registry.close()
                self._registry = None

    def collect(self) -> Iterator[Family]:
        """Every family with what it is now. Raises RegistryError."""
        yield SITES_LIVE.family({(): num_live(self._run.path)})
        registry = self._opened()
        if registry is not None:
            yield from _families(totals(registry))

    def _opened(self) -> Registry | None:
        with self._lock:
            # by folder, also where a URL names the database: opening makes what is not there
            if self._registry is None and self._run.registry.is_dir():
                self._registry = open_registry(self._run)
            return self._registry


@contextmanager
def serving_run(run: RunFolder, port: int | None) -> Iterator[None]:
    """Serve the run's metrics on that port of loopback while the block runs; None serves none.

    Raises WatchRefused where the port can't be had.
    """
    if port is None:
        yield
        return
    from ophora_privacy.watch.listener import serving_metrics

    with closing(RunMetrics(run)) as metrics, serving_metrics(metrics, port):
        yield


def _families(found: Totals) -> Iterator[Family]:
    seconds = found.round_seconds
    yield ROUNDS_FINISHED.family({(stage,): len(each) for stage, each in seconds.items()})
    yield ROUND_SECONDS.histogram(
        {(stage,): Histogram.of(each, ROUND_SECONDS.bounds) for stage, each in seconds.items()}
    )
    yield ROUND_OPEN.family({(): found.open_round})
    yield BYTES_SENT.family({(site,): number for site, number in found.bytes_sent.items()})
    yield BYTES_RECEIVED.family({(site,): number for site, number in found.bytes_received.items()})
    yield from _replies(found)
    yield ENTRIES.family({(kind,): number for kind, number in found.entries.items()})


def _replies(found: Totals) -> Iterator[Family]:
    """By code; a code of a site's own making is "other", a refusal like any."""
    known = {OK, *DECLINED, *DROPPED}
    declined = {(code,): found.codes.get(code, 0) for code in DECLINED}
    declined[(OTHER,)] = sum(n for code, n in found.codes.items() if code not in known)
    dropped = {(code,): found.codes.get(code, 0) for code in DROPPED}
    dropped[(OK,)] = found.uncounted
    yield UPDATES_COUNTED.family({(): found.counted})
    yield DECLINES.family(declined)
    yield DROPS.family(dropped)
