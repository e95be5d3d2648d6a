"""What recorders burn into the picture: device read-outs, a logo, or a patient's data.

`device` and `logo` are harmless; `personal` carries a name, a record number and a date. Each
covers enough of the picture to be seen at 96 x 64.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.brush import Image
from ophora_curation.phantom.errors import InvalidRequest
from ophora_curation.phantom.identity import Person, invent_person

OVERLAYS: Final[tuple[str, ...]] = ("none", "device", "logo", "personal")
BRANDS: Final[tuple[str, ...]] = ("OCUVISTA", "SURGICAM", "LUMORA HD", "PHAKION", "VERIDEX")
FONT = cv2.FONT_HERSHEY_SIMPLEX
FINE = 4  # drawn this much larger, then averaged down

Colour = tuple[int, int, int]


def draw_overlay(
    stack: Image, kind: str, rng: np.random.Generator, person: Person | None = None
) -> str:
    """Burn an overlay of `kind` into all frames of `stack` in place; returns its text."""
    if kind not in OVERLAYS:
        raise InvalidRequest(f"overlay={kind!r}: must be one of {', '.join(OVERLAYS)}")
    if kind == "none":
        return ""
    _, height, width, _ = stack.shape
    if kind == "device":
        return _device(stack, rng)
    panel, opacity, text = (
        _logo(rng, height, width)
        if kind == "logo"
        else _personal(rng, height, width, person or invent_person(rng))
    )
    for frame in stack:
        _lay(frame, panel, opacity)
    return text


def _device(stack: Image, rng: np.random.Generator) -> str:
    """A read-out along one edge whose figures change about once a second."""
    frames, height, width, _ = stack.shape
    place = DEVICES[int(rng.integers(len(DEVICES)))]
    power, vacuum, flow = (int(value) for value in rng.integers([5, 90, 18], [80, 480, 46]))
    first = ""
    layer: tuple[Image, NDArray[np.float32]] | None = None
    step = max(1, frames // 6)
    for index in range(frames):
        if index % step == 0 or layer is None:
            wobble = rng.integers(-4, 5, 3)
            figures = (power + int(wobble[0]), vacuum + 5 * int(wobble[1]), flow + int(wobble[2]))
            panel, opacity, text = place(height, width, figures)
            layer, first = (panel, opacity), first or text
        _lay(stack[index], *layer)
    return first


def _bottom_bar(
    height: int, width: int, figures: tuple[int, int, int]
) -> tuple[Image, NDArray[np.float32], str]:
    panel, opacity = _sheet(height, width)
    _box(panel, opacity, (0.0, 0.80, 1.0, 1.0), (10, 22, 60), 0.92)
    names = ("PHACO", "VAC", "FLOW")
    shades: tuple[Colour, ...] = ((255, 226, 60), (80, 255, 120), (90, 220, 255))
    for column, (name, figure) in enumerate(zip(names, figures, strict=True)):
        left = 0.02 + 0.34 * column
        _write(panel, opacity, f"{name} {figure}", (left, 0.94), 0.085, shades[column])
    text = " ".join(f"{n} {f}" for n, f in zip(names, figures, strict=True))
    return _down(panel, opacity, text)


def _side_panel(
    height: int, width: int, figures: tuple[int, int, int]
) -> tuple[Image, NDArray[np.float32], str]:
    panel, opacity = _sheet(height, width)
    _box(panel, opacity, (0.78, 0.04, 0.99, 0.72), (16, 16, 20), 0.9)
    names = ("US %", "mmHg", "cc/m")
    shades: tuple[Colour, ...] = ((255, 190, 60), (90, 230, 255), (140, 255, 140))
    for row, (name, figure) in enumerate(zip(names, figures, strict=True)):
        top = 0.14 + 0.215 * row
        _write(panel, opacity, name, (0.795, top), 0.075, (235, 235, 235))
        _write(panel, opacity, str(figure), (0.80, top + 0.105), 0.1, shades[row])
    text = " ".join(f"{n} {f}" for n, f in zip(names, figures, strict=True))
    return _down(panel, opacity, text)


DEVICES: Final[tuple[Callable[..., tuple[Image, NDArray[np.float32], str]], ...]] = (
    _bottom_bar,
    _side_panel,
)


def _logo(
    rng: np.random.Generator, height: int, width: int
) -> tuple[Image, NDArray[np.float32], str]:
    panel, opacity = _sheet(height, width)
    brand = BRANDS[int(rng.integers(len(BRANDS)))]
    shade: Colour = ((0, 150, 70), (230, 90, 0), (20, 80, 220))[int(rng.integers(3))]
    left = 0.03 if rng.random() < 0.5 else 0.55
    _box(panel, opacity, (left, 0.04, left + 0.42, 0.22), (250, 250, 250), 0.96)
    _box(panel, opacity, (left + 0.01, 0.06, left + 0.1, 0.2), shade, 1.0)
    rows, columns = panel.shape[:2]
    centre = (int((left + 0.055) * columns), int(0.13 * rows))
    cv2.circle(panel, centre, int(0.04 * rows), (255, 255, 255), -1, cv2.LINE_AA)
    _write(panel, opacity, brand, (left + 0.115, 0.165), 0.08, shade)
    return _down(panel, opacity, brand)


PERSONAL_LINES: Final = MappingProxyType({"top": 0.09, "bottom": 0.77})


def _personal(
    rng: np.random.Generator, height: int, width: int, person: Person
) -> tuple[Image, NDArray[np.float32], str]:
    panel, opacity = _sheet(height, width)
    top = PERSONAL_LINES["top" if rng.random() < 0.5 else "bottom"]
    _box(panel, opacity, (0.0, top - 0.09, 0.62, top + 0.23), (0, 0, 0), 0.75)
    facts = person.facts()
    lines = (
        f"{person.last.upper()}, {person.first}",
        f"MRN {facts['mrn']}",
        f"DOB {facts['birth']}",
    )
    for row, line in enumerate(lines):
        _write(panel, opacity, line, (0.02, top + 0.1 * row), 0.08, (255, 255, 255))
    return _down(panel, opacity, " ".join(lines))


def _sheet(height: int, width: int) -> tuple[Image, NDArray[np.float32]]:
    shape = (height * FINE, width * FINE)
    return np.zeros((*shape, 3), dtype=np.uint8), np.zeros(shape, dtype=np.float32)


def _box(
    panel: Image,
    opacity: NDArray[np.float32],
    box: tuple[float, float, float, float],
    colour: Colour,
    strength: float,
) -> None:
    rows, columns = opacity.shape
    across = slice(round(box[0] * columns), round(box[2] * columns))
    down = slice(round(box[1] * rows), round(box[3] * rows))
    panel[down, across] = colour
    opacity[down, across] = strength


def _write(
    panel: Image,
    opacity: NDArray[np.float32],
    text: str,
    place: tuple[float, float],
    size: float,
    colour: Colour,
) -> None:
    """`place` is the left end of the base line, `size` the capitals' height, both as shares."""
    rows, columns = opacity.shape
    capital = cv2.getTextSize("H", FONT, 1.0, 1)[0][1]
    scale = size * rows / capital * 0.92
    thick = max(1, round(size * rows / 8))
    spot = (round(place[0] * columns), round(place[1] * rows))
    cv2.putText(panel, text, spot, FONT, scale, colour, thick, cv2.LINE_AA)
    ink = np.zeros(opacity.shape, dtype=np.uint8)
    cv2.putText(ink, text, spot, FONT, scale, 255, thick, cv2.LINE_AA)
    np.maximum(opacity, ink.astype(np.float32) / 255.0, out=opacity)


def _down(
    panel: Image, opacity: NDArray[np.float32], text: str
) -> tuple[Image, NDArray[np.float32], str]:
    size = (panel.shape[1] // FINE, panel.shape[0] // FINE)
    small = cv2.resize(panel, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    veil = cv2.resize(opacity, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return small, veil, text


def _lay(frame: Image, panel: Image, opacity: NDArray[np.float32]) -> None:
    weight = opacity[..., None]
    frame[...] = (frame * (1 - weight) + panel * weight).astype(np.uint8)
