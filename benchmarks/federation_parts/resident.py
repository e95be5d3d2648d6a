"""Resident memory of a process over time, without what it shares with others by mapping."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

_EVERY_S = 0.02


class ResidentMemory:
    """Samples the process that `pid` names, once it is there, while in its `with`."""

    def __init__(self, pid: Callable[[], int | None]) -> None:
        self._pid = pid
        self._samples: list[tuple[float, int]] = []  # when, bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def over_idle(self, begin: float, end: float) -> int:
        """Peak from `begin` to `end` (`time.time`) over what it was at `begin`, in bytes."""
        before = [size for when, size in self._samples if when <= begin]
        during = [size for when, size in self._samples if begin <= when <= end]
        return max(during) - before[-1]

    def _watch(self) -> None:
        found: int | None = None
        while not self._stop.wait(_EVERY_S):
            found = self._pid() if found is None else found
            size = None if found is None else _resident(found)
            if size is not None:
                self._samples.append((time.time(), size))


def _resident(pid: int) -> int | None:
    """RssAnon and RssFile: pages of Ray's store are counted where they are stored, not here."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    sizes = [
        line.split() for line in status.splitlines() if line.startswith(("RssAnon", "RssFile"))
    ]
    return sum(int(words[1]) for words in sizes) * 1024 if sizes else None
