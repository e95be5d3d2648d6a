"""Small planes of a frame: all that analysis ever looks at.

A frame is shrunk once to 160 pixels on its longer side, straight from the decoder's planes, and
its luma is put on the full scale. Everything after that costs the same for any picture size.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.source.reader import Planes

LONG_SIDE = 160
_SHORTEST = 32
_GREY = 128.0

Small = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]

# 16-235 to 0-255, for recordings of limited range
_STRETCH = np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallPlanes:
    """Upright luma on the full scale, and colour differences at half its size."""

    y: Small = field(repr=False)
    u: Small = field(repr=False)
    v: Small = field(repr=False)

    def thumb(self) -> Vector:
        """Luma and colour at a quarter of the size as one vector, in 8-bit steps."""
        height, width = self.y.shape
        size = (max(8, width // 4), max(8, height // 4))
        half = (max(4, size[0] // 2), max(4, size[1] // 2))
        parts = [cv2.resize(self.y, size, interpolation=cv2.INTER_AREA).ravel()]
        for plane in (self.u, self.v):
            parts.append(cv2.resize(plane, half, interpolation=cv2.INTER_AREA).ravel())
        return np.concatenate(parts).astype(np.float32)


def shrink(planes: Planes) -> SmallPlanes:
    """The small planes of a frame; copies, so the frame may go."""
    height, width = planes.y.shape
    scale = LONG_SIDE / max(height, width)
    size = (_side(width * scale), _side(height * scale))
    half = (size[0] // 2, size[1] // 2)
    y = cv2.resize(planes.y, size, interpolation=cv2.INTER_AREA)
    if not planes.full_range:
        y = cv2.LUT(y, _STRETCH)
    u, v = (cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (planes.u, planes.v))
    if planes.turns:
        y, u, v = (np.ascontiguousarray(np.rot90(plane, planes.turns)) for plane in (y, u, v))
    return SmallPlanes(y=_bytes(y), u=_bytes(u), v=_bytes(v))


def difference(before: SmallPlanes, now: SmallPlanes) -> tuple[float, float]:
    """Mean absolute difference of luma, and of all planes with colour counted double."""
    luma = cv2.norm(before.y, now.y, cv2.NORM_L1) / now.y.size
    colour = sum(
        cv2.norm(one, two, cv2.NORM_L1) / two.size
        for one, two in ((before.u, now.u), (before.v, now.v))
    )
    return luma, (luma + 2.0 * colour) / 3.0


def _side(length: float) -> int:
    return max(_SHORTEST, round(length / 2) * 2)


def _bytes(plane: npt.NDArray[np.generic]) -> Small:
    return np.asarray(plane, dtype=np.uint8)
