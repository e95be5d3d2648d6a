"""However the parent ends, nothing that it started keeps running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ophora_deploy.errors import NotReady, ProcessEnded
from ophora_deploy.processes import ProcessSet, free_ports, is_listening, process_environment

# A parent that starts a process which starts another one, as a SuperNode does, and then waits.
_PARENT = """
import sys, time
from pathlib import Path
from ophora_deploy.processes import ProcessSet, process_environment
child = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print(p.pid, flush=True); {ignore}time.sleep(600)"
with ProcessSet() as processes:
    running = processes.start("child", [sys.executable, "-c", child], log=Path(sys.argv[1]), env=process_environment())
    print(running.process.pid, flush=True)
    time.sleep(600)
"""  # noqa: E501


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # one that nobody collects here is dead all the same


def _start_parent(log: Path, ignore: str = "") -> tuple[subprocess.Popen[str], list[int]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT.replace("{ignore}", ignore), str(log)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + 20
    while not (log.exists() and log.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return parent, [child, int(log.read_text())]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_survives_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    parent, pids = _start_parent(tmp_path / "log")
    assert all(_alive(pid) for pid in pids)
    os.kill(parent.pid, number)
    parent.communicate(timeout=20)
    deadline = time.monotonic() + 15
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in pids)


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    parent, pids = _start_parent(tmp_path / "log", ignore)
    time.sleep(0.5)
    os.kill(parent.pid, signal.SIGINT)
    parent.communicate(timeout=20)
    assert not any(_alive(pid) for pid in pids)


def test_waits_are_bounded_and_name_the_log(tmp_path: Path) -> None:
    env, log = process_environment(), tmp_path / "log"
    with ProcessSet() as processes:
        sleeper = processes.start("sleeper", ["sleep", "600"], log=log, env=env)
        with pytest.raises(NotReady, match="sleeper: not ready"):
            processes.wait_until(sleeper, lambda: False, timeout_s=0.2)
        ended = processes.start("ended", ["false"], log=log, env=env)
        with pytest.raises(ProcessEnded, match=str(log)):
            processes.wait_until(ended, lambda: False, timeout_s=10)
        again = processes.start_again(ended)
        assert again.process.pid != ended.process.pid
        began = time.monotonic()
    assert time.monotonic() - began < 3  # a stop doesn't wait for the whole grace period
    assert sleeper.process.poll() is not None


def test_ports_are_different_and_free() -> None:
    ports = free_ports(3)
    assert len(set(ports)) == 3
    assert not any(is_listening(port) for port in ports)
