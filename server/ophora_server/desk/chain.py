"""Whether the audit log's chain verifies, looked at anew when the log has grown or a while passed.

Blobs are left out: their reading takes longest, and `ophora federation verify-log` does it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ophora_server.registry.registry import Registry
from ophora_server.registry.verification import Verification, verify

_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class _Seen:
    newest: int
    at: float
    verification: Verification


class Chain:
    """The last verification and when it was. Safe across threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: _Seen | None = None
        self._lock = threading.Lock()  # several pages ask at once: one reading of the log for all

    def verified(self, registry: Registry, newest: int) -> Verification:
        """Of the log whose newest entry has this number."""
        with self._lock:
            now = self._clock()
            seen = self._seen
            if seen is None or seen.newest != newest or now - seen.at >= _AGAIN_S:
                seen = _Seen(newest, now, verify(registry, blobs=False))
                self._seen = seen
            return seen.verification
