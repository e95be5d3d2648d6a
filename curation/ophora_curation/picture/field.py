"""The microscope's own picture inside a recording: a round field of view, or bars around it.

    a shot's brightest luma -> what is ever lit -> its largest piece -> box or ellipse -> Field

What lies outside is black, or black with a patient's data on it; cutting it off is the safest way
to hide it. A shape that is not clear gives no field, and nothing is cut.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
Small = npt.NDArray[np.uint8]  # [height, width] luma
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Shares = tuple[float, float, float, float]

_DARKEST_LIT, _BRIGHTEST_DARK = 16.0, 40.0  # luma between which lit and dark are told apart
_DARK_SHARE = 0.22  # of the bright parts' luma
_STROKE = 5  # pixels of small luma; thinner than it is text, not the field
_MIN_AREA = 0.12  # of the picture; a smaller lit piece is no field
_MIN_CUT = 0.015  # of the picture; less than that is not worth cutting
_MIN_MATCH = 0.95  # of the lit piece and the shape, intersection over union
_MAX_LIT_OUTSIDE = 0.15  # of what would be cut; more means the shape is not the field
_CIRCLE_LEAD = 0.01  # a box has to match better than an ellipse by no more than this
_FALL = 0.35  # luma just outside to just inside, at most: a vignette falls off slowly
_INSET = 0.5  # pixels of small luma that the shape is drawn in by: its edge is soft


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Where the field of view lies, in shares of the picture's width and height.

    `box` bounds what is kept: left, top, right, bottom. `ellipse` is centre x and y and radius x
    and y of a round field; it may reach beyond the picture. None for a box.
    """

    kind: Literal["circle", "box"]
    box: Shares
    ellipse: Shares | None = None

    def apply(self, picture: Picture) -> Picture:
        """The picture cut to the box, sides even, black outside the ellipse; contiguous, a copy.

        All pictures of one size come out in one size.
        """
        height, width = picture.shape[:2]
        left, right = _even(self.box[0] * width, self.box[2] * width)
        top, bottom = _even(self.box[1] * height, self.box[3] * height)
        cut = np.ascontiguousarray(picture[top:bottom, left:right])
        if self.ellipse is None:
            return cut.copy() if cut.base is not None or cut is picture else cut
        lit = _inside(self.ellipse, width, height)[top:bottom, left:right]
        return np.asarray(cv2.bitwise_and(cut, cut, mask=np.ascontiguousarray(lit)), dtype=np.uint8)


def find_field(brightest: Small | None) -> Field | None:
    """The field of view of a shot, from the brightest luma each place reaches in it, upright.

    None when the picture is lit up to its edges, when the shape is neither round nor a box, and
    when there is nothing to look at.
    """
    if brightest is None or min(brightest.shape) < 4 * _STROKE:
        return None
    lit = _lit(brightest)
    piece = _largest_piece(lit)
    if piece is None or 1 - piece.mean() < _MIN_CUT:
        return None
    rows, columns = np.flatnonzero(piece.any(axis=1)), np.flatnonzero(piece.any(axis=0))
    bounds = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    field, match = _best(piece, bounds)
    if match < _MIN_MATCH:
        return None
    kept = _region(field, piece.shape)
    outside = ~kept
    if outside.mean() < _MIN_CUT or lit[outside].mean() > _MAX_LIT_OUTSIDE:
        return None
    return field if _has_edge(brightest, kept) else None


def _lit(luma: Small) -> Flags:
    bright = float(np.percentile(luma, 90))
    level = min(max(_DARK_SHARE * bright, _DARKEST_LIT), _BRIGHTEST_DARK)
    return np.asarray(luma > level, dtype=np.bool_)


def _has_edge(luma: Small, kept: Flags) -> bool:
    """Whether light ends at the edge of what is kept, from one pixel to the next but one."""
    mask = kept.astype(np.uint8)
    near, far = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)
    within = (cv2.erode(mask, near) > 0) & (cv2.erode(mask, far) == 0)
    beyond = (cv2.dilate(mask, near) == 0) & (cv2.dilate(mask, far) > 0)
    if not within.any() or not beyond.any():
        return False
    return bool(np.median(luma[beyond]) <= _FALL * np.median(luma[within]))


def _largest_piece(lit: Flags) -> Flags | None:
    """The largest lit piece without thin strokes on it and without holes in it."""
    kernel = np.ones((_STROKE, _STROKE), np.uint8)
    padded = np.pad(lit.astype(np.uint8), _STROKE, mode="edge")
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)
    mask = np.ascontiguousarray(opened[_STROKE:-_STROKE, _STROKE:-_STROKE])
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, [max(contours, key=cv2.contourArea)], -1, 1, -1)
    return filled > 0 if filled.mean() >= _MIN_AREA else None


