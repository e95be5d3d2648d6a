"""Which frames of a span a clip keeps: one for each tick of an even clock.

Times come from the frames themselves, so a variable frame rate stays in step with what was said.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np
import numpy.typing as npt

from ophora_curation.source.reader import Frame

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
_FINEST = 1001  # denominators of broadcast rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Ticks from `start_s` (inclusive) to `end_s` (exclusive), `fps` a second."""

    start_s: float
    end_s: float
    fps: Fraction
    slack_s: float  # container times are rounded, to milliseconds in some

    @classmethod
    def over(cls, start_s: float, end_s: float, source: Fraction, *, most_fps: float) -> Self:
        """The source's own rate, or `most_fps` where that is less; 0 always keeps the source's."""
        most = Fraction(most_fps).limit_denominator(_FINEST)
        fps = min(source, most) if most else source
        return cls(
            start_s=start_s,
            end_s=end_s,
            fps=fps.limit_denominator(_FINEST),
            slack_s=0.25 / float(source),
        )


class FrameQueue:
    """Frames in order, of which the next one can be looked at without taking it."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._next = next(frames, None)

    def peek(self) -> Frame | None:
        """The next frame; None at the end."""
        return self._next

    def take(self) -> None:
        """Go on to the frame after it."""
        self._next = next(self._frames, None)


def pick_pictures(frames: FrameQueue, grid: Grid) -> Iterator[Picture]:
    """An RGB picture for every tick: the first frame that is not before it.

    The first frame at or after the grid's end stays in the queue. A gap in the frames repeats the
    picture after it, so that the clip keeps its length.
    """
    tick_s = 1.0 / float(grid.fps)
    count = 0
    while (frame := frames.peek()) is not None and frame.time_s < grid.end_s - grid.slack_s:
        picture: Picture | None = None
        while frame.time_s >= grid.start_s + count * tick_s - grid.slack_s:
            picture = frame.picture() if picture is None else picture
            yield picture
            count += 1
        frames.take()
