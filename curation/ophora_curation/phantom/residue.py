"""Is a line that was burned into a video still legible in a clip that was cut from it?

Where the clip's picture lies in the source's is found by comparing the two, so that nothing has to
be known of how it was cropped. There each line's own picture (mean over time, without what is
larger than letters) is compared with what the clip shows in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.panel import PixelBox

Gray = NDArray[np.float32]
ALIKE: Final = 0.6  # correlation above which the line counts as still there
EDGE = 2  # pixels kept around a line
FLAT = 1.5  # standard deviation, of 255, below which a place shows nothing
SLACK = 5  # pixels that a line may be off
COARSE, FINE = 1.02, 1.003  # between the scales that are tried


def legible_lines(
    source: Path,
    clip: Path,
    boxes: Sequence[PixelBox],
    *,
    shown: tuple[float, float],
    clip_start_s: float,
) -> int:
    """How many of the lines are still in the clip, whose first picture is `clip_start_s` in.

    `shown` is when they were burned in, in seconds of the source. Where the clip does not overlap
    that time nothing can be left of them.
    """
    length_s = _length_s(clip)
    start_s = max(shown[0], clip_start_s)
    end_s = min(shown[1], clip_start_s + length_s)
    if end_s - start_s < 0.05:
        return 0
    before = _mean(_pictures(source), start_s, end_s)
    after = _mean(_pictures(clip), start_s - clip_start_s, end_s - clip_start_s)
    if before is None or after is None:
        return 0
    place = _find_place(before, after)
    return sum(_alike(before, after, box, place) >= ALIKE for box in boxes)


def _length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(container.duration or 0) / 1_000_000


def _pictures(path: Path) -> Iterable[tuple[float, Gray]]:
    """Times and upright luma."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray(format="gray")
            yield float(frame.time or 0.0), np.rot90(luma, frame.rotation // 90).astype(np.float32)


def _mean(pictures: Iterable[tuple[float, Gray]], start_s: float, end_s: float) -> Gray | None:
    total: Gray | None = None
    count = 0
    for time_s, picture in pictures:
        if time_s >= end_s:
            break
        if time_s < start_s - 1e-3:
            continue
        total = picture if total is None else total + picture
        count += 1
    return None if total is None else total / np.float32(count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A clip shows the source scaled by `scale`, less `left` columns and `top` rows of that."""

    scale: float
    left: int
    top: int
    alike: float


def _find_place(before: Gray, after: Gray) -> _Place:
    least = max(after.shape[0] / before.shape[0], after.shape[1] / before.shape[1])
    if least >= 0.995:
        return _place_at(before, after, 1.0)
    count = int(np.ceil(np.log(1.0 / least) / np.log(COARSE))) + 1
    tried = [_place_at(before, after, scale) for scale in np.geomspace(least, 1.0, count)]
    rough = max(tried, key=lambda place: place.alike).scale
    near = [rough * FINE**step for step in range(-7, 8)]
    finer = [_place_at(before, after, scale) for scale in near if least <= scale <= 1.0]
    return max([*tried, *finer], key=lambda place: place.alike)


def _place_at(before: Gray, after: Gray, scale: float) -> _Place:
    size = (
        max(after.shape[1], round(before.shape[1] * scale)),
        max(after.shape[0], round(before.shape[0] * scale)),
    )
    small = cv2.resize(before, size, interpolation=cv2.INTER_AREA)
    match = cv2.matchTemplate(small, after, cv2.TM_CCOEFF_NORMED)
    _, alike, _, (left, top) = cv2.minMaxLoc(match)
    return _Place(scale=float(scale), left=int(left), top=int(top), alike=float(alike))


def _alike(before: Gray, after: Gray, box: PixelBox, place: _Place) -> float:
    """Correlation of a line's letters with what the clip shows there; 0 where it was cut off."""
    left, top, right, bottom = box
    part = before[max(0, top - EDGE) : bottom + EDGE, max(0, left - EDGE) : right + EDGE]
    if min(part.shape) <= 2 * EDGE:
        return 0.0
    size = tuple(max(4, round(side * place.scale)) for side in part.shape[::-1])
    wanted = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    column = round(max(0, left - EDGE) * place.scale) - place.left
    row = round(max(0, top - EDGE) * place.scale) - place.top
    there = after[
        max(0, row - SLACK) : max(0, row + size[1] + SLACK),
        max(0, column - SLACK) : max(0, column + size[0] + SLACK),
    ]
    if there.shape[0] < size[1] or there.shape[1] < size[0]:
        return 0.0
    sigma = max(2.0, size[1] / 2)
    found = _detail(there, sigma)
    match = cv2.matchTemplate(found, _detail(wanted, sigma), cv2.TM_CCOEFF_NORMED)
    match[_spread(found, (size[0], size[1])) < FLAT] = 0.0
    return float(np.nan_to_num(match).max())


def _detail(picture: NDArray[np.generic], sigma: float) -> Gray:
    """Without what is larger than letters."""
    plain = np.asarray(picture, dtype=np.float32)
    return np.asarray(plain - cv2.GaussianBlur(plain, (0, 0), sigma), dtype=np.float32)


def _spread(picture: Gray, size: tuple[int, int]) -> Gray:
    """Standard deviation under every position of a window of that size."""
    mean = cv2.boxFilter(picture, -1, size, anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    square = cv2.boxFilter(picture**2, -1, size, anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    rows, columns = picture.shape[0] - size[1] + 1, picture.shape[1] - size[0] + 1
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    return np.asarray(spread[:rows, :columns], dtype=np.float32)
