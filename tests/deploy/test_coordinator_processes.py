"""What ends is started again, and what is frozen too."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ophora_deploy import coordinator_processes
from ophora_deploy.coordinator_processes import CoordinatorProcesses
from ophora_deploy.processes import (
    ProcessSet,
    Running,
    free_ports,
    is_listening,
    process_environment,
)
from ophora_deploy.provisioning import ServerIdentity, make_server_identity

_SERVER = """
import http.server, ssl, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(502)
        self.end_headers()
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Health)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""


@pytest.fixture
def kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[CoordinatorProcesses, dict[str, Running]]]:
    """Two servers that answer 502, as a front whose SuperLink is away, and a sleeper."""
    monkeypatch.setattr(coordinator_processes, "_ASK_EVERY_S", 0.1)
    monkeypatch.setattr(coordinator_processes, "_ANSWER_S", 1.0)
    monkeypatch.setattr(coordinator_processes, "_FROZEN_S", 4.0)
    identity = make_server_identity(tmp_path / "tls", hosts=("elsewhere",))
    with ProcessSet() as processes:
        ports = free_ports(2)
        started = {
            name: processes.start(
                name,
                _command(port, identity),
                log=tmp_path / "log",
                env=process_environment(),
            )
            for name, port in zip(("superlink", "front"), ports, strict=True)
        }
        started["executor"] = processes.start(
            "executor", ["sleep", "600"], log=tmp_path / "log", env=process_environment()
        )
        for name, port in zip(("superlink", "front"), ports, strict=True):
            processes.wait_until(started[name], lambda port=port: is_listening(port), timeout_s=60)
        addresses = [f"127.0.0.1:{port}" for port in ports]
        made = CoordinatorProcesses(
            processes,
            link=started["superlink"],
            link_address=addresses[0],
            executor=started["executor"],
            front=started["front"],
            front_address=addresses[1],
            authority=identity.authority,
        )
        yield made, started


def _command(port: int, identity: ServerIdentity) -> list[str]:
    return [
        *(sys.executable, "-c", _SERVER, str(port)),
        *(str(identity.certificate), str(identity.key)),
    ]


def _restarted(kept: CoordinatorProcesses, for_s: float) -> list[str]:
    names: list[str] = []
    deadline = time.monotonic() + for_s
    while not names and time.monotonic() < deadline:
        names += kept.restart_ended()
        time.sleep(0.05)
    return names


def test_those_that_answer_anything_are_left_alone(
    kept: tuple[CoordinatorProcesses, dict[str, Running]],
) -> None:
    assert kept[0].link_answers()
    assert _restarted(kept[0], for_s=6.0) == []


@pytest.mark.parametrize("name", ["superlink", "front"])
def test_one_that_is_frozen_is_ended_and_started_again(
    kept: tuple[CoordinatorProcesses, dict[str, Running]], name: str
) -> None:
    frozen = kept[1][name].process
    os.kill(frozen.pid, signal.SIGSTOP)
    assert _restarted(kept[0], for_s=60.0) == [name]
    assert frozen.poll() is not None


def test_one_that_ended_is_started_again(
    kept: tuple[CoordinatorProcesses, dict[str, Running]],
) -> None:
    ended = kept[1]["executor"].process
    ended.kill()
    ended.wait()
    assert _restarted(kept[0], for_s=60.0) == ["executor"]
