"""The coordinator's processes: SuperLink on loopback, executor, and the front that sites reach.

Order: SuperLink (TLS, node keys, state on disk) -> executor (starts the ServerApp) -> front. Only
the front is meant to be reachable; the SuperLink's own port must stay on loopback, since its
control calls have no user authentication.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ophora_deploy.bundle import BUNDLE
from ophora_deploy.coordinator_processes import CoordinatorProcesses
from ophora_deploy.errors import FederationFailed, ProvisioningFailed
from ophora_deploy.flower_call import FlowerCall
from ophora_deploy.processes import (
    ProcessSet,
    free_ports,
    installed_command,
    is_listening,
    process_environment,
)
from ophora_deploy.provisioning import ServerIdentity, make_secret, make_server_identity
from ophora_model.draft import write_whole
from ophora_server.run_folder import RUN_VARIABLE, RunFolder

_CONNECTION = "ophora"
_START_S = 90.0
_EVERY_ADDRESS = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontAddress:
    """Where the front listens; port 0 takes a free one. `names` go into a new certificate."""

    host: str = "127.0.0.1"
    port: int = 0
    names: tuple[str, ...] = ()


LOOPBACK = FrontAddress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinator:
    """A started coordinator and its run; sites connect to `address`."""

    run: RunFolder
    identity: ServerIdentity
    address: str
    processes: CoordinatorProcesses

    def register(self, keys: Mapping[str, Path]) -> None:
        """Register each site's public key under its code; a key that is known already is kept."""
        started = {
            code: self._flwr("supernode", "register", str(key), _CONNECTION, "--name", code)
            for code, key in keys.items()
        }
        codes = self.run.site_codes()
        for code, call in started.items():
            answer = call.answer()
            if answer.get("success"):
                codes[int(answer["node-id"])] = code
            elif code not in codes.values():
                reason = str(answer.get("error-message", "no answer")).strip()
                raise ProvisioningFailed(f"site {code}: can't be registered: {reason}")
        known = {str(node): code for node, code in codes.items()}
        write_whole(self.run.sites_file, json.dumps(known).encode())

    def submit(self) -> str:
        """Start the rounds; the id of Flower's run."""
        answer = self._flwr("run", str(BUNDLE), _CONNECTION).answer()
        if not answer.get("success"):
            raise FederationFailed(f"flwr run: {str(answer.get('error-message')).strip()}")
        return str(answer["run-id"])

    def ask_status(self, run_id: str) -> FlowerCall:
        """Ask for the run's state; `status_of` reads the answer."""
        return self._flwr("ls", _CONNECTION, "--run-id", run_id)

    def end_rounds(self, run_id: str) -> None:
        """End a run of Flower's, the process of its rounds and whatever holds it up."""
        self._flwr("stop", run_id, _CONNECTION).answer()
        self.processes.restart_executor()

    def _flwr(self, *words: str) -> FlowerCall:
        return FlowerCall(*words, env=_environment(self.run))


def status_of(call: FlowerCall) -> str:
    """Flower's word for a run's state, such as `running` or `finished:completed`."""
    runs = call.answer().get("runs") or [{}]
    return str(runs[0].get("status", "unknown"))


def start_coordinator(
    processes: ProcessSet,
    run: RunFolder,
    *,
    front: FrontAddress = LOOPBACK,
    record_wire: Path | None = None,
) -> Coordinator:
    """Start all three and wait until they answer. Raises ProcessEnded or NotReady.

    With `record_wire`, what sites send is also written to that file: for audits of a demo.
    """
    identity = make_server_identity(run.tls, hosts=("localhost", "127.0.0.1", *front.names))
    link_port, front_port = free_ports(2)
    front_port = front.port or front_port
    host = "127.0.0.1" if front.host in _EVERY_ADDRESS else front.host
    # without it any local process could take the executor's place and with it the run's tokens
    secret = make_secret(run.tls / "executor.secret")
    run.flower.mkdir(parents=True, exist_ok=True)
    (run.flower / "config.toml").write_text(
        f"[superlink.{_CONNECTION}]\n"
        f'address = "127.0.0.1:{link_port}"\n'
        f"root-certificates = {json.dumps(str(identity.authority))}\n"
    )
    env = _environment(run)
    link = processes.start(
        "superlink",
        _superlink(run, identity, link_port, secret),
        log=run.logs / "superlink.log",
        env=env,
    )
    door = processes.start(
        "front",
        _front(identity, link_port, front.host, front_port, record_wire),
        log=run.logs / "front.log",
        env=env,
    )
    processes.wait_until(link, lambda: is_listening(link_port), timeout_s=_START_S)
    executor = processes.start(
        "executor",
        [
            installed_command("flower-superexec"),
            *("--root-certificates", str(identity.authority)),
            *("--runtime-api-address", f"127.0.0.1:{link_port}"),
            *("--superexec-auth-secret-file", str(secret)),
        ],
        log=run.logs / "executor.log",
        env=env,
    )
    processes.wait_until(door, lambda: is_listening(front_port, host), timeout_s=_START_S)
    address = f"{host}:{front_port}"
    kept = CoordinatorProcesses(
        processes,
        link=link,
        link_address=f"127.0.0.1:{link_port}",
        executor=executor,
        front=door,
        front_address=address,
        authority=identity.authority,
    )
    return Coordinator(run=run, identity=identity, address=address, processes=kept)


def _superlink(run: RunFolder, identity: ServerIdentity, port: int, secret: Path) -> Sequence[str]:
    return [
        installed_command("flower-superlink"),
        *("--ssl-ca-certfile", str(identity.authority)),
        *("--ssl-certfile", str(identity.certificate)),
        *("--ssl-keyfile", str(identity.key)),
        "--enable-supernode-auth",
        *("--superexec-auth-secret-file", str(secret)),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
        *("--database", str(run.flower / "state.sqlite")),
        *("--isolation", "process"),
        "--disable-runtime-dependency-installation",
    ]


def _front(
    identity: ServerIdentity, link_port: int, host: str, front_port: int, record: Path | None
) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "ophora_server.front"),
        *("--host", host),
        *("--port", str(front_port)),
        *("--upstream", f"https://127.0.0.1:{link_port}"),
        *("--authority", str(identity.authority)),
        *("--certificate", str(identity.certificate)),
        *("--key", str(identity.key)),
        *(("--record", str(record)) if record else ()),
    ]


def _environment(run: RunFolder) -> dict[str, str]:
    return process_environment(
        FLWR_HOME=str(run.flower.resolve()), **{RUN_VARIABLE: str(run.path.resolve())}
    )
