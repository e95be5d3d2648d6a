"""The trainer as a process: its base, its socket, its log lines and, by option, metrics and traces.

python -m ophora_client.trainer_process --site DIR [--metrics-port N]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ophora_client.site_rounds import open_rounds
from ophora_client.step_meter import StepMeter
from ophora_client.trace_rule import trace_rule
from ophora_client.trainer import TrainerService, serve
from ophora_client.trainer_wire import socket_path
from ophora_privacy.watch.log import Log, start_logging
from ophora_privacy.watch.spans import start_traces, stop_traces

if TYPE_CHECKING:
    from ophora_client.metrics import SiteMetrics

_LOG = Log("trainer")


def run_trainer(site: Path, metrics_port: int | None) -> None:
    """Load the site's base, fill its cache, and serve until SIGTERM or SIGINT.

    Metrics are there from the start, so that a long loading shows; without a port there are none.
    """
    meter = StepMeter()
    if metrics_port is None:
        _serve(site, meter)
        return
    from ophora_client.metrics import SiteMetrics
    from ophora_privacy.watch.listener import serving_metrics

    metrics = SiteMetrics(site, meter)
    with serving_metrics(metrics, metrics_port):
        _serve(site, meter, metrics)


def _serve(site: Path, meter: StepMeter, metrics: SiteMetrics | None = None) -> None:
    service = TrainerService(open_rounds(site, meter=meter))
    if metrics is not None:
        metrics.state = service.state
    _LOG.info("trainer-ready")
    serve(service, socket_path(site))


def main() -> None:
    """Run it; what goes wrong is told by its class and place, since its text may hold a path."""
    parser = argparse.ArgumentParser(description="The site's resident trainer.")
    parser.add_argument("--site", type=Path, required=True, help="the site's folder")
    parser.add_argument("--metrics-port", type=int, help="serve metrics on this port of loopback")
    given = parser.parse_args()
    os.umask(0o077)
    start_logging()
    try:
        start_traces("ophora-site", trace_rule(given.site))
        run_trainer(given.site, given.metrics_port)
    except Exception as error:
        _LOG.failed("trainer-ended", error)
        raise SystemExit(1) from None
    finally:
        stop_traces()


if __name__ == "__main__":
    main()
