"""A generator host as a real process over a pipeline without weights."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent / "support"


@dataclass(frozen=True, slots=True)
class RunningHost:
    process: subprocess.Popen[str]
    url: str
    data: Path

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            return json.load(response)

    def wait_for(self, video_id: str, *statuses: str, timeout_s: float = 20) -> dict:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            video = self.get(f"/v1/videos/{video_id}")
            if video["status"] in statuses:
                return video
            time.sleep(0.05)
        raise TimeoutError(f"{video['status']} at {video['progress']} %")

    def worker_pids(self) -> list[int]:
        """Worker processes: children of the host that run `spawn_main`."""
        found = []
        children = Path(f"/proc/{self.process.pid}/task")
        for listing in children.glob("*/children"):
            for pid in listing.read_text().split():
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(int(pid))
        return found


@contextmanager
def running_host(folder: Path) -> Iterator[RunningHost]:
    """A host with its data in `folder`/data and its messages in `folder`/host.log."""
    data = folder / "data"
    with (
        (folder / "host.log").open("a") as log,
        subprocess.Popen(
            [sys.executable, str(SUPPORT / "fake_host.py"), str(data)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield RunningHost(process, process.stdout.readline().strip(), data)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    """One host for a whole module."""
    with running_host(tmp_path_factory.mktemp("host")) as running:
        yield running


@pytest.fixture
def start_host(tmp_path: Path) -> Callable[[], AbstractContextManager[RunningHost]]:
    """Starts a host of this test's own; again on the same folder when called again."""
    return lambda: running_host(tmp_path)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch):
    """The fake pipeline's module."""
    monkeypatch.syspath_prepend(str(SUPPORT))
    import fake_pipeline

    return fake_pipeline
