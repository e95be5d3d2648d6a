"""What recorders burn into the picture: device read-outs, a logo, or a patient's data.

`device` and `logo` are harmless; `personal` carries a name, a record number and a date, and in its
varied form also age, hospital and phone (patient_overlay.py). Each covers enough of the picture to
be seen at 96 x 64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from ophora_curation.phantom.brush import Image
from ophora_curation.phantom.errors import InvalidRequest
from ophora_curation.phantom.identity import Person, invent_person
from ophora_curation.phantom.panel import Colour, Panel, PixelBox

OVERLAYS: Final[tuple[str, ...]] = ("none", "device", "logo", "personal")
BRANDS: Final[tuple[str, ...]] = ("OCUVISTA", "SURGICAM", "LUMORA HD", "PHAKION", "VERIDEX")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was burned in: its text, a box for each line, and the frames [first, last) it is in."""

    text: str = ""
    boxes: tuple[PixelBox, ...] = ()
    frames: tuple[int, int] = (0, 0)


def draw_overlay(
    stack: Image, kind: str, rng: np.random.Generator, person: Person | None = None
) -> Drawn:
    """Burn an overlay of `kind` into all frames of `stack` in place; says what was drawn."""
    if kind not in OVERLAYS:
        raise InvalidRequest(f"overlay={kind!r}: must be one of {', '.join(OVERLAYS)}")
    if kind == "none":
        return Drawn()
    frames, height, width, _ = stack.shape
    if kind == "device":
        return _device(stack, rng)
    panel, text = (
        _logo(rng, height, width)
        if kind == "logo"
        else _personal(rng, height, width, person or invent_person(rng))
    )
    for frame in stack:
        panel.lay(frame)
    return Drawn(text=text, boxes=panel.boxes, frames=(0, frames))


def _device(stack: Image, rng: np.random.Generator) -> Drawn:
    """A read-out along one edge whose figures change about once a second."""
    frames, height, width, _ = stack.shape
    place = DEVICES[int(rng.integers(len(DEVICES)))]
    power, vacuum, flow = (int(value) for value in rng.integers([5, 90, 18], [80, 480, 46]))
    first = Drawn()
    panel: Panel | None = None
    step = max(1, frames // 6)
    for index in range(frames):
        if index % step == 0 or panel is None:
            wobble = rng.integers(-4, 5, 3)
            figures = (power + int(wobble[0]), vacuum + 5 * int(wobble[1]), flow + int(wobble[2]))
            panel, text = place(height, width, figures)
            first = first if index else Drawn(text=text, boxes=panel.boxes, frames=(0, frames))
        panel.lay(stack[index])
    return first


def _bottom_bar(height: int, width: int, figures: tuple[int, int, int]) -> tuple[Panel, str]:
    panel = Panel(height, width)
    panel.box((0.0, 0.80, 1.0, 1.0), (10, 22, 60), 0.92)
    names = ("PHACO", "VAC", "FLOW")
    shades: tuple[Colour, ...] = ((255, 226, 60), (80, 255, 120), (90, 220, 255))
    for column, (name, figure) in enumerate(zip(names, figures, strict=True)):
        left = 0.02 + 0.34 * column
        panel.write(f"{name} {figure}", (left, 0.94), 0.085, shades[column])
    text = " ".join(f"{n} {f}" for n, f in zip(names, figures, strict=True))
    return panel.finish(), text


def _side_panel(height: int, width: int, figures: tuple[int, int, int]) -> tuple[Panel, str]:
    panel = Panel(height, width)
    panel.box((0.78, 0.04, 0.99, 0.72), (16, 16, 20), 0.9)
    names = ("US %", "mmHg", "cc/m")
    shades: tuple[Colour, ...] = ((255, 190, 60), (90, 230, 255), (140, 255, 140))
    for row, (name, figure) in enumerate(zip(names, figures, strict=True)):
        top = 0.14 + 0.215 * row
        panel.write(name, (0.795, top), 0.075, (235, 235, 235))
        panel.write(str(figure), (0.80, top + 0.105), 0.1, shades[row])
    text = " ".join(f"{n} {f}" for n, f in zip(names, figures, strict=True))
    return panel.finish(), text


DEVICES: Final[tuple[Callable[..., tuple[Panel, str]], ...]] = (_bottom_bar, _side_panel)


def _logo(rng: np.random.Generator, height: int, width: int) -> tuple[Panel, str]:
    panel = Panel(height, width)
    brand = BRANDS[int(rng.integers(len(BRANDS)))]
    shade: Colour = ((0, 150, 70), (230, 90, 0), (20, 80, 220))[int(rng.integers(3))]
    left = 0.03 if rng.random() < 0.5 else 0.55
    panel.box((left, 0.04, left + 0.42, 0.22), (250, 250, 250), 0.96)
    panel.box((left + 0.01, 0.06, left + 0.1, 0.2), shade, 1.0)
    panel.dot((left + 0.055, 0.13), 0.04, (255, 255, 255))
    panel.write(brand, (left + 0.115, 0.165), 0.08, shade)
    return panel.finish(), brand


PERSONAL_LINES: Final = MappingProxyType({"top": 0.09, "bottom": 0.77})


def _personal(
    rng: np.random.Generator, height: int, width: int, person: Person
) -> tuple[Panel, str]:
    panel = Panel(height, width)
    top = PERSONAL_LINES["top" if rng.random() < 0.5 else "bottom"]
    panel.box((0.0, top - 0.09, 0.62, top + 0.23), (0, 0, 0), 0.75)
    facts = person.facts()
    lines = (
        f"{person.last.upper()}, {person.first}",
        f"MRN {facts['mrn']}",
        f"DOB {facts['birth']}",
    )
    for row, line in enumerate(lines):
        panel.write(line, (0.02, top + 0.1 * row), 0.08, (255, 255, 255))
    return panel.finish(), " ".join(lines)
