"""What every phase's action provides, and the small motions that all of them share."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from ophora_curation.phantom.brush import Points, View
from ophora_curation.phantom.eye import Pupil


class Action(Protocol):
    """One phase in motion. `time_s` runs from the shot's start, `share` from 0 to 1 over it."""

    pupil: Pupil

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        """What happens inside the eye, under the lids."""

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        """Instruments, which pass over lids and speculum."""


class Hand:
    """A surgeon's hand: a tremor and a slow wander, different in every shot."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.phase = [float(value) for value in rng.uniform(0, 2 * math.pi, 6)]
        self.lean = float(rng.normal(0.0, 0.1))  # of the instrument's direction, radians
        self.pace = float(rng.uniform(0.85, 1.2))

    def wander(self, time_s: float, size: float = 0.04) -> Points:
        """A slow random-looking offset in eye units."""
        a, b, c, d, e, f = self.phase
        t = time_s * self.pace
        return size * np.array(
            [
                math.sin(1.7 * t + a) + 0.5 * math.sin(4.1 * t + b) + 0.12 * math.sin(17 * t + e),
                math.sin(1.3 * t + c) + 0.5 * math.sin(3.7 * t + d) + 0.12 * math.sin(19 * t + f),
            ]
        )

    def cycle(self, time_s: float, period_s: float) -> float:
        """0..1..0, smooth, once per period, from a random start."""
        turn = time_s * self.pace / period_s + self.phase[0] / (2 * math.pi)
        return 0.5 - 0.5 * math.cos(2 * math.pi * turn)
