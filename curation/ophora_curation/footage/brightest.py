"""The brightest luma that each place of the picture reaches in a shot: where the field of view is.

Which shot a frame belongs to is known only some frames later, so frames wait in a queue for it.
"""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from ophora_curation.footage.planes import Small
from ophora_curation.footage.shots import Boundary, shots_between

_MOST = 400  # shots that are kept: six megabytes; the rest of a video gets none


class BrightestPictures:
    """Feed it every frame's small luma; `lag` is the detector's."""

    def __init__(self, lag: int) -> None:
        self._lag = max(1, lag)
        self._waiting: deque[Small] = deque()
        self._done = 0  # frames that left the queue
        self._found: list[tuple[int, Small]] = []  # a frame of the shot, its brightest so far

    def add(self, luma: Small, boundaries: Callable[[], Sequence[Boundary]]) -> None:
        """The next frame; `boundaries` is asked for now and then."""
        self._waiting.append(luma)
        if len(self._waiting) >= 2 * self._lag:
            count = self._done + len(self._waiting)
            self._settle(shots_between(boundaries(), count), until=count - self._lag)

    def result(self, boundaries: Sequence[Boundary], num_frames: int) -> tuple[Small | None, ...]:
        """For each shot its brightest picture; None where it was not kept."""
        shots = shots_between(boundaries, num_frames)
        self._settle(shots, until=num_frames)
        pictures: list[Small | None] = [None] * len(shots)
        for frame, luma in self._found:
            number = _shot_of(frame, shots)
            if number is not None:
                before = pictures[number]
                pictures[number] = luma if before is None else np.maximum(before, luma)
        return tuple(pictures)

    def _settle(self, shots: Sequence[tuple[int, int]], *, until: int) -> None:
        while self._done < until:
            luma = self._waiting.popleft()
            number = _shot_of(self._done, shots)
            if number is not None:
                self._merge(self._done, luma, shots[number][0])
            self._done += 1

    def _merge(self, frame: int, luma: Small, first: int) -> None:
        if self._found and self._found[-1][0] >= first:
            np.maximum(self._found[-1][1], luma, out=self._found[-1][1])
        elif len(self._found) < _MOST:
            self._found.append((frame, luma.copy()))


def _shot_of(frame: int, shots: Sequence[tuple[int, int]]) -> int | None:
    starts = [first for first, _ in shots]
    number = int(np.searchsorted(starts, frame, side="right")) - 1
    return number if number >= 0 and frame <= shots[number][1] else None
