"""Actions of the phases that open the eye: incision to hydrodissection."""

from __future__ import annotations

import math

import numpy as np

from ophora_curation.phantom.action import Hand
from ophora_curation.phantom.brush import View, ring, unit
from ophora_curation.phantom.eye import Pupil
from ophora_curation.phantom.instruments import cannula, forceps, knife, rhexis


class Incision:
    """A keratome enters the limbus from the right while forceps hold the eye on the left."""

    pupil = Pupil(centre=(132, 112, 92), edge=(66, 46, 40), mottle=0.3, spokes=0.4)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = self.hand.lean
        self.bleeds = [
            (float(rng.uniform(-0.35, 0.35)), float(rng.uniform(0.04, 0.12))) for _ in range(4)
        ]

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        for offset, size in self.bleeds:
            where = unit(self.angle + offset) * (1.04 + size)
            view.glow(where, size * (1.2 + 2.2 * share), (176, 16, 14), 0.8)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        push = self.hand.cycle(time_s, 3.6)
        tip = unit(self.angle) * (1.12 - 0.62 * push) + self.hand.wander(time_s, 0.02)
        knife(view, self.angle, tip)
        grip = unit(math.pi + self.angle * 0.5) * 1.12 + self.hand.wander(time_s + 9, 0.012)
        forceps(view, math.pi + 0.2, grip, 0.05, 0.09)


class Viscoelastic:
    """A cannula from the lower left fills the chamber with a clear, glossy, bluish gel."""

    pupil = Pupil(centre=(150, 78, 56), edge=(84, 40, 34), mottle=0.15, spokes=0.2)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = 2.35 + self.hand.lean
        self.lobes = np.stack([rng.uniform(0.02, 0.08, 5), rng.uniform(0, 6.28, 5)], axis=1)
        self.start = float(rng.uniform(0.3, 0.42))
        self.bubbles = rng.uniform(-0.55, 0.55, (5, 3))

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        size = self.start + (0.86 - self.start) * min(1.0, 1.15 * share)
        angles = np.linspace(0, 2 * math.pi, 36, endpoint=False)
        wave = 0.95 + 0.05 * np.sin(3 * angles + 2.2 * time_s)
        for order, (depth, phase) in enumerate(self.lobes, start=1):
            wave = wave + depth * np.sin(order * angles + phase)
        reach = size * wave
        reach = np.minimum(reach, 0.93)
        centre = unit(self.angle) * (0.35 * (1 - share))
        edge = centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        view.polygon(edge, (158, 212, 240), 0.5, 0.03)
        view.polygon(centre + (edge - centre) * 0.6, (196, 234, 250), 0.28, 0.09)
        view.stroke(np.vstack([edge, edge[:1]]), 0.04, (232, 248, 255), 0.6, 0.016)
        view.stroke(centre + (edge[20:29] - centre) * 0.8, 0.07, (255, 255, 255), 0.8, 0.02)
        for x, y, radius in self.bubbles:
            spot = centre + np.array([x, y]) * size
            view.stroke(ring(spot, 0.05 + 0.05 * abs(radius)), 0.016, (250, 254, 255), 0.6, 0.006)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        tip = unit(self.angle) * (0.42 - 0.2 * share) + self.hand.wander(time_s, 0.05)
        cannula(view, self.angle, tip)


class Capsulorhexis:
    """Forceps from below tear a round window into a blue-stained capsule."""

    pupil = Pupil(centre=(74, 104, 182), edge=(36, 44, 104), mottle=0.22, spokes=0.1)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = 1.57 + self.hand.lean
        self.first = float(rng.uniform(0, 2 * math.pi))
        self.turn = 1.0 if rng.random() < 0.5 else -1.0
        self.radius = float(rng.uniform(0.44, 0.52))

    def _edge(self, share: float) -> float:
        return self.first + self.turn * (0.9 + 5.2 * share)

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        edge = self._edge(share)
        arc = ring((0, 0), self.radius, self.first, edge)
        wedge = np.vstack([arc, [[0.0, 0.0]]])
        view.polygon(wedge, (232, 120, 74), 0.92, 0.015)
        view.stroke(arc, 0.045, (250, 244, 255), 0.9, 0.006)
        lead = unit(edge) * self.radius
        flap = unit(edge - self.turn * 0.9) * self.radius * 0.2
        back = unit(edge - self.turn * 0.75) * self.radius * 0.95
        view.polygon([lead, flap, back], (196, 206, 246), 0.8, 0.012)
        view.stroke([lead, flap], 0.03, (255, 255, 255), 0.9)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        edge = self._edge(share)
        tip = unit(edge - self.turn * 0.25) * self.radius * 0.75
        forceps(view, self.angle, tip + self.hand.wander(time_s, 0.025), 0.07, 0.06)


class Hydrodissection:
    """A cannula from the upper right; golden fluid waves cross under the lens."""

    pupil = Pupil(centre=(226, 170, 84), edge=(132, 78, 38), mottle=0.12, spokes=0.3)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = -0.85 + self.hand.lean
        self.period_s = float(rng.uniform(1.9, 2.5))
        self.radius = float(rng.uniform(0.44, 0.5))

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        rhexis(view, self.radius, 0.8)
        view.stroke(ring((0, 0), 0.6), 0.05, (255, 214, 110), 0.7, 0.02)
        turn = (time_s / self.period_s + self.hand.phase[1]) % 1.0
        front = 0.75 - 1.5 * turn
        axis, across = unit(self.angle), unit(self.angle + math.pi / 2)
        bulge = np.linspace(-1.2, 1.2, 15)
        near = front - 0.22 * np.cos(bulge)
        path = near[:, None] * axis + (np.sin(bulge) * 0.64)[:, None] * across
        keep = np.hypot(path[:, 0], path[:, 1]) < 0.68
        path = path[keep]
        if len(path) > 2:
            view.stroke(path + axis * 0.07, 0.12, (255, 236, 170), 0.6, 0.03)
            view.stroke(path, 0.06, (110, 56, 20), 0.65, 0.015)
            view.stroke(path + axis * 0.035, 0.03, (255, 252, 224), 0.9, 0.006)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        tip = unit(self.angle) * 0.42 + self.hand.wander(time_s, 0.03)
        cannula(view, self.angle, tip)
        for step in range(3):
            spurt = tip - unit(self.angle) * (0.05 + 0.05 * step)
            view.glow(spurt, 0.07, (255, 250, 220), 0.5 * self.hand.cycle(time_s, 0.7))
