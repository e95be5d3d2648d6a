"""Actions of the phases that remove the cataract: phaco, cortex removal, polishing."""

from __future__ import annotations

import math

import numpy as np

from ophora_curation.phantom.action import Hand
from ophora_curation.phantom.brush import View, bezier, ring, unit
from ophora_curation.phantom.eye import Pupil
from ophora_curation.phantom.instruments import (
    DARK_STEEL,
    STEEL,
    hook,
    phaco_probe,
    rhexis,
    shaft,
)


class Phacoemulsification:
    """A thick probe from below and a chopper from the left break the nucleus into quadrants."""

    pupil = Pupil(centre=(190, 84, 52), edge=(104, 44, 32), mottle=0.2)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = 1.2 + self.hand.lean
        self.turn = float(rng.uniform(0, math.pi / 2))
        amber = float(rng.uniform(0.0, 1.0))
        self.shade = (226.0 - 20 * amber, 204.0 - 40 * amber, 140.0 - 50 * amber)
        self.order = rng.permutation(4)
        self.dust = rng.uniform(-1, 1, (10, 2))
        self.flecks = rng.uniform(-0.5, 0.5, (4, 3, 2))

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        rhexis(view, 0.56, 0.5)
        gap = 0.03 + 0.05 * share
        spin = self.turn + 0.25 * math.sin(0.8 * time_s)
        target = self._tip(time_s)
        for rank, quadrant in enumerate(self.order):
            eaten = float(np.clip((share - 0.3 - 0.22 * rank) / 0.3, 0.0, 1.0))
            if eaten >= 0.97:
                continue
            middle = spin + quadrant * math.pi / 2 + math.pi / 4
            home = unit(middle) * gap * 1.4
            piece = np.vstack([[[0.0, 0.0]], ring((0, 0), 0.52, middle - 0.76, middle + 0.76)])
            piece = home + piece * (1 - 0.75 * eaten)
            piece += (target - unit(middle) * 0.1) * eaten
            shade = tuple(channel * (0.93 + 0.05 * quadrant) for channel in self.shade)
            view.polygon(piece + 0.035, (60, 28, 18), 0.5, 0.03)
            view.polygon(piece, (shade[0], shade[1], shade[2]), 0.94, 0.012)
            core = piece.mean(axis=0)
            view.polygon(core + (piece - core) * 0.6, (250, 238, 200), 0.45, 0.07)
            view.stroke(piece[1:], 0.06, (150, 100, 54), 0.45, 0.025)
            for x, y in self.flecks[quadrant]:
                view.glow(core + 0.3 * np.array([x, y]) * (1 - eaten), 0.07, (176, 132, 76), 0.3)
        for x, y in self.dust:
            swirl = target + 0.22 * np.array([x, y]) + self.hand.wander(3 * time_s + x, 0.05)
            view.disc(swirl, 0.022, (255, 248, 226), 0.7, 0.01)

    def _tip(self, time_s: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        reach = 0.3 - 0.32 * self.hand.cycle(time_s, 2.6)
        return np.asarray(unit(self.angle) * reach + self.hand.wander(time_s, 0.03))

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        hook(view, 3.0, np.array([-0.28, -0.05]) + self.hand.wander(time_s + 5, 0.06))
        phaco_probe(view, self.angle, self._tip(time_s))


class IrrigationAspiration:
    """Two slim tips from left and right pull feathery white cortex off the capsule."""

    pupil = Pupil(centre=(196, 92, 62), edge=(120, 52, 40), mottle=0.2)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        count = int(rng.integers(13, 18))
        self.angles = np.sort(rng.uniform(0, 2 * math.pi, count))
        self.lengths = rng.uniform(0.22, 0.42, count)
        self.bends = rng.normal(0, 0.12, count)
        self.gone = rng.uniform(0.45, 1.8, count)

    def _tip(self, time_s: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        sweep = 0.5 * math.sin(1.1 * time_s + self.hand.phase[2])
        return np.array([0.1 + 0.22 * self.hand.cycle(time_s, 2.2), sweep * 0.7])

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        tip = self._tip(time_s)
        rhexis(view, 0.54, 0.35)
        for angle, length, bend, gone in zip(
            self.angles, self.lengths, self.bends, self.gone, strict=True
        ):
            if share > gone:
                continue
            outer = unit(angle) * 0.74
            inner = unit(angle + bend) * (0.74 - length)
            pull = float(np.exp(-3.0 * np.hypot(*(inner - tip))))
            inner = inner + (tip - inner) * pull
            middle = 0.5 * (outer + inner) + unit(angle + 1.57) * bend
            for spread in (-0.1, -0.05, 0.0, 0.05, 0.1):
                root = unit(angle + spread * 1.8) * 0.76
                path = bezier(root, middle, inner, count=8)
                view.stroke(path, 0.045, (242, 236, 220), 0.36, 0.014)
            view.stroke(bezier(outer, middle, inner, count=8), 0.022, (255, 253, 246), 0.55, 0.008)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        left = np.array([-0.3, 0.06]) + self.hand.wander(time_s + 4, 0.04)
        shaft(view, math.pi - 0.12 + self.hand.lean, left, (0.09, 0.22), DARK_STEEL)
        tip = self._tip(time_s)
        shaft(view, 0.1 + self.hand.lean, tip, (0.1, 0.24), DARK_STEEL)
        view.disc(tip + np.array([0.05, 0.0]), 0.025, (10, 8, 8))


class CapsulePolishing:
    """A fine tip from above scrubs small circles on a clear, sparkling capsule."""

    pupil = Pupil(centre=(255, 168, 104), edge=(206, 96, 58), mottle=0.09, radius=1.06)

    def __init__(self, rng: np.random.Generator) -> None:
        self.hand = Hand(rng)
        self.angle = -1.57 + self.hand.lean
        count = int(rng.integers(26, 38))
        reach = 0.66 * np.sqrt(rng.uniform(0, 1, count))
        turn = rng.uniform(0, 2 * math.pi, count)
        self.spots = np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=1)
        self.twinkle = rng.uniform(0, 2 * math.pi, count)

    def _tip(self, time_s: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        scrub = 0.13 * unit(2 * math.pi * 0.9 * self.hand.pace * time_s)
        return np.asarray(np.array([0.0, -0.02]) + self.hand.wander(0.6 * time_s, 0.16) + scrub)

    def draw_inside(self, view: View, time_s: float, share: float) -> None:
        rhexis(view, 0.58, 0.6)
        for spot, phase in zip(self.spots, self.twinkle, strict=True):
            light = 0.45 + 0.55 * math.sin(3.0 * time_s + phase)
            if light > 0.0:
                view.disc(spot, 0.024, (255, 252, 232), light, 0.006)
        tip = self._tip(time_s)
        for step in range(1, 4):
            trail = self._tip(time_s - 0.16 * step)
            view.glow(trail, 0.14, (255, 222, 176), 0.25)
        view.stroke(ring(tip, 0.13, 0.4, 3.4), 0.025, (255, 240, 214), 0.7, 0.01)

    def draw_above(self, view: View, time_s: float, share: float) -> None:
        tip = self._tip(time_s)
        shaft(view, self.angle, tip, (0.06, 0.2), STEEL)
        view.disc(tip, 0.055, (70, 66, 64))
        view.disc(tip - 0.012, 0.03, (236, 234, 230))
