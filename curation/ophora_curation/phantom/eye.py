"""The eye itself, drawn once per shot: sclera, vessels, limbus, iris, pupil with its reflex."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ophora_curation.phantom.brush import Image, Points, View, unit
from ophora_curation.phantom.look import Colour, EyeLook, ShotLook
from ophora_curation.phantom.texture import (
    Field,
    noise,
    polar_noise,
    smoothstep,
    vessel_paths,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pupil:
    """What the phase shows through the pupil before anything is drawn on it."""

    centre: Colour
    edge: Colour
    mottle: float = 0.1  # strength of the cloudy texture
    spokes: float = 0.0  # strength of the lens fibres
    radius: float = 1.0  # times the patient's pupil radius


RED_REFLEX = Pupil(centre=(226, 124, 84), edge=(136, 58, 42))


def paint_eye(view: View, look: EyeLook, shot: ShotLook, pupil: Pupil) -> None:
    """Fill the whole canvas of `view` with this patient's eye, seen without lids."""
    rng = np.random.default_rng([look.texture_seed, shot.texture_seed])
    x, y = eye_grid(view)
    radius = np.hypot(x, y)
    pixels = _sclera(rng, look, x, y, radius)
    view.image[...] = _to_image(pixels)
    _vessels(view, look)
    pixels = view.image.astype(np.float32)
    pixels = _cornea(rng, look, pupil, pixels, x, y)
    view.image[...] = _to_image(
        pixels * np.asarray(look.light, dtype=np.float32) * np.float32(shot.exposure)
    )


def eye_grid(view: View) -> tuple[Field, Field]:
    height, width = view.image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    inverse = np.linalg.inv(view.matrix[:, :2]).astype(np.float32)
    dx = columns - np.float32(view.matrix[0, 2])
    dy = rows - np.float32(view.matrix[1, 2])
    return inverse[0, 0] * dx + inverse[0, 1] * dy, inverse[1, 0] * dx + inverse[1, 1] * dy


def _to_image(pixels: Field) -> Image:
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _mix(base: Field, colour: Any, weight: Any) -> Field:
    target = np.asarray(colour, dtype=np.float32)
    return np.asarray(base + (target - base) * weight[..., None], dtype=np.float32)


def _sclera(rng: np.random.Generator, look: EyeLook, x: Field, y: Field, radius: Field) -> Field:
    shape = (x.shape[0], x.shape[1])
    cloud = noise(rng, shape, 3.0)
    fine = noise(rng, shape, 24.0, 2)
    pixels = np.empty((*shape, 3), dtype=np.float32)
    pixels[...] = look.sclera
    pink = np.clip(0.10 + 0.62 * look.redness * (0.6 + 0.7 * cloud), 0, 0.75)
    pixels = _mix(pixels, (222, 128, 104), pink)
    away = smoothstep(1.2, 2.6, radius)
    pixels = _mix(pixels, (196, 128, 100), 0.5 * away)
    towards = np.cos(np.arctan2(y, x) - look.blood_angle)
    bleed = smoothstep(0.35, 0.95, towards.astype(np.float32) + 0.35 * cloud)
    bleed = bleed * smoothstep(1.08, 1.3, radius) * np.float32(look.blood)
    pixels = _mix(pixels, (166, 18, 14), bleed * (0.85 + 0.3 * cloud))
    glare = np.maximum(0.0, np.cos(np.arctan2(y, x) - look.glare_angle)) ** 1.5
    light = 0.98 - 0.10 * (radius - 1.2) + 0.05 * fine + 0.08 * cloud
    light += look.glare * glare * smoothstep(0.9, 1.3, radius)
    return np.asarray(pixels * light[..., None], dtype=np.float32)


def _vessels(view: View, look: EyeLook) -> None:
    rng = np.random.default_rng([look.texture_seed, 7])
    for path, width in vessel_paths(rng, int(14 + 26 * look.redness)):
        deep = rng.random() < 0.35
        alpha = 0.16 + (0.2 + 0.35 * look.redness) * float(rng.random())
        if deep:  # under the conjunctiva: wide, pale and out of focus
            view.stroke(path, width * 2.6, (196, 104, 96), alpha * 0.6, 0.025)
            continue
        view.stroke(path, width * 1.5, (206, 92, 76), alpha * 0.6, 0.012)
        middle = len(path) // 2
        view.stroke(path[: middle + 1], width * 0.75, (168, 38, 34), alpha * 1.2, 0.004)
        view.stroke(path[middle:], width * 0.45, (176, 48, 42), alpha, 0.004)


