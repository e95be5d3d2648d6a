"""Instruments and implants, drawn in eye units with their tip inside the eye.

An instrument enters through the limbus at an angle and pivots there: only its tip is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ophora_curation.phantom.brush import Points, View, bezier, ring, unit
from ophora_curation.phantom.look import Colour

STEEL: tuple[Colour, ...] = ((46, 44, 44), (104, 102, 100), (176, 174, 170), (250, 250, 248))
DARK_STEEL: tuple[Colour, ...] = ((22, 20, 22), (58, 54, 54), (112, 106, 104), (214, 210, 206))
SLEEVE: tuple[Colour, ...] = ((92, 108, 116), (158, 176, 184), (208, 222, 226), (252, 254, 254))
BLUE_SLEEVE: tuple[Colour, ...] = ((22, 60, 130), (44, 98, 186), (96, 150, 224), (220, 236, 252))
CARTRIDGE: tuple[Colour, ...] = (
    (168, 186, 176),
    (214, 230, 220),
    (240, 248, 242),
    (255, 255, 255),
)


def shaft(
    view: View,
    angle: float,
    tip: Points,
    widths: tuple[float, float],
    shades: Sequence[Colour],
    *,
    inside: float = 0.84,
) -> Points:
    """A straight shaft from outside through the limbus at `angle` to `tip`; returns its axis.

    `widths` are the tip's and the outer end's; `inside` is the opacity under the cornea.
    """
    entry = unit(angle) * 1.0
    axis = entry - tip
    length = float(np.hypot(*axis))
    axis = axis / max(length, 1e-6) if length > 0.05 else unit(angle)
    outer = entry + axis * 3.2
    middle = widths[0] + (widths[1] - widths[0]) * min(1.0, length / (length + 1.2))
    view.stroke(
        [tip + 0.07, entry + 0.09, outer + 0.12], middle * 0.9, (26, 14, 12), 0.35, middle * 0.4
    )
    view.tube(tip, entry, (widths[0], middle), shades, inside)
    view.tube(entry, outer, (middle, widths[1]), shades)
    view.glow(entry + axis * 0.05, 0.09, (255, 252, 246), 0.6)
    return axis


def cannula(view: View, angle: float, tip: Points, shades: Sequence[Colour] = STEEL) -> None:
    """A thin bent tube on a thicker hub."""
    axis = shaft(view, angle, tip, (0.075, 0.15), shades)
    hub = unit(angle) + axis * 0.75
    view.tube(hub, hub + axis * 3.0, (0.24, 0.34), shades)


def knife(view: View, angle: float, tip: Points) -> None:
    """A keratome: a bright diamond blade on a flat handle."""
    axis = unit(angle)
    across = np.array([-axis[1], axis[0]])
    neck = tip + axis * 0.62
    view.stroke([tip + 0.08, neck + axis * 3 + 0.1], 0.22, (26, 14, 12), 0.4, 0.08)
    view.tube(neck, neck + axis * 0.5, (0.16, 0.2), STEEL)
    view.tube(neck + axis * 0.45, neck + axis * 4, (0.3, 0.38), DARK_STEEL)
    shoulder = tip + axis * 0.4
    left, right = shoulder + across * 0.21, shoulder - across * 0.21
    view.polygon([tip, left, neck + across * 0.09, neck - across * 0.09, right], (150, 152, 156))
    view.polygon([tip, left, neck + across * 0.09, neck], (226, 230, 234))
    view.stroke([tip, left], 0.02, (255, 255, 255))
    view.stroke([tip, right], 0.02, (90, 92, 96))


def forceps(view: View, angle: float, tip: Points, gap: float, width: float = 0.06) -> None:
    """Two prongs that meet at the tip; `gap` opens them."""
    axis = unit(angle) * 1.0 - tip
    axis = axis / max(float(np.hypot(*axis)), 0.2)
    across = np.array([-axis[1], axis[0]])
    knee = tip + axis * 0.55
    joint = unit(angle) + axis * 0.9
    for side in (1.0, -1.0):
        prong = np.array([tip + across * side * gap * 0.5, knee + across * side * 0.09])
        outer = joint + across * side * 0.16
        view.stroke(np.array([*prong, outer]) + 0.06, width, (26, 14, 12), 0.35, 0.04)
        view.tube(prong[0], prong[1], (width * 0.7, width), STEEL)
        view.tube(prong[1], outer, (width, width * 1.8), STEEL)
        view.tube(outer, outer + axis * 3, (width * 1.8, width * 3), STEEL)


def hook(view: View, angle: float, tip: Points, turn: float = 1.0) -> None:
    """A thin rod with a bent, blunt end."""
    axis = shaft(view, angle, tip + unit(angle) * 0.1, (0.05, 0.16), STEEL)
    across = np.array([-axis[1], axis[0]]) * turn
    bend = bezier(tip + axis * 0.12, tip, tip + across * 0.1, count=6)
    view.stroke(bend, 0.05, (60, 56, 56))
    view.stroke(bend - 0.01, 0.02, (230, 230, 226))
    view.disc(bend[-1], 0.04, (236, 236, 232))


def phaco_probe(view: View, angle: float, tip: Points, sleeve: Sequence[Colour] = SLEEVE) -> None:
    """A titanium tip in a thick silicone sleeve on a wide handpiece."""
    axis = shaft(view, angle, tip + unit(angle) * 0.2, (0.26, 0.36), sleeve)
    view.tube(tip, tip + axis * 0.34, (0.12, 0.15), STEEL)
    view.disc(tip, 0.055, (24, 20, 20))
    hand = unit(angle) + axis * 0.7
    view.tube(hand, hand + axis * 3, (0.5, 0.66), STEEL)


def injector(view: View, angle: float, tip: Points) -> Points:
    """A lens cartridge: a wide translucent nozzle; returns the direction it shoots to."""
    axis = unit(angle) - tip
    axis = axis / max(float(np.hypot(*axis)), 0.2)
    across = np.array([-axis[1], axis[0]])
    view.stroke([tip + 0.08, tip + axis * 3 + 0.1], 0.4, (26, 14, 12), 0.3, 0.1)
    view.tube(tip, tip + axis * 0.75, (0.26, 0.36), CARTRIDGE, 0.86)
    view.tube(tip + axis * 0.7, tip + axis * 1.35, (0.4, 0.72), CARTRIDGE)
    view.tube(tip + axis * 1.3, tip + axis * 4, (0.74, 0.78), BLUE_SLEEVE)
    mouth = [tip + across * 0.13, tip - across * 0.13, tip + axis * 0.14 - across * 0.1]
    view.polygon(mouth, (86, 64, 56), 0.6)
    return np.asarray(-axis)


def rhexis(view: View, radius: float, alpha: float = 0.55) -> None:
    """The round opening in the lens capsule."""
    view.stroke(ring((0, 0), radius), 0.03, (255, 226, 176), alpha, 0.006)
    view.stroke(ring((0.015, 0.02), radius + 0.02), 0.02, (70, 30, 20), alpha * 0.7, 0.006)


def lens_in_place(
    view: View,
    centre: Points,
    radius: float,
    rotation: float,
    *,
    haptics: Colour | None = None,
    alpha: float = 1.0,
) -> None:
    """An unfolded artificial lens: a bright-rimmed disc, with two curved haptics if asked."""
    if haptics is not None:
        for half in (0.0, np.pi):
            angles = rotation + half + np.linspace(0.0, 1.5, 14)
            reach = radius * np.concatenate([np.linspace(0.98, 1.38, 7), np.full(7, 1.4)])
            path = centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            view.stroke(path + 0.025, 0.07, (40, 20, 16), 0.5 * alpha, 0.02)
            view.stroke(path, 0.065, haptics, alpha)
            view.stroke(path - 0.008, 0.02, (235, 240, 250), 0.7 * alpha)
    view.disc(centre, radius, (255, 226, 200), 0.2 * alpha, 0.01)
    view.stroke(ring(centre + 0.02, radius), 0.05, (60, 30, 22), 0.5 * alpha, 0.015)
    view.stroke(ring(centre, radius), 0.03, (244, 226, 204), 0.7 * alpha, 0.008)
    view.stroke(ring(centre, radius - 0.02, 3.4, 4.7), 0.05, (255, 255, 252), 0.95 * alpha, 0.006)
    view.stroke(ring(centre, radius - 0.05, 0.5, 1.3), 0.035, (255, 246, 230), 0.6 * alpha, 0.01)
