"""Brushes of the generic motion: a canvas, soft masks, ellipses and named colours."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

FRAMES, HEIGHT, WIDTH = 9, 64, 96
SCALE = 2  # drawn at twice the size and area-averaged, so that edges are smooth
H, W = HEIGHT * SCALE, WIDTH * SCALE

Canvas = NDArray[np.float32]  # [H, W, 3]
Colour = tuple[float, float, float]
Draw = Callable[[Canvas, float], None]  # draws onto the canvas at a time in 0..1
Point = NDArray[np.float64]

COLOURS: dict[str, Colour] = {
    "red": (200, 40, 35),
    "orange": (225, 120, 40),
    "amber": (240, 180, 70),
    "yellow": (235, 220, 80),
    "green": (60, 140, 80),
    "teal": (60, 150, 150),
    "blue": (60, 95, 180),
    "violet": (130, 80, 170),
    "pink": (235, 160, 165),
    "brown": (100, 65, 35),
    "cream": (240, 228, 205),
    "white": (250, 250, 250),
    "grey": (140, 145, 150),
    "black": (18, 16, 18),
    "rose": (190, 100, 90),
    "crimson": (140, 25, 30),
}


def pick(rng: np.random.Generator) -> tuple[str, Colour]:
    """A colour name and a shade near it."""
    name = str(rng.choice(list(COLOURS)))
    red, green, blue = np.clip(np.array(COLOURS[name]) + rng.normal(0, 12, 3), 0, 255)
    return name, (float(red), float(green), float(blue))


def soft_mask(shape: Callable[[NDArray[np.uint8]], None], blur: float) -> Canvas:
    """[H, W, 1] in 0..1 of what `shape` fills, with its edge blurred by `blur` pixels."""
    mask = np.zeros((H, W), np.uint8)
    shape(mask)
    soft: Canvas = mask.astype(np.float32) / np.float32(255)
    if blur > 0.3:
        soft = cv2.GaussianBlur(soft, (0, 0), blur)
    return soft[..., None]


def blend(canvas: Canvas, mask: Canvas, colour: Colour | Canvas, alpha: float = 1.0) -> None:
    """Lays the colour over the canvas where the mask is."""
    canvas += mask * alpha * (np.asarray(colour, np.float32) - canvas)


def ellipse(
    canvas: Canvas,
    centre: NDArray[np.float64],
    radii: tuple[float, float],
    colour: Colour | Canvas,
    blur: float,
    alpha: float = 1.0,
) -> None:
    """A filled ellipse with a soft edge."""

    def shape(mask: NDArray[np.uint8]) -> None:
        axes = (max(1, int(radii[0] * 8)), max(1, int(radii[1] * 8)))
        cv2.ellipse(
            mask, (int(centre[0] * 8), int(centre[1] * 8)), axes, 0, 0, 360, 255, -1, cv2.LINE_AA, 3
        )

    blend(canvas, soft_mask(shape, blur), colour, alpha)


def near_centre(rng: np.random.Generator, spread: float = 0.18) -> Point:
    """A random point near the middle of the frame."""
    return np.array(
        [W * (0.5 + rng.uniform(-spread, spread)), H * (0.5 + rng.uniform(-spread, spread))]
    )
