"""What a recorder does to finished pictures: a round field on black, a turn, an uneven rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from ophora_curation.phantom.brush import Image

LEFT_OUT, REPEATED = 0.08, 0.08  # of the frames at an uneven rate


def mask_field(stack: Image, rng: np.random.Generator) -> None:
    """Black out all but the round picture of a microscope, in place."""
    _, height, width, _ = stack.shape
    radius = height * float(rng.uniform(0.47, 0.495))
    fine = 16  # positions in sixteenths of a pixel
    centre = (round(width / 2 * fine), round(height / 2 * fine))
    disc = np.zeros((height, width), dtype=np.uint8)
    cv2.circle(disc, centre, round(radius * fine), 255, -1, cv2.LINE_AA, 4)
    veil = cv2.merge([disc, disc, disc])
    for frame in stack:
        cv2.multiply(frame, veil, dst=frame, scale=1.0 / 255.0)


def turn(frames: Iterable[Image], rotation: int) -> Iterator[Image]:
    """Frames as they are stored where a player turns them by `rotation` degrees."""
    for frame in frames:
        yield np.ascontiguousarray(np.rot90(frame, -rotation // 90)) if rotation else frame


def uneven(frames: Iterable[Image], rng: np.random.Generator) -> Iterator[tuple[int, Image]]:
    """Frames with their numbers; some are left out, some show the one before once more."""
    shown: Image | None = None
    for index, frame in enumerate(frames):
        dice = float(rng.random())
        if shown is not None and dice < LEFT_OUT:
            continue
        shown = shown if shown is not None and dice < LEFT_OUT + REPEATED else frame
        yield index, shown
