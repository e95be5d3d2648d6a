"""The rounds of a started federation, from their submission to their end, whatever dies on the way.

Events of the run's log and steps of the sites are passed on. Processes that end are started again;
rounds that broke off are submitted again, and go on after the last finished one. Flower ends a run
that it heard nothing from for a minute and can't resume it, so that is a new run of Flower's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ophora_deploy.coordinator import Coordinator, status_of
from ophora_deploy.errors import FederationFailed
from ophora_deploy.flower_call import FlowerCall
from ophora_deploy.restarts import RestartLimit
from ophora_deploy.site_processes import SiteProcesses

OnEvent = Callable[[Mapping[str, Any]], None]
_POLL_S = 0.5
_STATUS_EVERY_S = 30.0
_BEGIN_S = 300.0  # from the submission to the rounds' first event
_GONE_S = 5.0  # the last event of a process that ends by itself comes just after its lock is free
_MOST = 5


class Following:
    """One start of a federation. `coordinator` and `sites` run; the rounds do not yet."""

    def __init__(
        self, coordinator: Coordinator, sites: Sequence[SiteProcesses], tell: OnEvent
    ) -> None:
        self._coordinator, self._sites, self._tell = coordinator, sites, tell
        self._limit = RestartLimit(what="rounds", most=_MOST)
        self._seen = len(coordinator.run.events())
        self._notes: dict[str, str] = {}
        self._flower_run = ""
        self._broke_off = ""
        self._submitted_at = self._status_at = 0.0
        self._has_begun = self._is_over = False
        self._gone_since: float | None = None
        self._asked: FlowerCall | None = None

    def until_finished(self) -> None:
        """Submit the rounds, pass events on and restart what ends, until the rounds are over.

        Raises FederationFailed with the coordinator's reason, or where the rounds were submitted
        again five times, or the processes started ten times, without a finished round.
        """
        self._tell_progress(lambda event: None)  # what an earlier run left
        self._submit()
        try:
            while not self._are_over():
                self._restart_processes()
                reason = self._reason_to_submit()
                if reason and not self._are_over():
                    self._submit_again(reason)
                time.sleep(_POLL_S)
        finally:
            self._forget_asked()

    def _are_over(self) -> bool:
        """Pass on what is new; whether the rounds came to their end. Raises FederationFailed."""
        self._tell_progress(self._tell)
        events = self._coordinator.run.events()
        new, self._seen = events[self._seen :], len(events)
        for event in new:
            self._tell(event)
            match event["event"]:
                case "failed" if event.get("final", True):
                    raise FederationFailed(f"{event['reason']}")
                case "failed":
                    self._broke_off = f"they broke off: {event['reason']}"
                case "started":
                    self._has_begun = True
                case "round-finished":
                    self._limit.clear()
                    self._coordinator.processes.round_finished()
                case "finished":
                    self._is_over = True
        return self._is_over

    def _restart_processes(self) -> None:
        for name in self._coordinator.processes.restart_ended():
            self._tell({"event": "restarted", "process": name})
        for site in self._sites:
            for name in site.restart_ended():
                self._tell({"event": "restarted", "site": site.code, "process": name})

    def _reason_to_submit(self) -> str:
        """Why the rounds must be submitted again, empty while they run or will begin."""
        now = time.monotonic()
        if self._broke_off:
            return self._broke_off
        if self._has_begun and self._are_gone(now):
            return "their process is gone"
        if not self._has_begun and now - self._submitted_at > _BEGIN_S:
            return f"they did not begin in {_BEGIN_S:g} s"
        status = self._new_status(now)
        return f"Flower ended them: {status}" if status.startswith("finished") else ""

    def _new_status(self, now: float) -> str:
        """Flower's word for the run, asked for now and then; mostly empty."""
        if self._asked is None:
            if now > self._status_at and self._coordinator.processes.link_answers():
                self._asked = self._coordinator.ask_status(self._flower_run)
            return ""
        if not self._asked.is_over():
            return ""
        asked, self._asked = self._asked, None
        self._status_at = now + _STATUS_EVERY_S
        return status_of(asked)

    def _are_gone(self, now: float) -> bool:
        """Whether nothing has held the rounds' lock for a while: the system frees it at once."""
        if self._coordinator.run.is_held():
            self._gone_since = None
            return False
        self._gone_since = now if self._gone_since is None else self._gone_since
        return now - self._gone_since > _GONE_S

    def _submit_again(self, reason: str) -> None:
        if not self._limit.is_due() or not self._coordinator.processes.link_answers():
            return
        self._limit.take(reason)
        self._coordinator.end_rounds(self._flower_run)
        if not self._are_over():
            self._submit()
            self._tell({"event": "restarted", "process": "rounds", "reason": reason})

    def _forget_asked(self) -> None:
        """What is asked now is about a run that no longer matters."""
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None

    def _submit(self) -> None:
        self._forget_asked()
        self._broke_off, self._has_begun, self._gone_since = "", False, None
        self._submitted_at = time.monotonic()
        self._status_at = self._submitted_at + _STATUS_EVERY_S
        try:
            self._flower_run = self._coordinator.submit()
        except FederationFailed as error:
            self._broke_off = str(error)

    def _tell_progress(self, tell: OnEvent) -> None:
        """Pass on each site's newest step, once."""
        for site in self._sites:
            try:
                note = (site.folder / "logs" / "progress.json").read_text(encoding="utf-8")
            except FileNotFoundError:
                continue
            if self._notes.get(site.code) != note:
                self._notes[site.code] = note
                tell({"event": "progress", "site": site.code, **json.loads(note)})
