"""A site's two processes: the resident trainer and the SuperNode that connects out to the front.

The SuperNode gets the site's folder in its environment, its own key and the authority's
certificate; it listens on loopback only, for the ClientApp that it starts for every message.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ophora_client.client_app import SITE_VARIABLE
from ophora_client.trainer_wire import socket_path
from ophora_deploy.bundle import BUNDLE
from ophora_deploy.checked_app import bundle_hash, checked_environment
from ophora_deploy.processes import (
    ProcessSet,
    Running,
    free_ports,
    installed_command,
    process_environment,
)
from ophora_deploy.provisioning import NodeKey, make_node_key

_RESTART_EVERY_S = 5.0
_TRAINER_START_S = 600.0  # loads the base and encodes what is not cached yet


def site_key(site: Path) -> NodeKey:
    """The site's key pair, made in the site's folder at the first call."""
    return make_node_key(site / "keys")


class SiteProcesses:
    """The two processes of one site on this machine; one that ends is started again.

    So is a trainer whose socket is gone: one of an earlier start that ended late took it along.
    `bundle` is the hash of the only app that runs here; by default that of the installed one.
    """

    def __init__(self, processes: ProcessSet, *, code: str, folder: Path, bundle: str = "") -> None:
        self.code = code
        self.bundle = bundle
        self.folder = folder
        self._processes = processes
        self._trainer: Running | None = None
        self._supernode: Running | None = None
        self._restart_at = 0.0
        self._has_socket = False

    def start_trainer(
        self, command: Sequence[str] = (), *, metrics_port: int | None = None
    ) -> None:
        """Start the trainer, or `command` in its place; its metrics on a port of loopback."""
        socket_path(self.folder).unlink(missing_ok=True)
        trainer = [sys.executable, "-m", "ophora_client.trainer_process"]
        metrics = () if metrics_port is None else ("--metrics-port", str(metrics_port))
        self._trainer = self._processes.start(
            f"trainer of {self.code}",
            [*(command or trainer), "--site", str(self.folder), *metrics],
            log=self.folder / "logs" / "trainer.log",
            env=process_environment(),
        )

    def connect(self, address: str, authority: Path) -> None:
        """Wait for the trainer, then start the SuperNode towards the front at `address`.

        Raises ProcessEnded or NotReady.
        """
        assert self._trainer is not None
        socket = socket_path(self.folder)
        self._processes.wait_until(self._trainer, socket.exists, timeout_s=_TRAINER_START_S)
        self._has_socket = True
        (port,) = free_ports(1)
        flower = self.folder / "flower"
        flower.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._supernode = self._processes.start(
            f"supernode of {self.code}",
            [
                installed_command("flower-supernode"),
                *("--root-certificates", str(authority)),
                *("--superlink", address),
                *("--auth-supernode-private-key", str(site_key(self.folder).private)),
                *("--port", str(port)),
            ],
            log=self.folder / "logs" / "supernode.log",
            env=checked_environment(
                self.folder,
                process_environment(
                    FLWR_HOME=str(flower.resolve()), **{SITE_VARIABLE: str(self.folder.resolve())}
                ),
                expected=self.bundle or bundle_hash(BUNDLE),
            ),
        )

    def restart_ended(self) -> list[str]:
        """Start again what has ended; the names of those. Not more often than every 5 s."""
        ended = [
            running
            for running in (self._trainer, self._supernode)
            if running is not None and self._is_over(running)
        ]
        if not ended or time.monotonic() < self._restart_at:
            return []
        self._restart_at = time.monotonic() + _RESTART_EVERY_S
        for running in ended:
            if running is self._trainer:
                socket_path(self.folder).unlink(missing_ok=True)
                self._has_socket = False
                self._trainer = self._processes.start_again(running)
            else:
                self._supernode = self._processes.start_again(running)
        return [running.name for running in ended]

    def _is_over(self, running: Running) -> bool:
        if running is self._trainer:
            there = socket_path(self.folder).exists()
            if self._has_socket and not there:
                return True
            self._has_socket = there
        return running.process.poll() is not None
