"""A whole federation on this machine: coordinator, sites, rounds, and nothing left behind.

Data path: run folder and site folders -> processes -> keys registered -> rounds -> releases in the
run's folder. Events are those of the coordinator's log, plus `progress` of the sites, which this
machine may read since it owns all of them; no process is asked for anything it would not write
anyway.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ophora_deploy.coordinator import LOOPBACK, Coordinator, FrontAddress, start_coordinator
from ophora_deploy.errors import FederationFailed
from ophora_deploy.processes import ProcessSet
from ophora_deploy.rosters import pin_local
from ophora_deploy.site_processes import SiteProcesses, site_key
from ophora_model.draft import write_whole
from ophora_server.federation_settings import FederationSettings
from ophora_server.run_folder import RunFolder

__all__ = ["FrontAddress", "LocalSite", "run_federation"]

OnEvent = Callable[[Mapping[str, Any]], None]
_POLL_S = 0.5
_STATUS_EVERY_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSite:
    """A site on this machine: its code and its folder.

    `bundle` is the hash of the app that it agreed to, by default that of the installed one;
    `trainer` replaces the trainer in tests.
    """

    code: str
    folder: Path
    trainer: tuple[str, ...] = ()
    bundle: str = ""


def run_federation(
    run: RunFolder,
    sites: Sequence[LocalSite],
    on_event: OnEvent | None = None,
    *,
    front: FrontAddress = LOOPBACK,
    record_wire: Path | None = None,
) -> RunFolder:
    """Start everything, run what is left of the run, stop everything.

    Sites elsewhere connect to `front` by themselves; their public keys are in the run's folder.
    Raises RunBusy, with nothing touched, while another process does the same for this run.
    `on_event` gets each event of the coordinator's log and a `progress` event, with the site's
    code, for each step that a site noted. Raises FederationFailed with the coordinator's reason;
    what was reached is in the run's folder and the next call continues from there.
    """
    tell = on_event or (lambda event: None)
    with run.only_one("federation"), ProcessSet() as processes:
        _forget_flower_state(run)
        if FederationSettings.read(run.settings_file).secure_sum is not None:
            pin_local(run, {site.code: site.folder for site in sites})
        running = [
            SiteProcesses(processes, code=site.code, folder=site.folder, bundle=site.bundle)
            for site in sites
        ]
        for each, site in zip(running, sites, strict=True):
            each.start_trainer(site.trainer)
        coordinator = start_coordinator(processes, run, front=front, record_wire=record_wire)
        tell({"event": "coordinator-ready", "address": coordinator.address})
        _admit_local(run, sites)
        coordinator.register(run.site_keys())
        for each in running:
            each.connect(coordinator.address, coordinator.identity.authority)
            tell({"event": "site-ready", "site": each.code})
        _follow(coordinator, running, tell)
    return run


def _admit_local(run: RunFolder, sites: Sequence[LocalSite]) -> None:
    """The sites on this machine may take part: whoever runs this owns them too."""
    folder = run.path / "sites"
    folder.mkdir(parents=True, exist_ok=True)
    for site in sites:
        write_whole(folder / f"{site.code}.pub", site_key(site.folder).public.read_bytes())


def _forget_flower_state(run: RunFolder) -> None:
    """Flower's own state is of no use to a new start: rounds resume from our registry, and a
    site whose SuperNode was killed would be refused for a minute by what the old state remembers.
    """
    for path in run.flower.glob("state.sqlite*"):
        path.unlink()
    run.sites_file.unlink(missing_ok=True)


def _follow(coordinator: Coordinator, sites: Sequence[SiteProcesses], tell: OnEvent) -> None:
    """Submit the rounds and pass events on until they end."""
    seen = len(coordinator.run.events())
    notes: dict[str, str] = {}
    _tell_progress(sites, notes, lambda event: None)  # what an earlier run left
    flower_run = coordinator.submit()
    next_check = time.monotonic() + _STATUS_EVERY_S
    while True:
        _tell_progress(sites, notes, tell)
        events = coordinator.run.events()
        for event in events[seen:]:
            tell(event)
            if event["event"] == "failed":
                raise FederationFailed(f"{event['reason']}")
            if event["event"] == "finished":
                return
        seen = len(events)
        coordinator.check()
        for site in sites:
            for name in site.restart_ended():
                tell({"event": "restarted", "site": site.code, "process": name})
        if time.monotonic() > next_check:
            # a ServerApp that was killed writes no event; Flower notices by its heartbeat
            status = coordinator.status(flower_run)
            if status.startswith("finished") and len(coordinator.run.events()) == seen:
                raise FederationFailed(f"the rounds ended ({status}); resume to go on")
            next_check = time.monotonic() + _STATUS_EVERY_S
        time.sleep(_POLL_S)


def _tell_progress(sites: Sequence[SiteProcesses], notes: dict[str, str], tell: OnEvent) -> None:
    """Pass on each site's newest step, once."""
    for site in sites:
        try:
            note = (site.folder / "logs" / "progress.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        if notes.get(site.code) != note:
            notes[site.code] = note
            tell({"event": "progress", "site": site.code, **json.loads(note)})
