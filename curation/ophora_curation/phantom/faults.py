"""What goes wrong in a recording: frozen picture, defocus, black, camera turned to the room."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from ophora_curation.phantom.brush import Image
from ophora_curation.phantom.errors import InvalidRequest
from ophora_curation.phantom.texture import noise

FAULTS: Final[tuple[str, ...]] = ("freeze", "blur", "black", "out_of_body")


def apply_fault(stack: Image, fault: str, rng: np.random.Generator) -> None:
    """Spoil a whole segment in place."""
    match fault:
        case "freeze":
            stack[1:] = stack[0]
        case "blur":
            sigma = stack.shape[1] * float(rng.uniform(0.05, 0.07))
            for frame in stack:
                frame[...] = cv2.GaussianBlur(frame, (0, 0), sigma)
        case "black":
            stack[...] = rng.integers(0, 3, stack.shape, dtype=np.uint8)
        case "out_of_body":
            _room(stack, rng)
        case _:
            raise InvalidRequest(f"fault={fault!r}: must be one of {', '.join(FAULTS)}")


def _room(stack: Image, rng: np.random.Generator) -> None:
    """A theatre: green drapes, a wall, a lamp, and a head with cap and mask that moves."""
    frames, height, width, _ = stack.shape
    still = _walls(rng, height, width)
    size = height * float(rng.uniform(0.2, 0.26))
    start = np.array([width * rng.uniform(0.3, 0.7), height * rng.uniform(0.4, 0.5)])
    phase = rng.uniform(0, 6.28, 2)
    skin = np.array([214, 168, 140]) * float(rng.uniform(0.55, 1.05))
    for index in range(frames):
        frame = still.copy()
        turn = 0.35 * index + phase
        centre = start + size * 0.4 * np.sin(turn)
        _head(frame, centre, size, (int(skin[0]), int(skin[1]), int(skin[2])))
        grain = rng.normal(0, 2.0, (height, width, 1))
        stack[index] = np.clip(frame + grain, 0, 255).astype(np.uint8)


def _walls(rng: np.random.Generator, height: int, width: int) -> Image:
    wall = np.empty((height, width, 3), dtype=np.float32)
    wall[...] = (166, 178, 182)
    folds = noise(rng, (height, width), 6.0)
    drape = np.array((36, 112, 92), dtype=np.float32) * (1 + 0.35 * folds[..., None])
    line = int(height * 0.66)
    wall[line:] = drape[line:]
    image = np.clip(wall, 0, 255).astype(np.uint8)
    lamp = (int(width * rng.uniform(0.1, 0.9)), int(height * 0.1))
    cv2.ellipse(image, lamp, (width // 7, height // 9), 0, 0, 360, (250, 250, 240), -1, cv2.LINE_AA)
    return image


def _head(
    frame: Image,
    centre: np.ndarray[tuple[int], np.dtype[np.float64]],
    size: float,
    skin: tuple[int, int, int],
) -> None:
    x, y = int(centre[0]), int(centre[1])
    wide, tall = int(size * 0.75), int(size)

    def oval(
        spot: tuple[int, int], axes: tuple[int, int], colour: tuple[int, int, int], end: int = 360
    ) -> None:
        cv2.ellipse(frame, spot, axes, 0, 0, end, colour, -1, cv2.LINE_AA)

    oval((x, y + int(2.1 * tall)), (int(wide * 2.2), int(tall * 1.2)), (40, 120, 130))
    oval((x, y), (wide, tall), skin)
    cap = np.array([[x - wide, y - tall // 3], [x + wide, y - tall // 3], [x, y - int(1.3 * tall)]])
    oval((x, y - int(0.55 * tall)), (int(wide * 1.05), int(tall * 0.6)), (70, 150, 170))
    cv2.fillConvexPoly(frame, cap.astype(np.int32), (70, 150, 170), cv2.LINE_AA)
    oval((x, y + int(0.45 * tall)), (int(wide * 0.85), int(tall * 0.5)), (196, 220, 230))
    for side in (-1, 1):
        eye = (x + side * int(wide * 0.4), y - int(0.08 * tall))
        oval(eye, (max(1, int(wide * 0.17)), max(1, int(tall * 0.08))), (245, 245, 245))
        oval(eye, (max(1, int(wide * 0.08)), max(1, int(tall * 0.08))), (40, 30, 28))
        brow = (eye[0], eye[1] - int(0.18 * tall))
        oval(brow, (max(1, int(wide * 0.22)), max(1, int(tall * 0.04))), (60, 42, 34))
