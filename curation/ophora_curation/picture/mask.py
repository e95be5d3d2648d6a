"""Hiding what must not be seen: flat rectangles, never blur, because blur can be undone."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ophora_curation.store.records import Box

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
_FILL = (0, 0, 0)
_MARGIN = 0.4  # of a box's height, on every side: detectors cut ascenders and first letters
_MIN_MARGIN = 4  # pixels
_PANEL_GAP = 4.0  # of the higher box: lines of one panel stand so near, with some between unseen
_PANEL_SHARE = 0.5  # of the narrower box, that lies under or over the other


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


def panel_masks(boxes: Sequence[Box], size: tuple[int, int]) -> list[Box]:
    """Masks over found lines, each with its margin, and over what lies between two of a panel.

    A line that crosses an instrument may not be found where those over and under it are.
    """
    ordered = sorted(boxes, key=lambda box: box[1])
    masks = [grown(box, size) for box in ordered]
    between = []
    for number, upper in enumerate(ordered):
        for lower in ordered[number + 1 :]:
            if _same_panel(upper, lower):
                sides = [grown(box, size) for box in (upper, lower)]
                left, right = min(side[0] for side in sides), max(side[2] for side in sides)
                between.append((left, upper[3], right, lower[1]))
    return masks + between


def _same_panel(upper: Box, lower: Box) -> bool:
    """Whether two boxes stand over each other with room for lines between them."""
    gap = lower[1] - upper[3]
    highest = max(upper[3] - upper[1], lower[3] - lower[1])
    shared = min(upper[2], lower[2]) - max(upper[0], lower[0])
    narrower = min(upper[2] - upper[0], lower[2] - lower[0])
    return 0 < gap <= _PANEL_GAP * highest and shared >= _PANEL_SHARE * narrower


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
