"""The coordinator's folder of one run: what is asked for, what was reached, where each thing is.

    RUN/federation.toml   what to run; read once, strict
    RUN/sites/            <code>.pub: the node key of each site that may take part
    RUN/identities/       <code>.pub: the public identity key of each site
    RUN/roster.toml       all of those, for secure aggregation and approvals
    RUN/sites.json        node id -> site code, written when a site's key is registered
    RUN/receipts/         <code>.json: the newest receipt of each site's privacy ledger
    RUN/rounds.jsonl      one line an event: round started, reply, round finished, release, failed
    RUN/live.json         how many sites were online when last looked at
    RUN/registry/         the registry: sites, rounds, receipts, adapters, the audit log
    RUN/revoked/          the keys of sites that may not come back
    RUN/releases/         one folder a finished stage
    RUN/tls, flower, logs keys, Flower's state, logs of the processes

The folder's path comes from the coordinator's environment, never from a message.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ophora_server.errors import InvalidFederation, RunBusy
from ophora_server.event_lines import tell_event

RUN_VARIABLE = "OPHORA_RUN"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Paths and the event log of one run."""

    path: Path

    @classmethod
    def from_environment(cls) -> RunFolder:
        """The folder that whoever started this process named. Raises InvalidFederation."""
        named = os.environ.get(RUN_VARIABLE, "")
        if not named or not Path(named).is_dir():
            raise InvalidFederation(f"{RUN_VARIABLE}={named!r}: must name the run's folder")
        return cls(path=Path(named))

    @property
    def settings_file(self) -> Path:
        return self.path / "federation.toml"

    @property
    def sites_file(self) -> Path:
        return self.path / "sites.json"

    @property
    def roster_file(self) -> Path:
        return self.path / "roster.toml"

    @property
    def identities(self) -> Path:
        return self.path / "identities"

    @property
    def receipts(self) -> Path:
        return self.path / "receipts"

    @property
    def events_file(self) -> Path:
        return self.path / "rounds.jsonl"

    @property
    def registry(self) -> Path:
        return self.path / "registry"

    @property
    def revoked(self) -> Path:
        return self.path / "revoked"

    @property
    def releases(self) -> Path:
        return self.path / "releases"

    @property
    def tls(self) -> Path:
        return self.path / "tls"

    @property
    def flower(self) -> Path:
        return self.path / "flower"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def site_codes(self) -> dict[int, str]:
        """Node id -> site code of every registered site."""
        if not self.sites_file.exists():
            return {}
        return {
            int(node): str(code) for node, code in json.loads(self.sites_file.read_text()).items()
        }

    def site_keys(self) -> dict[str, Path]:
        """Site code -> node key file of the sites that may take part."""
        return {path.stem: path for path in sorted((self.path / "sites").glob("*.pub"))}

    def revoked_codes(self) -> set[str]:
        """Codes of sites that were put out; none of them comes back."""
        paths = sorted(self.revoked.glob("*.json"))
        return {str(json.loads(path.read_text(encoding="ascii"))["site"]) for path in paths}

    def record(self, event: str, **values: Any) -> None:
        """Append one event, and tell it as a log line; ids, counts and numbers only."""
        entry = {"event": event, "time": round(time.time(), 3), **values}
        line = json.dumps(_plain(entry), sort_keys=True, allow_nan=False)
        with self.events_file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        tell_event(event, values)

    def events(self) -> list[dict[str, Any]]:
        """Every event so far; a torn last line is left out."""
        if not self.events_file.exists():
            return []
        events = []
        for line in self.events_file.read_text(encoding="utf-8").splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                continue  # the process died while it wrote this line
        return events

    @contextmanager
    def only_one(self, part: str = "rounds") -> Iterator[None]:
        """Hold a lock of the run; the system frees it when the process dies. Raises RunBusy.

        "rounds" is held by who runs the rounds, "federation" by who starts the processes.
        """
        with (self.path / f"{part}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunBusy(f"{self.path}: its rounds are running; wait or stop them") from error
            yield

    def is_held(self, part: str = "rounds") -> bool:
        """Whether a process holds this lock now. A shared look: who looks keeps nobody else from
        looking, but may make an `only_one` of the same moment fail.
        """
        try:
            with (self.path / f"{part}.lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False


def _plain(value: Any) -> Any:
    """JSON has no infinity: an unbounded epsilon becomes the text "inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
