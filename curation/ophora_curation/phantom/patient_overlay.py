"""A patient's data as many recorders burn it in: small, in a corner, faint or only for a moment.

Six lines at most (name, record number, date of birth, age, hospital, phone), in 12 to 20 px at
720 x 480, white, yellow or grey, on a box or on nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ophora_curation.phantom.brush import Image
from ophora_curation.phantom.identity import Person
from ophora_curation.phantom.overlay import Drawn
from ophora_curation.phantom.panel import Colour, Panel, text_width

COLOURS: Final[tuple[Colour, ...]] = ((255, 255, 255), (255, 236, 60), (190, 190, 190))
CAPITAL = 0.72  # of a letter's nominal size
LINE = 1.45  # from base line to base line, in nominal sizes
SMALLEST, LARGEST = 12.0, 20.0  # px at 480 rows
FAINT = 0.55
SHORT_S = 1.0


def draw_patient(stack: Image, rng: np.random.Generator, person: Person, *, fps: float) -> Drawn:
    """Burn the person's data into `stack` in place; says what was drawn and in which frames."""
    frames, height, width, _ = stack.shape
    lines = _lines(rng, person)
    panel = _written(rng, lines, height, width)
    first, last = 0, frames
    if rng.random() < 0.2:
        length = min(frames, max(2, round(SHORT_S * fps)))
        first = int(rng.integers(0, frames - length + 1))
        last = first + length
    for frame in stack[first:last]:
        panel.lay(frame)
    return Drawn(text="\n".join(lines), boxes=panel.boxes, frames=(first, last))


def _lines(rng: np.random.Generator, person: Person) -> list[str]:
    facts = person.facts()
    every = [
        f"{person.last.upper()}, {person.first}",
        f"MRN {person.mrn}" if rng.random() < 0.5 else f"ID: {person.mrn}",
        f"DOB {facts['birth']}" if rng.random() < 0.5 else person.born.strftime("%Y-%m-%d"),
        f"Age {facts['age']}",
        person.hospital,
        f"Tel {person.phone}",
    ]
    if rng.random() < 0.5:
        return every
    return [line for line in every if rng.random() < 0.5] or every[:3]


def _written(rng: np.random.Generator, lines: list[str], height: int, width: int) -> Panel:
    size = float(rng.uniform(SMALLEST, LARGEST)) / 480.0  # shares of the height
    colour = COLOURS[int(rng.integers(len(COLOURS)))]
    strength = FAINT if rng.random() < 0.25 else 1.0
    widest = max(text_width(line, size * CAPITAL, height) for line in lines) / width
    left = 0.015 if rng.random() < 0.5 else max(0.005, 0.985 - widest)
    tall = LINE * size * len(lines)
    top = 0.02 if rng.random() < 0.5 else 0.98 - tall
    panel = Panel(height, width)
    if rng.random() < 0.35:
        edge = (left - 0.01, top - 0.01, left + widest + 0.01, top + tall + 0.01)
        panel.box((max(0.0, edge[0]), max(0.0, edge[1]), edge[2], edge[3]), (8, 8, 10), 0.7)
    for row, line in enumerate(lines):
        base = top + (row + 0.8) * LINE * size
        panel.write(line, (left, base), size * CAPITAL, colour, strength)
    return panel.finish()
