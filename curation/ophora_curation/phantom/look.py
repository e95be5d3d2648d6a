"""How one patient's eye and one shot of it look: plain values drawn from a seeded generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

Colour = tuple[float, float, float]  # RGB, 0..255

IRIS: Final[tuple[Colour, ...]] = (
    (104, 116, 112),
    (92, 104, 118),
    (112, 100, 78),
    (88, 68, 52),
    (66, 52, 44),
    (110, 118, 96),
)
LIMBUS: Final[tuple[Colour, ...]] = (
    (128, 148, 138),
    (118, 132, 140),
    (132, 138, 122),
    (110, 122, 118),
)
SCLERA: Final[tuple[Colour, ...]] = (
    (252, 246, 226),
    (244, 226, 198),
    (246, 232, 220),
    (240, 214, 186),
)
SKIN: Final[tuple[Colour, ...]] = (
    (170, 156, 92),
    (196, 142, 112),
    (132, 104, 74),
    (186, 166, 126),
    (104, 78, 56),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EyeLook:
    """What stays the same in every shot of one patient. Lengths in limbus radii."""

    iris: Colour
    limbus: Colour
    sclera: Colour
    skin: Colour
    redness: float
    blood_angle: float  # direction of a subconjunctival bleed
    blood: float  # 0 = none
    pupil_radius: float
    opening_angle: float  # long axis of the lid opening
    opening: tuple[float, float]
    glare_angle: float  # where the sclera is overexposed
    glare: float
    light: Colour  # colour cast of the lamp, around 1.0
    wire: float  # thickness of the speculum
    lashes: int
    texture_seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotLook:
    """What changes at every cut: zoom, framing, light level, sensor noise, movement."""

    radius: float  # limbus radius as a share of the picture's height
    centre: tuple[float, float]  # of the eye, as shares of width and height
    tilt: float
    squash: float
    exposure: float
    vignette: float
    noise: float
    sway: tuple[float, ...]  # phases of the slow movements, radians
    sway_size: float
    texture_seed: int


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float) -> Colour:
    base = np.asarray(colours[int(rng.integers(len(colours)))], dtype=np.float64)
    shade = np.clip(base * rng.normal(1.0, spread) + rng.normal(0.0, 4.0, 3), 0, 255)
    return (float(shade[0]), float(shade[1]), float(shade[2]))


def draw_eye_look(rng: np.random.Generator) -> EyeLook:
    """One patient."""
    temporal = bool(rng.random() < 0.5)  # the surgeon sits at the temple: lids left and right
    angle = (math.pi / 2 if temporal else 0.0) + float(rng.normal(0.0, 0.3))
    warm = float(rng.normal(0.0, 0.04))
    return EyeLook(
        iris=_pick(rng, IRIS, 0.06),
        limbus=_pick(rng, LIMBUS, 0.06),
        sclera=_pick(rng, SCLERA, 0.02),
        skin=_pick(rng, SKIN, 0.08),
        redness=float(rng.beta(1.6, 3.0)),
        blood_angle=float(rng.uniform(0.1, 1.2)),
        blood=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.2 else 0.0,
        pupil_radius=float(rng.uniform(0.64, 0.76)),
        opening_angle=angle,
        opening=(float(rng.uniform(1.9, 2.3)), float(rng.uniform(1.26, 1.5))),
        glare_angle=float(rng.uniform(1.2, 4.2)),
        glare=float(rng.uniform(0.1, 0.42)),
        light=(1.0 + warm, 1.0 + float(rng.normal(0, 0.015)), 1.0 - warm),
        wire=float(rng.uniform(0.075, 0.105)),
        lashes=int(rng.integers(10, 40)),
        texture_seed=int(rng.integers(2**31)),
    )


def draw_shot_look(rng: np.random.Generator) -> ShotLook:
    """One shot."""
    return ShotLook(
        radius=float(rng.uniform(0.37, 0.44)),
        centre=(float(rng.normal(0.5, 0.02)), float(rng.normal(0.49, 0.025))),
        tilt=float(rng.normal(0.0, 0.12)),
        squash=float(rng.uniform(0.93, 1.0)),
        exposure=float(rng.normal(1.0, 0.05)),
        vignette=float(rng.uniform(0.75, 1.0)),
        noise=float(rng.uniform(1.0, 2.5)),
        sway=tuple(float(value) for value in rng.uniform(0.0, 2 * math.pi, 6)),
        sway_size=float(rng.uniform(0.6, 1.2)),
        texture_seed=int(rng.integers(2**31)),
    )
