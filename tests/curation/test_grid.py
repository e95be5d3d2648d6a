from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest

from ophora_curation.grid import FrameQueue, Grid, pick_pictures


class Timed:
    """A frame whose picture says when it was taken."""

    def __init__(self, time_s: float) -> None:
        self.time_s = time_s

    def picture(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return np.full((2, 2, 3), round(self.time_s * 100) % 256, np.uint8)


def queue(times: Sequence[float]) -> FrameQueue:
    frames: Iterator[Timed] = iter([Timed(time_s) for time_s in times])
    return FrameQueue(frames)  # type: ignore[arg-type]


def taken(frames: FrameQueue, grid: Grid) -> list[int]:
    return [int(picture[0, 0, 0]) for picture in pick_pictures(frames, grid)]


def test_a_fast_source_gives_the_frame_of_every_tick() -> None:
    times = [index / 25 for index in range(100)]
    grid = Grid.over(1.0, 2.0, Fraction(25), most_fps=5.0)
    assert grid.fps == 5
    assert taken(queue(times), grid) == [100, 120, 140, 160, 180]


def test_a_slow_source_keeps_its_own_frames() -> None:
    grid = Grid.over(0.0, 1.0, Fraction(4), most_fps=8.0)
    assert grid.fps == 4
    assert taken(queue([0.0, 0.25, 0.5, 0.75, 1.0]), grid) == [0, 25, 50, 75]


def test_neighbouring_spans_share_no_frame_and_lose_none() -> None:
    frames = queue([index / 8 for index in range(17)])
    grids = [Grid.over(start, start + 1.0, Fraction(8), most_fps=8.0) for start in (0.0, 1.0)]
    first, second = (taken(frames, grid) for grid in grids)
    assert first == [0, 12, 25, 38, 50, 62, 75, 88]
    assert second == [100, 112, 125, 138, 150, 162, 175, 188]


def test_a_gap_in_the_frames_keeps_the_length() -> None:
    grid = Grid.over(0.0, 1.0, Fraction(8), most_fps=8.0)
    pictures = taken(queue([0.0, 0.125, 0.75, 0.875]), grid)
    assert len(pictures) == 8
    assert pictures[2:7] == [75] * 5


@pytest.mark.parametrize("most", [0.0, 60.0])
def test_a_clip_is_never_faster_than_its_source(most: float) -> None:
    assert Grid.over(0.0, 1.0, Fraction(30000, 1001), most_fps=most).fps == Fraction(30000, 1001)
