"""A whole federation on this machine: coordinator, sites, rounds, and nothing left behind.

Data path: run folder and site folders -> processes -> keys registered -> rounds -> releases in the
run's folder. Events are those of the coordinator's log, plus `progress` of the sites, which this
machine may read since it owns all of them; no process is asked for anything it would not write
anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ophora_deploy.coordinator import LOOPBACK, FrontAddress, start_coordinator
from ophora_deploy.following import Following, OnEvent
from ophora_deploy.processes import ProcessSet
from ophora_deploy.rosters import pin_local
from ophora_deploy.site_processes import SiteProcesses, site_key
from ophora_model.draft import write_whole
from ophora_server.federation_settings import FederationSettings
from ophora_server.run_folder import RunFolder

__all__ = ["FrontAddress", "LocalSite", "run_federation"]


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
    `on_event` gets each event of the coordinator's log, a `progress` event, with the site's code,
    for each step that a site noted, and a `restarted` event for each process that died and was
    started again, "rounds" among them. Raises FederationFailed with the coordinator's reason, or
    where restarts don't help; what was reached is in the run's folder and the next call continues
    from there.
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
        Following(coordinator, running, tell).until_finished()
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