def _best(piece: Flags, bounds: tuple[int, int, int, int]) -> tuple[Field, float]:
    """The box or the ellipse, whichever matches the piece better, and how well it does."""
    height, width = piece.shape
    box = Field(kind="box", box=_shares(bounds, width, height))
    best, match = box, _match(piece, box) - _CIRCLE_LEAD
    for fitted in _ellipses(piece, bounds):
        round_box = _clip(fitted, bounds)
        if round_box[2] - round_box[0] < _STROKE or round_box[3] - round_box[1] < _STROKE:
            continue
        centre_x, centre_y, radius_x, radius_y = fitted
        ellipse = (centre_x / width, centre_y / height, radius_x / width, radius_y / height)
        field = Field(kind="circle", box=_shares(round_box, width, height), ellipse=ellipse)
        found = _match(piece, field)
        if found > match:
            best, match = field, found
    return best, match + (_CIRCLE_LEAD if best is box else 0.0)


def _match(piece: Flags, field: Field) -> float:
    kept = _region(field, piece.shape)
    return float((piece & kept).sum() / max(1, (piece | kept).sum()))


def _region(field: Field, shape: tuple[int, ...]) -> Flags:
    """Pixels of the small luma that the field keeps."""
    height, width = shape[:2]
    left, top, right, bottom = field.box
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    kept = ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))
    if field.ellipse is not None:
        kept &= _inside(field.ellipse, width, height) > 0
    return np.asarray(kept, dtype=np.bool_)


def _ellipses(piece: Flags, bounds: tuple[int, int, int, int]) -> list[Shares]:
    """A circle and an upright ellipse through the piece's edge, in pixels."""
    contours, _ = cv2.findContours(piece.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = contours[0][:, 0, :].astype(np.float64)
    left, top, right, bottom = bounds
    x, y = points.T
    # a straight side of the bounds may be the picture's own edge, which says nothing of the field
    free = (x > left) & (x < right - 1) & (y > top) & (y < bottom - 1)
    points = points[free] + 0.5  # of a pixel: its middle
    if len(points) < 20:
        return []
    fitted = (_fit(points, is_circle=True), _fit(points, is_circle=False))
    return [one for one in fitted if one is not None]


def _fit(points: Floats, *, is_circle: bool) -> Shares | None:
    """Centre and radii by least squares; points that lie far off are left out and it is redone."""
    shape = _solve(points, is_circle=is_circle)
    for _ in range(2):
        if shape is None:
            return None
        scaled = (points - shape[:2]) / shape[2:]
        off = np.abs(np.hypot(scaled[:, 0], scaled[:, 1]) - 1)
        kept = points[off <= max(0.03, float(np.quantile(off, 0.7)))]
        shape = _solve(kept, is_circle=is_circle)
    if shape is None:
        return None
    centre_x, centre_y, radius_x, radius_y = (float(value) for value in shape)
    return centre_x, centre_y, radius_x + 0.5 - _INSET, radius_y + 0.5 - _INSET


def _solve(points: Floats, *, is_circle: bool) -> Floats | None:
    """a x^2 + c y^2 + d x + e y = 1 about the points' mean, with a = c for a circle."""
    middle = points.mean(axis=0)
    x, y = (points - middle).T
    square = (x * x + y * y,) if is_circle else (x * x, y * y)
    answer = np.linalg.lstsq(np.stack([*square, x, y], axis=1), np.ones(len(x)), rcond=None)[0]
    a, c = (answer[0], answer[0]) if is_circle else (answer[0], answer[1])
    if a <= 0 or c <= 0:
        return None
    d, e = answer[-2:]
    size = 1 + d * d / (4 * a) + e * e / (4 * c)
    centre = middle + np.array([-d / (2 * a), -e / (2 * c)])
    return np.array([*centre, np.sqrt(size / a), np.sqrt(size / c)])


def _clip(ellipse: Shares, bounds: tuple[int, int, int, int]) -> Shares:
    """The part of the bounds that the ellipse reaches."""
    x, y, radius_x, radius_y = ellipse
    left, top, right, bottom = bounds
    return (
        max(left, x - radius_x),
        max(top, y - radius_y),
        min(right, x + radius_x),
        min(bottom, y + radius_y),
    )


def _shares(box: tuple[float, float, float, float], width: int, height: int) -> Shares:
    """The box in shares, drawn in where it does not lie on the picture's edge."""
    left, top, right, bottom = box
    return (
        (left + _INSET) / width if left > 0 else 0.0,
        (top + _INSET) / height if top > 0 else 0.0,
        (right - _INSET) / width if right < width else 1.0,
        (bottom - _INSET) / height if bottom < height else 1.0,
    )


def _even(first: float, last: float) -> tuple[int, int]:
    """A pixel range of even length inside the given one."""
    begin, end = int(np.ceil(first - 1e-6)), int(np.floor(last + 1e-6))
    return begin, end - (end - begin) % 2


@lru_cache(maxsize=4)
def _inside(ellipse: Shares, width: int, height: int) -> Small:
    """1 inside the ellipse and 0 outside: uint8 [height, width]."""
    x = ((np.arange(width) + 0.5) / width - ellipse[0]) / ellipse[2]
    y = ((np.arange(height) + 0.5) / height - ellipse[1]) / ellipse[3]
    return np.asarray((y * y)[:, None] + x * x <= 1, dtype=np.uint8)
