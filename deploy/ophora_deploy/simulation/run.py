"""A simulation from beginning to end: the folder, the runtime's process, its events.

    plan, settings -> OUT/simulation.json, federation.toml, sites/*.pub -> runtime -> OUT/registry

OUT is a run's folder like any other: the registry's commands read it, and a start continues after
the last finished round.
"""

from __future__ import annotations

import importlib.util
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ophora_deploy.errors import FederationFailed, NotReady, SimulationRefused
from ophora_deploy.processes import ProcessSet, Running, process_environment
from ophora_deploy.simulation.plan import SimulationPlan
from ophora_server.federation_settings import FederationSettings
from ophora_server.run_folder import RUN_VARIABLE, RunFolder
from ophora_server.run_record import rounds_done

OnEvent = Callable[[Mapping[str, Any]], None]
INSTALL = 'pip install "ophora-federated[simulation]"'
_RUNTIME = "ophora_deploy.simulation.runtime"
_POLL_S = 0.5
_BEGIN_S = 600.0  # on a busy machine the imports alone take minutes
_END_S = 30.0


def simulate(
    plan: SimulationPlan,
    settings: FederationSettings,
    out: Path,
    *,
    workers: int,
    on_event: OnEvent | None = None,
) -> RunFolder:
    """Run what is left of the rounds with `workers` processes; `on_event` gets every event.

    Raises SimulationRefused, with nothing written, where Ray is missing or `out` holds something
    else, FederationFailed with the coordinator's reason, and NotReady or ProcessEnded where Ray
    did not come up or went down; the next call goes on from there.
    """
    check_installed()
    if workers < 1:
        raise SimulationRefused(f"workers={workers}: must be >= 1")
    plan.claim(out)
    run = RunFolder(path=out)
    with run.only_one("federation"):
        settings.write(run.settings_file)
        _admit(run, plan)
        if rounds_done(run, settings) < num_rounds(settings):
            _run_what_is_left(run, workers, on_event or (lambda event: None))
    return run


def _run_what_is_left(run: RunFolder, workers: int, tell: OnEvent) -> None:
    # Ray's sockets need a short path, and its logs are of no use once it has ended well
    with (
        TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch,
        ProcessSet() as processes,
    ):
        started = processes.start(
            "simulation",
            [sys.executable, "-m", _RUNTIME, "--workers", str(workers)],
            log=run.logs / "simulation.log",
            env=_environment(run, scratch),
        )
        _follow(run, started, tell)


def check_installed() -> None:
    """Raises SimulationRefused where a part of it is not installed."""
    for module, name in (("ray", "Ray"), ("flwr", "Flower"), ("cv2", "OpenCV")):
        if importlib.util.find_spec(module) is None:
            raise SimulationRefused(f"{name} is not installed: {INSTALL}")


def num_rounds(settings: FederationSettings) -> int:
    """Over all stages."""
    return sum(stage.rounds for stage in settings.stages)


def _admit(run: RunFolder, plan: SimulationPlan) -> None:
    """A key for each site, which opens nothing: the registry knows a site by one."""
    folder = run.path / "sites"
    folder.mkdir(exist_ok=True)
    for number in range(plan.sites):
        path = folder / f"{plan.code(number)}.pub"
        if not path.exists():
            path.write_text(f"simulated {plan.code(number)} of seed {plan.seed}\n")


def _environment(run: RunFolder, scratch: str) -> dict[str, str]:
    """Flower and Ray report nothing and Ray stays on loopback; each worker keeps to one core."""
    return process_environment(
        FLWR_HOME=str(run.flower.resolve()),
        # what its name does not say: without clusters Ray uses 127.0.0.1 as its address
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
        # other users of this machine reach its ports, too: only who has this token is served
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_TMPDIR=scratch,
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
        OMP_NUM_THREADS="1",
        **{RUN_VARIABLE: str(run.path.resolve())},
    )


def _follow(run: RunFolder, started: Running, tell: OnEvent) -> None:
    seen = first = len(run.events())
    deadline = time.monotonic() + _BEGIN_S
    while True:
        has_ended = started.process.poll() is not None  # before the look at what it wrote
        events = run.events()
        for event in events[seen:]:
            tell(event)
            if event["event"] == "failed":
                raise FederationFailed(f"{event['reason']}")
            if event["event"] == "finished":
                _wait(started)
                return
        seen = len(events)
        if has_ended:
            started.check()
        if seen == first and time.monotonic() > deadline:
            raise NotReady(f"Ray: not ready in {_BEGIN_S:g} s; start again, or read {started.log}")
        time.sleep(_POLL_S)


def _wait(started: Running) -> None:
    """Let it close Ray by itself; what is left then is ended with its group."""
    deadline = time.monotonic() + _END_S
    while started.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
