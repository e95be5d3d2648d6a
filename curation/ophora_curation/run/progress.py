"""How far a run is and how long it will take; safe to show.

bytes of the videos still to do x seconds that a byte took so far -> seconds left
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

_LOOK_SHARE = 0.25  # of a video's time, when it has only been watched
_SETTLE_S = 5.0  # before that, workers are still loading


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Videos by where they are, footage and time left."""

    done: int
    total: int
    clips: int
    refused: int
    verified: int = 0  # clip files of earlier runs whose bytes were checked
    to_verify: int = 0
    looking: int = 0
    waiting: int = 0  # watched, and not yet taken up by a worker with models
    curating: int = 0
    footage_s: float = 0.0  # of the videos curated by this run
    footage_total_s: float | None = None  # of all that this run has to do, estimated
    left_s: float | None = None  # None until there is something to judge by


@dataclass(slots=True)
class WorkLeft:
    """Estimates from what each video weighs (its bytes) and what finished ones took."""

    now: Callable[[], float] = time.monotonic
    _left: dict[str, int] = field(default_factory=dict)  # video -> bytes, not yet finished
    _unnamed: int = 0  # bytes of files that have no id yet
    _done: int = 0
    _looked: dict[str, float] = field(default_factory=dict)  # video -> seconds of footage
    _looked_bytes: int = 0
    _footage_s: float = 0.0
    _started_s: float | None = None

    def expect(self, num_bytes: int) -> None:
        """A file that may be work."""
        self._unnamed += num_bytes

    def begin(self, video_id: str, num_bytes: int) -> None:
        """This file is work."""
        self._unnamed -= num_bytes
        self._left[video_id] = num_bytes
        if self._started_s is None:
            self._started_s = self.now()

    def skip(self, num_bytes: int) -> None:
        """This file is none."""
        self._unnamed -= num_bytes

    def look(self, video_id: str, footage_s: float) -> None:
        """It was watched, and is so long."""
        self._looked[video_id] = footage_s
        self._looked_bytes += self._left.get(video_id, 0)
        self._footage_s += footage_s

    def finish(self, video_id: str) -> float:
        """It has its outcome; its seconds of footage."""
        self._done += self._left.pop(video_id, 0)
        return self._looked.pop(video_id, 0.0)

    @property
    def footage_total_s(self) -> float | None:
        """Seconds of footage of all the work, by the bytes of what was watched."""
        if not self._looked_bytes:
            return None
        return self._footage_s * self._all_bytes() / self._looked_bytes

    @property
    def left_s(self) -> float | None:
        """Seconds until the end at the pace so far; None until a video has finished."""
        if self._started_s is None or not self._done:
            return None
        passed_s = self.now() - self._started_s
        if passed_s < _SETTLE_S:
            return None
        half_done = _LOOK_SHARE * sum(self._left.get(each, 0) for each in self._looked)
        work = self._done + half_done
        return passed_s * max(0.0, self._all_bytes() - work) / work

    def _all_bytes(self) -> int:
        return self._done + sum(self._left.values()) + max(0, self._unnamed)
