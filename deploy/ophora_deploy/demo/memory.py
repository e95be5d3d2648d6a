"""Peak memory of this process and all that it started, sampled while the demo runs."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil  # type: ignore[import-untyped]

_EVERY_S = 3.0


class PeakMemory:
    """A context; `gigabytes` is the highest sum of private and shared-out memory seen so far."""

    def __init__(self) -> None:
        self.gigabytes = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self.gigabytes = max(self.gigabytes, _total() / 1e9)


def _total() -> int:
    """Proportional set sizes: pages that processes share count once."""
    total = 0
    here = psutil.Process()
    for process in [here, *here.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total
