"""A transparent sheet that a recorder writes on and lays over its pictures.

Drawn finer than the picture and averaged down, so that small letters stay legible. It keeps the
box of every line it writes: the ground truth of what must not be left in a clip.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.brush import Image

FONT = cv2.FONT_HERSHEY_SIMPLEX
FINE = 4  # drawn this much larger, then averaged down

Colour = tuple[int, int, int]
PixelBox = tuple[int, int, int, int]  # left, top, right, bottom; the last two just outside


class Panel:
    """One sheet for pictures of `height` x `width`; `finish` before `lay`."""

    def __init__(self, height: int, width: int) -> None:
        shape = (height * FINE, width * FINE)
        self._sheet: Image = np.zeros((*shape, 3), dtype=np.uint8)
        self._opacity = np.zeros(shape, dtype=np.float32)
        self._lines: list[PixelBox] = []
        self._area: tuple[slice, slice] = (slice(0, 0), slice(0, 0))
        self._weight = np.zeros((0, 0, 1), dtype=np.float32)

    @property
    def boxes(self) -> tuple[PixelBox, ...]:
        """Of every line, in pixels of the picture."""
        return tuple(self._lines)

    def box(
        self, place: tuple[float, float, float, float], colour: Colour, strength: float
    ) -> None:
        """Fill left, top, right, bottom (shares of the picture)."""
        rows, columns = self._opacity.shape
        across = slice(round(place[0] * columns), round(place[2] * columns))
        down = slice(round(place[1] * rows), round(place[3] * rows))
        self._sheet[down, across] = colour
        self._opacity[down, across] = strength

    def dot(self, place: tuple[float, float], size: float, colour: Colour) -> None:
        """A disc; `size` is its radius as a share of the height."""
        rows, columns = self._opacity.shape
        centre = (int(place[0] * columns), int(place[1] * rows))
        cv2.circle(self._sheet, centre, int(size * rows), colour, -1, cv2.LINE_AA)

    def write(
        self,
        text: str,
        place: tuple[float, float],
        size: float,
        colour: Colour,
        strength: float = 1.0,
    ) -> None:
        """`place` is the left end of the base line, `size` the capitals' height, all shares."""
        rows, columns = self._opacity.shape
        scale, thick = _fit(size * rows)
        spot = (round(place[0] * columns), round(place[1] * rows))
        cv2.putText(self._sheet, text, spot, FONT, scale, colour, thick, cv2.LINE_AA)
        ink = np.zeros(self._opacity.shape, dtype=np.uint8)
        cv2.putText(ink, text, spot, FONT, scale, 255, thick, cv2.LINE_AA)
        cover = ink.astype(np.float32) * np.float32(strength) / 255.0
        np.maximum(self._opacity, cover, out=self._opacity)
        self._lines.append(_extent(ink))

    def finish(self) -> Panel:
        """Average down to the picture's size; returns itself."""
        size = (self._sheet.shape[1] // FINE, self._sheet.shape[0] // FINE)
        small = cv2.resize(self._sheet, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        veil = cv2.resize(self._opacity, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        rows, columns = np.flatnonzero(veil.any(axis=1)), np.flatnonzero(veil.any(axis=0))
        if len(rows):
            self._area = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        self._sheet = small[self._area].copy()
        self._weight = veil[self._area][..., None].copy()
        self._opacity = np.zeros((0, 0), dtype=np.float32)
        return self

    def lay(self, frame: Image) -> None:
        """Mix the sheet into `frame` in place, where anything is drawn."""
        part = frame[self._area]
        part[...] = (part * (1 - self._weight) + self._sheet * self._weight).astype(np.uint8)


def text_width(text: str, size: float, height: int) -> int:
    """Pixels that `text` takes across, in a picture of that height."""
    scale, thick = _fit(size * height * FINE)
    return int(cv2.getTextSize(text, FONT, scale, thick)[0][0]) // FINE + 1


def _fit(capital: float) -> tuple[float, int]:
    """Scale and stroke of letters whose capitals are so many fine pixels high."""
    unit = cv2.getTextSize("H", FONT, 1.0, 1)[0][1]
    return capital / unit * 0.92, max(1, round(capital / 8))


def _extent(ink: NDArray[np.uint8]) -> PixelBox:
    """Where there is ink, in pixels of the picture; empty where the text fell outside."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return (0, 0, 0, 0)
    left, top = int(columns[0]) // FINE, int(rows[0]) // FINE
    return (left, top, int(columns[-1]) // FINE + 1, int(rows[-1]) // FINE + 1)
