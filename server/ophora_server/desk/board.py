"""The board: each part of the page, read anew from the run's registry and event log.

    registry, RUN/rounds.jsonl, RUN/releases -> part(name) -> values of one template

Nothing is written. A run without a registry gets none: it was never started, and the board is
empty.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ophora_server.desk.chain import Chain
from ophora_server.desk.charts import round_charts
from ophora_server.desk.live import current_round, live_round
from ophora_server.desk.release_folders import read_folders
from ophora_server.registry import reports
from ophora_server.registry.registry import Registry
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import open_registry

MOST_ENTRIES = 50
MOST_ROUNDS = 100


class Board:
    """One run's page content. Safe across threads; close it at the end.

    `run_id` names the run; without one it is the newest of the registry.
    """

    def __init__(self, run: RunFolder, *, run_id: str = "") -> None:
        self._run, self._named = run, run_id
        self._registry: Registry | None = None
        self._lock = threading.Lock()
        self._chain = Chain()
        self.parts: dict[str, Callable[[], dict[str, Any]]] = {
            "live": self.live,
            "sites": self.sites,
            "rounds": self.rounds,
            "charts": self.charts,
            "releases": self.releases,
            "audit": self.audit,
        }

    def close(self) -> None:
        """Close the registry."""
        with self._lock:
            if self._registry is not None:
                self._registry.close()
                self._registry = None

    def run_id(self) -> str:
        """Of the run that is shown; empty where none was ever started."""
        registry = self._opened()
        if registry is None:
            return ""
        runs = [str(run["run"]) for run in reports.status(registry)["runs"]]
        if self._named:
            return self._named if self._named in runs else ""
        return runs[-1] if runs else ""

    def live(self) -> dict[str, Any]:
        """Where the run stands now."""
        registry, run_id = self._opened(), self.run_id()
        if registry is None or not run_id:
            return {"live": live_round([], None, [])}
        found = reports.rounds(registry, run_id)
        current = current_round(found)
        record = None if current is None else reports.show(registry, run_id, current["number"])
        return {"live": live_round(found, record, self._run.events())}

    def sites(self) -> dict[str, Any]:
        """Every site, those that may take part first."""
        registry = self._opened()
        found = [] if registry is None else reports.sites(registry)
        return {"sites": sorted(found, key=lambda site: site["revoked"] is not None)}

    def rounds(self) -> dict[str, Any]:
        """Rounds that were begun, newest first, and how many are still planned."""
        registry, run_id = self._opened(), self.run_id()
        found = reports.rounds(registry, run_id) if registry is not None and run_id else []
        begun = [row for row in reversed(found) if row["attempt"]]
        return {
            "rounds": begun[:MOST_ROUNDS],
            "num_older": max(0, len(begun) - MOST_ROUNDS),
            "num_planned": len(found) - len(begun),
        }

    def charts(self) -> dict[str, Any]:
        """The finished rounds, drawn."""
        return {"charts": round_charts(self._records())}

    def releases(self) -> dict[str, Any]:
        """Releases, newest first, with what their folders hold."""
        registry, run_id = self._opened(), self.run_id()
        found = reports.releases(registry, run_id) if registry is not None and run_id else []
        return {"releases": found[::-1], "folders": read_folders(self._run.releases)}

    def audit(self) -> dict[str, Any]:
        """The newest entries of the audit log, and whether all of it holds."""
        registry = self._opened()
        entries = [] if registry is None else reports.audit_tail(registry, MOST_ENTRIES)
        if registry is None or not entries:
            return {"entries": [], "verification": None}
        return {
            "entries": entries,
            "verification": self._chain.verified(registry, entries[0]["seq"]),
        }

    def picture(self, digest: str, number: int) -> Path | None:
        """A picture of a release, counted from 0."""
        folder = read_folders(self._run.releases).get(digest)
        if folder is None or number >= len(folder.pictures):
            return None
        return folder.pictures[number]

    def _records(self) -> list[dict[str, Any]]:
        registry, run_id = self._opened(), self.run_id()
        return reports.records(registry, run_id) if registry is not None and run_id else []

    def _opened(self) -> Registry | None:
        with self._lock:
            # looked for by folder, also where a URL names the database: opening makes what is not
            # there, and a page makes nothing
            if self._registry is None and self._run.registry.is_dir():
                self._registry = open_registry(self._run)
            return self._registry
