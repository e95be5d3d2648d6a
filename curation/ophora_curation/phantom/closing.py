"""Actions of the phases that end the operation: flushing, tonifying and antibiotics."""

from __future__ import annotations

import math

import numpy as np

from ophora_curation.phantom.action import Hand
from ophora_curation.phantom.brush import View, bezier, unit
from ophora_curation.phantom.eye import Pupil
from ophora_curation.phantom.instruments import DARK_STEEL, cannula, lens_in_place


class AnteriorChamberFlushing:
    """Jets from a cannula at the lower right wash red blood out of the chamber."""

    pupil = Pupil(centre=(168, 58, 44), edge=(96, 26, 26), mottle=0.2)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = 0.95 + self.hand.lean
        self.clouds = rng.uniform(-1, 1, (9, 4))
        self.grains = rng.uniform(0, 1, (16, 3))

    def _tip(self, time_s: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.asarray(unit(self.angle) * 0.34 + self.hand.wander(time_s, 0.07))

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        left = 1.0 - 0.45 * share
        for x, y, size, turn in self.clouds:
            swirl = turn * 3 + 0.9 * time_s * (1 if turn > 0 else -1)
            where = 0.55 * np.array([x, y]) + 0.2 * unit(swirl)
            view.glow(where, 0.2 + 0.12 * size, (162, 8, 10), 0.75 * left)
            tail = bezier(where, where + 0.3 * unit(swirl + 1), where + 0.5 * unit(swirl + 2))
            view.stroke(tail, 0.07, (190, 14, 14), 0.6 * left, 0.02)
        tip = self._tip(time_s)
        view.glow(unit(self.angle) * 1.2, 0.42, (196, 18, 14), 0.75)
        view.glow(unit(self.angle + 0.4) * 1.45, 0.36, (186, 14, 12), 0.6)
        pulse = 0.55 + 0.45 * self.hand.cycle(time_s, 0.9)
        for spread in (-0.5, 0.0, 0.5):
            way = unit(self.angle + math.pi + spread)
            jet = bezier(tip, tip + way * 0.3, tip + way * 0.7 + self.hand.wander(time_s, 0.06))
            view.stroke(jet, 0.06, (255, 226, 214), 0.65 * pulse, 0.015)
        for first, spread, size in self.grains:
            turn = (first + 0.6 * time_s) % 1.0
            way = unit(self.angle + math.pi + (spread - 0.5) * 2.4 + turn)
            view.disc(tip + way * 0.95 * turn, 0.015 + 0.02 * size, (255, 236, 224), 0.8, 0.006)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        cannula(view, self.angle, self._tip(time_s), DARK_STEEL)


class TonifyingAntibiotics:
    """A small pupil over the seated lens; a yellow-green plume spreads from the left wound."""

    pupil = Pupil(centre=(150, 76, 56), edge=(92, 44, 38), mottle=0.08, radius=0.58)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = math.pi + self.hand.lean
        self.puffs = rng.uniform(-1, 1, (12, 3))

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        lens_in_place(view, np.zeros(2), 0.37, 0.0, alpha=0.5)
        spread = 0.55 + 0.6 * share
        wound = unit(self.angle) * 0.95
        for x, y, size in self.puffs:
            drift = 0.06 * math.sin(1.5 * time_s + 5 * x)
            inward = -unit(self.angle) * (0.5 + 0.5 * x) * 1.25 * spread
            aside = unit(self.angle + 1.57) * (y * 0.6 * (0.4 + 0.5 * x + 0.3) + drift)
            view.glow(wound + inward + aside, 0.3 + 0.08 * size, (222, 230, 112), 0.42)
        view.glow(wound, 0.34, (246, 248, 220), 0.8)  # the swollen, whitened wound
        view.glow(unit(self.angle + 2.2) * 0.97, 0.2, (246, 246, 236), 0.7)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        push = 0.84 - 0.1 * self.hand.cycle(time_s, 2.0)
        tip = unit(self.angle) * push + self.hand.wander(time_s, 0.02)
        cannula(view, self.angle, tip)
        pulse = self.hand.cycle(time_s, 1.0)
        view.glow(tip - unit(self.angle) * 0.1, 0.14, (250, 252, 190), 0.4 + 0.4 * pulse)
