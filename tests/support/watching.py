"""Watch this process' workers while they work: memory, lives, and what they open or reach.

A canary file tells by its time of access whether anybody read it, a listening address whether
anybody called; what workers hold open is sampled on top.
"""

import os
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from hostile import Canary

_EVERY_S = 0.02
_OLD_S = 1_000_000_000  # before any access of today


@dataclass(slots=True)
class Watch:
    """Use in a `with`, around a run; the figures are there afterwards."""

    folder: Path  # where the canary lives
    peaks_mb: dict[int, float] = field(default_factory=dict)  # resident memory, by process
    stages: dict[int, str] = field(default_factory=dict)
    longest_s: float = 0.0  # life of any worker
    opened: set[str] = field(default_factory=set)
    num_workers: int = 0
    num_calls: int = 0
    canary: Canary = field(init=False)
    _server: socket.socket = field(init=False)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        path = self.folder / "canary"
        path.write_bytes(b"root:x:0:0:nobody may read this\n" * 8)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.2)
        host, port = self._server.getsockname()
        self.canary = Canary(path=path, address=f"{host}:{port}")

    def __enter__(self) -> Self:
        os.utime(
            self.canary.path, (_OLD_S, _OLD_S)
        )  # older than its last change: a read updates it
        for work in (self._sample, self._listen):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._server.close()

    @property
    def most_mb(self) -> float:
        """Peak resident memory of any worker."""
        return max(self.peaks_mb.values(), default=0.0)

    def most_mb_of(self, stage: str) -> float:
        """Of the workers of one stage."""
        peaks = (mb for pid, mb in self.peaks_mb.items() if self.stages.get(pid) == stage)
        return max(peaks, default=0.0)

    @property
    def was_read(self) -> bool:
        """Whether anybody opened the canary and read it."""
        return self.canary.path.stat().st_atime != _OLD_S

    def _sample(self) -> None:
        seen: set[int] = set()
        while not self._ended.wait(_EVERY_S):
            for process in psutil.Process().children():
                seen.add(process.pid)
                self._look_at(process.pid, process.create_time())
        self.num_workers = len(seen)

    def _look_at(self, pid: int, since_s: float) -> None:
        home = Path(f"/proc/{pid}")
        try:
            lines = (home / "status").read_text().splitlines()
            peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), "0")
            self.peaks_mb[pid] = max(self.peaks_mb.get(pid, 0.0), int(peak) / 1024)
            self.stages[pid] = _stage_of(home)
            self.longest_s = max(self.longest_s, time.time() - since_s)
            for link in (home / "fd").iterdir():
                self.opened.add(os.readlink(link))
        except OSError:  # gone meanwhile
            return

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                caller, _ = self._server.accept()
            except TimeoutError:
                continue
            caller.close()
            self.num_calls += 1


def _stage_of(home: Path) -> str:
    """A worker that looks can write no file; one that curates can."""
    limits = (home / "limits").read_text().splitlines()
    (size,) = (line.split()[3] for line in limits if line.startswith("Max file size"))
    return "look" if size == "0" else "curate"
