"""Start the processes of a federation, wait until each is ready, and leave none behind.

Every process leads its own group, so that what it starts in turn (a SuperNode starts an executor,
which starts a ClientApp per message) ends with it. A guard process outlives the parent just long
enough to end all groups, also when the parent gets SIGKILL. Output goes to one log file a process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ophora_deploy.errors import NotReady, ProcessEnded
from ophora_deploy.guard import end_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One started process and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path | None

    def check(self) -> None:
        """Raises ProcessEnded, which names the log, when it no longer runs."""
        code = self.process.poll()
        if code is not None:
            raise ProcessEnded(f"{self.name}: ended with code {code}; read {self.log}")


class ProcessSet:
    """Processes that end together: on leaving the context, on `stop`, or with their parent."""

    def __init__(self) -> None:
        self._running: list[Running] = []
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ProcessSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        folder: Path | None = None,
    ) -> Running:
        """Start `command` as the leader of its own group, output appended to `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._start_guard()
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=folder,
                start_new_session=True,
            )
        self._tell_guard(f"+{process.pid}")
        running = Running(
            name=name, process=process, log=log, command=tuple(command), env=env, folder=folder
        )
        self._running.append(running)
        return running

    def wait_until(
        self, running: Running, is_ready: Callable[[], bool], *, timeout_s: float
    ) -> None:
        """Poll `is_ready`. Raises ProcessEnded or, after `timeout_s`, NotReady."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            running.check()
            if time.monotonic() > deadline:
                raise NotReady(f"{running.name}: not ready in {timeout_s:g} s; read {running.log}")
            time.sleep(0.1)

    def start_again(self, ended: Running) -> Running:
        """Start what has ended once more, as it was started."""
        self._end([ended])  # what it had started may still run
        self._running.remove(ended)
        return self.start(
            ended.name, ended.command, log=ended.log, env=ended.env, folder=ended.folder
        )

    def stop_one(self, running: Running) -> None:
        """End one process and what it started."""
        self._end([running])
        self._running.remove(running)

    def stop(self) -> None:
        """End all, last started first. Safe to call twice."""
        self._end(self._running)
        self._running.clear()
        guard, self._guard = self._guard, None
        if guard is not None and guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                guard.stdin.close()
            guard.wait()

    def _end(self, ending: Sequence[Running]) -> None:
        def reap() -> None:
            for running in ending:
                running.process.poll()

        end_groups([running.process.pid for running in ending], reap=reap)
        for running in ending:
            running.process.wait()
            self._tell_guard(f"-{running.process.pid}")

    def _start_guard(self) -> None:
        if self._guard is None:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "ophora_deploy.guard"],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )

    def _tell_guard(self, line: str) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(f"{line}\n".encode())
                self._guard.stdin.flush()


def free_ports(count: int) -> list[int]:
    """`count` different ports that are free on loopback now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def installed_command(name: str) -> str:
    """The path of a command installed beside this Python."""
    return str(Path(sys.executable).parent / name)


def process_environment(**values: str) -> dict[str, str]:
    """This environment with our commands first on PATH, Flower's telemetry off, and `values`."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.5",
        "PYTHONUNBUFFERED": "1",
        **values,
    }
