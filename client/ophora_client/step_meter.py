"""How many steps the trainer has taken since it started, and how long one takes.

The time between two steps of a round tells roughly how many patients were drawn for it: a figure
for the site's own monitoring, which no message holds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ophora_privacy.watch.metrics import Histogram

BOUNDS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


class StepMeter:
    """Counts steps. Safe across threads; nothing of it is kept when the process ends."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: float | None = None
        self._num_steps = 0
        self._seconds = Histogram.of([], BOUNDS_S)

    def begin(self) -> None:
        """A round's tuning begins."""
        with self._lock:
            self._last = self._clock()

    def step(self) -> None:
        """One step is done."""
        now = self._clock()
        with self._lock:
            self._num_steps += 1
            if self._last is not None:
                self._seconds = self._seconds.with_value(now - self._last)
            self._last = now

    @property
    def num_steps(self) -> int:
        """All steps so far."""
        return self._num_steps

    @property
    def seconds(self) -> Histogram:
        """How long they took."""
        return self._seconds
