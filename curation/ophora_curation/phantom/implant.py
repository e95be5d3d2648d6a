"""Actions of the phases that bring in and seat the artificial lens, and take the gel out."""

from __future__ import annotations

import math

import numpy as np

from ophora_curation.phantom.action import Hand
from ophora_curation.phantom.brush import View, bezier, unit
from ophora_curation.phantom.eye import Pupil
from ophora_curation.phantom.instruments import (
    BLUE_SLEEVE,
    hook,
    injector,
    lens_in_place,
    phaco_probe,
    rhexis,
)

HAPTIC = (40.0, 86.0, 206.0)


class LensImplantation:
    """A wide cartridge from below; the rolled lens slides out and unfolds."""

    pupil = Pupil(centre=(214, 112, 78), edge=(142, 66, 50), mottle=0.18)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = 1.6 + self.hand.lean
        self.start = float(rng.uniform(0.08, 0.25))

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        out = float(np.clip(self.start + share, 0, 1))
        axis = -unit(self.angle)
        across = np.array([-axis[1], axis[0]])
        mouth = self._mouth(time_s, share)
        length = 0.25 + 0.85 * min(1.0, out / 0.7)
        open_share = float(np.clip((out - 0.35) / 0.6, 0.0, 1.0))
        breadth = 0.16 + 0.34 * open_share
        centre = mouth + axis * (length * 0.5 - 0.05)
        angles = np.linspace(0, 2 * math.pi, 40)
        body = (
            centre
            + np.cos(angles)[:, None] * axis * length * 0.5
            + np.sin(angles)[:, None] * across * breadth
        )
        view.polygon(body + 0.04, (40, 16, 12), 0.45, 0.04)
        view.polygon(body, (92, 46, 40), 0.35 + 0.4 * (1 - open_share), 0.01)
        view.polygon(centre + (body - centre) * 0.7, (236, 190, 160), 0.3 * open_share, 0.04)
        view.stroke(body, 0.035, (246, 226, 208), 0.7, 0.008)
        view.stroke(body[20:28], 0.05, (255, 255, 250), 0.9, 0.01)
        for side in (-1.0, 1.0):  # the rolled edges, dark until they open
            fold = bezier(
                centre - axis * length * 0.45 + across * side * 0.05,
                centre + across * side * breadth * (0.4 + 0.5 * open_share),
                centre + axis * length * 0.45 + across * side * 0.04,
            )
            view.stroke(fold, 0.05, (44, 22, 20), 0.75 * (1 - 0.7 * open_share), 0.01)
            view.stroke(fold - 0.02, 0.02, (250, 226, 210), 0.75 - 0.45 * open_share, 0.008)
        lead = centre + axis * length * 0.45
        curl = bezier(lead, lead + axis * 0.22 + across * 0.1, lead + across * 0.4 * open_share)
        view.stroke(curl, 0.06, HAPTIC, 0.95)

    def _mouth(self, time_s: float, share: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        push = 0.5 + 0.1 * share
        return np.asarray(unit(self.angle) * push + self.hand.wander(time_s, 0.02))

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        injector(view, self.angle, self._mouth(time_s, share))


class LensPositioning:
    """A hook from the lower right rotates a round lens with two blue haptics."""

    pupil = Pupil(centre=(206, 104, 70), edge=(130, 58, 42), mottle=0.18, radius=1.05)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = 0.62 + self.hand.lean
        self.first = float(rng.uniform(0, 2 * math.pi))
        self.speed = float(rng.uniform(0.5, 0.8)) * (1 if rng.random() < 0.5 else -1)

    def _turn(self, time_s: float) -> float:
        return self.first + self.speed * (time_s + 0.25 * math.sin(2.4 * time_s))

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        rhexis(view, 0.62, 0.35)
        centre = self.hand.wander(time_s, 0.03)
        lens_in_place(view, centre, 0.47, self._turn(time_s), haptics=HAPTIC)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        tip = unit(self._turn(time_s) * 0.3) * 0.12 + unit(self.angle) * 0.3
        hook(view, self.angle, tip + self.hand.wander(time_s, 0.05))


class ViscoelasticSuction:
    """A blue-sleeved tip from the upper left swirls the gel out over the seated lens."""

    pupil = Pupil(centre=(176, 92, 70), edge=(104, 50, 44), mottle=0.18)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = -2.35 + self.hand.lean
        self.arms = int(rng.integers(4, 6))
        self.spin = float(rng.choice([-1.0, 1.0]))

    def _tip(self, time_s: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.asarray(unit(self.angle) * 0.18 + self.hand.wander(time_s, 0.07))

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        lens_in_place(view, np.zeros(2), 0.6, 0.0, alpha=0.9)
        tip = self._tip(time_s)
        strength = 0.85 - 0.3 * share
        along = np.linspace(0.04, 1.0, 16)
        for arm in range(self.arms):
            start = arm * 2 * math.pi / self.arms + self.spin * 1.6 * time_s
            angles = start + self.spin * 2.4 * (1 - along)
            target = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 0.84
            path = tip + (target - tip) * along[:, None] ** 1.2
            view.stroke(path, 0.15, (176, 226, 232), 0.5 * strength, 0.035)
            view.stroke(path[:12], 0.045, (240, 254, 255), 0.85 * strength, 0.012)
        view.glow(tip, 0.2, (222, 248, 250), 0.6)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        phaco_probe(view, self.angle, self._tip(time_s), BLUE_SLEEVE)
