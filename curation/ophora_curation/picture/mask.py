"""Hiding what must not be seen: flat rectangles, never blur, because blur can be undone."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ophora_curation.store.records import Box

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
_FILL = (0, 0, 0)
_MARGIN = 0.4  # of a box's height, on every side: detectors cut ascenders and first letters
_MIN_MARGIN = 4  # pixels


def grown(box: Box, size: tuple[int, int]) -> Box:
    """A box with its margin, inside a picture of `size` (width, height)."""
    left, top, right, bottom = box
    margin = max(_MIN_MARGIN, round(_MARGIN * (bottom - top)))
    wide = 2 * margin  # a line goes on sideways more often than upwards
    return (
        max(0, left - wide),
        max(0, top - margin),
        min(size[0], right + wide),
        min(size[1], bottom + margin),
    )


def fill(picture: Picture, boxes: Iterable[Box]) -> Picture:
    """A copy of an RGB picture with flat rectangles; the picture itself stays as it is."""
    masked = picture.copy()
    for left, top, right, bottom in boxes:
        masked[top:bottom, left:right] = _FILL
    return masked


def covered_share(boxes: Sequence[Box], size: tuple[int, int]) -> float:
    """The share of a picture of `size` (width, height) that the boxes cover together."""
    width, height = size
    covered = np.zeros((height, width), bool)
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] = True
    return float(covered.mean())