def _cornea(
    rng: np.random.Generator,
    look: EyeLook,
    pupil: Pupil,
    pixels: Field,
    x: Field,
    y: Field,
) -> Field:
    shape = (x.shape[0], x.shape[1])
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    wobble = polar_noise(rng, angle, radius, 14, 3)
    cloud = noise(rng, shape, 5.0)
    edge = radius + 0.025 * wobble + 0.03 * cloud
    haze = smoothstep(1.3, 0.98, edge)
    pixels = _mix(pixels, tuple(0.7 * c + 68 for c in look.limbus), 0.6 * haze)
    ring = smoothstep(1.12, 0.95, edge)
    pixels = _mix(pixels, look.limbus, 0.88 * ring)
    fibres = polar_noise(rng, angle, radius, 110, 5) + 0.8 * polar_noise(rng, angle, radius, 40, 3)
    iris = np.asarray(look.iris, dtype=np.float32) * (
        0.92 + 0.13 * fibres[..., None] + 0.1 * cloud[..., None]
    )
    pixels = _mix(pixels, iris, 0.8 * smoothstep(0.99, 0.8, edge))
    inner = look.pupil_radius * pupil.radius
    rim = radius + 0.012 * wobble
    pixels = _mix(pixels, (38, 26, 22), 0.5 * smoothstep(inner + 0.12, inner + 0.005, rim))
    depth = radius / inner
    spokes = polar_noise(rng, angle, radius / 0.8, 30, 4)
    grain = cloud + 0.8 * noise(rng, shape, 14.0)
    glow = np.clip(1.0 - depth**2.2 + pupil.mottle * grain + pupil.spokes * spokes, 0, 1)
    centre = np.asarray(pupil.centre, dtype=np.float32)
    rim_colour = np.asarray(pupil.edge, dtype=np.float32)
    reflex = rim_colour + (centre - rim_colour) * glow[..., None]
    lit = 0.16 * np.clip(1.0 - np.hypot(x + 0.22, y + 0.25) / inner, 0, 1)[..., None]
    reflex = reflex * (1.0 + lit) + 46 * lit  # the lamp's side of the reflex is paler
    return _mix(pixels, reflex, smoothstep(inner + 0.03, inner - 0.035, rim))


def paint_glints(view: View, shot: ShotLook) -> None:
    """The lamp's reflections on the wet cornea; drawn last, they sit on top of everything."""
    rng = np.random.default_rng([shot.texture_seed, 3])
    spot = np.array([-0.1, -0.12]) + rng.normal(0, 0.06, 2)
    view.glow(spot, 0.2, (255, 250, 240), 0.4)
    view.polygon(_smear(rng, spot, 0.055), (255, 255, 252), 1.0, 0.01)
    view.polygon(_smear(rng, spot + np.array([0.17, -0.03]), 0.03), (255, 255, 250), 0.95, 0.008)
    for _ in range(4):  # tear film at the limbus
        near = float(rng.uniform(1.0, 1.2)) * unit(float(rng.uniform(0, 2 * math.pi)))
        view.disc(near, float(rng.uniform(0.012, 0.025)), (255, 255, 250), 0.85, 0.006)


def paint_tears(view: View, look: EyeLook, shot: ShotLook) -> None:
    """The pool of tears along the lids: bright streaks that follow the opening; drawn once."""
    rng = np.random.default_rng([look.texture_seed, shot.texture_seed, 5])
    for _ in range(int(rng.integers(1, 4))):
        start = float(rng.uniform(0, 2 * math.pi))
        span = np.linspace(0, float(rng.uniform(0.15, 0.5)), 12)
        wave = 1.0 + 0.02 * np.sin(9 * span + start)
        reach = look.opening[1] * float(rng.uniform(0.86, 0.99)) * wave
        path = reach[:, None] * np.stack([np.cos(start + span), np.sin(start + span)], axis=1)
        width = float(rng.uniform(0.02, 0.06))
        view.stroke(path, width * 2.2, (255, 250, 236), 0.35, 0.03)
        view.stroke(path, width, (255, 255, 250), 0.95, 0.008)
        view.stroke(path[3:8], width * 1.6, (255, 255, 252), 0.95, 0.01)


def _smear(rng: np.random.Generator, spot: Points, size: float) -> Points:
    """A rounded, slightly irregular blot."""
    angles = np.linspace(0, 2 * math.pi, 12, endpoint=False)
    reach = size * rng.uniform(0.75, 1.2, 12)
    return np.asarray(spot + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1))
