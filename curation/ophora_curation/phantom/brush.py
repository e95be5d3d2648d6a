"""Anti-aliased drawing in eye units on a uint8 RGB canvas.

Eye units: the origin is the centre of the cornea, the limbus has radius 1, x to the right, y down.
A `View` carries the map from eye units to pixels of one frame, so that whatever is drawn
follows the eye.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ophora_curation.phantom.look import Colour

Image = NDArray[np.uint8]
Points = NDArray[np.float64]
SHIFT = 4  # cv2 sub-pixel bits


def unit(angle: float) -> Points:
    """The direction of an angle (clockwise on screen, 0 = right, pi/2 = down)."""
    return np.array([np.cos(angle), np.sin(angle)])


def ring(centre: ArrayLike, radius: float, start: float = 0.0, end: float = 2 * np.pi) -> Points:
    """Points along an arc."""
    count = max(8, int(40 * abs(end - start) / (2 * np.pi)))
    angles = np.linspace(start, end, count)
    return np.asarray(centre) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def bezier(*control: ArrayLike, count: int = 16) -> Points:
    """A Bezier curve of any order through its first and last control point."""
    time = np.linspace(0.0, 1.0, count)[:, None]
    points = [np.asarray(point, dtype=np.float64)[None, :] for point in control]
    while len(points) > 1:
        points = [a * (1 - time) + b * time for a, b in itertools.pairwise(points)]
    return points[0]


@dataclass(slots=True, kw_only=True)
class View:
    """One frame's canvas and its map from eye units to pixels."""

    image: Image
    matrix: NDArray[np.float64]  # 2 x 3, eye units -> pixels
    scale: float  # pixels per limbus radius

    def pixels(self, points: ArrayLike) -> Points:
        return np.asarray(points, dtype=np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def polygon(
        self, points: ArrayLike, colour: Colour, alpha: float = 1.0, blur: float = 0.0
    ) -> None:
        """A filled polygon; `blur` in eye units."""
        self._paint(self.pixels(points), None, colour, alpha, blur)

    def disc(
        self, centre: ArrayLike, radius: float, colour: Colour, alpha: float = 1.0, blur: float = 0
    ) -> None:
        self.polygon(ring(centre, radius), colour, alpha, blur)

    def stroke(
        self,
        points: ArrayLike,
        width: float,
        colour: Colour,
        alpha: float = 1.0,
        blur: float = 0.0,
    ) -> None:
        """An open line with a width in eye units; thinner than a pixel becomes fainter."""
        pixels = width * self.scale
        if pixels < 1.0:
            alpha *= max(pixels, 0.25)
        self._paint(self.pixels(points), max(1, round(pixels)), colour, alpha, blur)

    def tube(
        self,
        start: ArrayLike,
        end: ArrayLike,
        widths: tuple[float, float],
        shades: Sequence[Colour],
        alpha: float = 1.0,
    ) -> None:
        """A shaded straight shaft: `shades` from the dark edge to the bright streak."""
        a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        along = (b - a) / max(float(np.hypot(*(b - a))), 1e-6)
        across = np.array([-along[1], along[0]])
        side = across if across @ np.array([-0.6, -0.8]) > 0 else -across  # towards the lamp
        for layer, shade in enumerate(shades):
            share = 1.0 - layer / len(shades)
            offset = 0.34 * (1.0 - share)
            quad = [
                a + side * widths[0] * (offset + 0.5 * share),
                b + side * widths[1] * (offset + 0.5 * share),
                b + side * widths[1] * (offset - 0.5 * share),
                a + side * widths[0] * (offset - 0.5 * share),
            ]
            self.polygon(quad, shade, alpha)

    def glow(self, centre: ArrayLike, radius: float, colour: Colour, alpha: float) -> None:
        """A soft blob whose edge fades out."""
        self.disc(centre, radius * 0.6, colour, alpha, radius * 0.45)

    def _paint(
        self, points: Points, width: int | None, colour: Colour, alpha: float, blur: float
    ) -> None:
        fixed = np.round(points * (1 << SHIFT)).astype(np.int32)
        if alpha >= 0.999 and blur <= 0:
            _fill(self.image, fixed, width, colour)
            return
        sigma = blur * self.scale
        margin = int(3 * sigma + (width or 0) + 2)
        height, span = self.image.shape[:2]
        left = max(0, int(points[:, 0].min()) - margin)
        right = min(span, int(points[:, 0].max()) + margin + 2)
        top = max(0, int(points[:, 1].min()) - margin)
        bottom = min(height, int(points[:, 1].max()) + margin + 2)
        if right <= left or bottom <= top:
            return
        # A wide blur hides detail, so it is drawn and blurred on a coarser mask.
        coarse = max(1, int(sigma / 1.4))
        shape = (-(-(bottom - top) // coarse), -(-(right - left) // coarse))
        mask = np.zeros(shape, dtype=np.uint8)
        local = (points - np.array([left, top])) / coarse - (coarse - 1) / (2 * coarse)
        thick = None if width is None else max(1, round(width / coarse))
        _fill(mask, np.round(local * (1 << SHIFT)).astype(np.int32), thick, (255,))
        if sigma > 0.6:  # less is lost when the camera samples the canvas
            mask = cv2.GaussianBlur(mask, (0, 0), sigma / coarse).astype(np.uint8, copy=False)
        if coarse > 1:
            size = (shape[1] * coarse, shape[0] * coarse)
            mask = cv2.resize(mask, size).astype(np.uint8, copy=False)
        mask = mask[: bottom - top, : right - left]
        blend(self.image[top:bottom, left:right], mask, colour, alpha)


def _fill(
    image: NDArray[np.uint8],
    fixed: NDArray[np.int32],
    width: int | None,
    colour: tuple[float, ...],
) -> None:
    if width is None:
        cv2.fillPoly(image, [fixed], colour, cv2.LINE_AA, SHIFT)
    else:
        cv2.polylines(image, [fixed], False, colour, width, cv2.LINE_AA, SHIFT)


def blend(target: Image, mask: NDArray[np.uint8], colour: Colour, alpha: float) -> None:
    """Mix `colour` into `target` in place by `mask`/255 * alpha."""
    if alpha <= 0:
        return
    ink = [cv2.convertScaleAbs(mask, alpha=alpha * channel / 255.0) for channel in colour]
    clear = cv2.convertScaleAbs(mask, alpha=-alpha, beta=255.0)
    kept = cv2.multiply(target, cv2.merge([clear, clear, clear]), scale=1.0 / 255.0)
    target[...] = cv2.add(kept, cv2.merge(ink))
