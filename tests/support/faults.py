"""Find a run's processes by what they are, and kill or freeze them; nobody else's are touched.

A process belongs to a run by its environment or command line, which name the run's own folders.
"""

import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from seeded_run import SeededRun

COORDINATOR = {
    "superlink": b"flower-superlink",
    "executor": b"flower-superexec",
    "front": b"ophora_server.front",
    "serverapp": b"flwr-serverapp",
}
SITE = {
    "supernode": b"flower-supernode",
    "site-executor": b"flower-superexec",
    "clientapp": b"ophora_deploy.checked_app",
    "trainer": b"seeded_site.py",
}
KINDS = (*COORDINATOR, *SITE, "parent")
_AGAIN_S = 0.2


def find(run: SeededRun, kind: str, site: str = "") -> list[int]:
    """Ids of the run's live processes of a kind; of one site, or of all."""
    if kind == "parent":
        return [run.process.pid] if run.process is not None and run.is_running() else []
    if kind in COORDINATOR:
        mark = f"OPHORA_RUN={run.run.path.resolve()}".encode()
        return [
            pid
            for pid, command, env in _processes()
            if COORDINATOR[kind] in command and mark in env.split(b"\0")
        ]
    folders = [each.folder.resolve() for each in run.sites if site in ("", each.code)]
    return [
        pid
        for pid, command, env in _processes()
        if SITE[kind] in command and _is_of(folders, command, env)
    ]


def kill(run: SeededRun, kind: str, site: str = "") -> int:
    """SIGKILL to all of a kind; how many there were."""
    return _send(find(run, kind, site), signal.SIGKILL)


def kill_one(run: SeededRun, kind: str, rng: random.Random) -> bool:
    """SIGKILL to one of a kind; whether there was one."""
    found = sorted(find(run, kind))
    return bool(found) and _send([rng.choice(found)], signal.SIGKILL) == 1


def keep_killed(run: SeededRun, kind: str, site: str = "", *, seconds: float) -> int:
    """Kill, and kill again what is started in its place, for so long; how many there were."""
    deadline = time.monotonic() + seconds
    killed = kill(run, kind, site)
    while time.monotonic() < deadline:
        time.sleep(_AGAIN_S)
        killed += kill(run, kind, site)
    return killed


def keep_frozen(run: SeededRun, kind: str, site: str = "", *, seconds: float) -> int:
    """Stop for so long, then let go on; how many there were."""
    pids = find(run, kind, site)
    _send(pids, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        _send([pid for pid in pids if pid in find(run, kind, site)], signal.SIGCONT)
    return len(pids)


def _is_of(folders: Sequence[Path], command: bytes, env: bytes) -> bool:
    words = {*command.split(b"\0"), *env.split(b"\0")}
    return any(
        str(folder).encode() in words or f"OPHORA_SITE={folder}".encode() in words
        for folder in folders
    )


def _processes() -> list[tuple[int, bytes, bytes]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if command:  # one that is dead and not collected has none
                    found.append((int(entry.name), command, (entry / "environ").read_bytes()))
    return found


def _send(pids: Sequence[int], number: signal.Signals) -> int:
    sent = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            sent += 1
    return sent
