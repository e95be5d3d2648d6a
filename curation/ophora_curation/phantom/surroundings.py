"""What lies around the eye, drawn once per shot: lids, skin folds, lashes, speculum, tear film."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.brush import Image, View, bezier
from ophora_curation.phantom.eye import eye_grid
from ophora_curation.phantom.look import Colour, EyeLook, ShotLook
from ophora_curation.phantom.texture import Field, noise, smoothstep

METAL: tuple[Colour, ...] = ((48, 42, 34), (112, 102, 84), (176, 168, 146), (236, 232, 220))

ARM = bezier((1.5, 1.5), (0.5, 1.0), (0.42, 0.55), (0.08, 0.4))  # (outwards, along the lid)
CURL = bezier((0.08, 0.4), (-0.1, 0.3), (-0.1, 0.02), (0.06, -0.06), count=9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A layer over the eye: `image` already multiplied by its opacity, `clear` = 255 - opacity."""

    image: Image
    clear: Image

    def cover(self, canvas: Image) -> None:
        """Lay the lids over `canvas` in place."""
        cv2.multiply(canvas, self.clear, dst=canvas, scale=1.0 / 255.0)
        cv2.add(canvas, self.image, dst=canvas)


def paint_surroundings(view: View, look: EyeLook, shot: ShotLook) -> Surroundings:
    """Draw the lids for a canvas of the size and map of `view` (its image is overwritten)."""
    rng = np.random.default_rng([look.texture_seed, shot.texture_seed, 11])
    x, y = eye_grid(view)
    shape = (x.shape[0], x.shape[1])
    cloud = noise(rng, shape, 3.0)
    depth = _depth(look, x, y) + 0.07 * cloud  # limbus radii outside the opening, about
    opacity = smoothstep(-0.02, 0.08, depth)
    skin = _skin(rng, look, depth, shape)
    view.image[...] = np.clip(skin * np.asarray(look.light, dtype=np.float32), 0, 255).astype(
        np.uint8
    )
    _lashes(view, rng, look)
    mask = _Mask.of(view, (opacity * 255).astype(np.uint8))
    _shadow(mask, depth)
    _speculum(view, mask.view, rng, look)
    alpha = mask.view.image.astype(np.float32) / 255.0
    image = (view.image.astype(np.float32) * alpha).astype(np.uint8)
    return Surroundings(image=image, clear=255 - mask.view.image)


@dataclass(slots=True)
class _Mask:
    """A second canvas with the same map, which collects the opacity."""

    view: View

    @classmethod
    def of(cls, view: View, opacity: NDArray[np.uint8]) -> _Mask:
        return cls(
            View(
                image=np.repeat(opacity[..., None], 3, axis=2),
                matrix=view.matrix,
                scale=view.scale,
            )
        )


def _depth(look: EyeLook, x: Field, y: Field) -> Field:
    cosine, sine = math.cos(look.opening_angle), math.sin(look.opening_angle)
    along = (x * cosine + y * sine) / look.opening[0]
    across = (-x * sine + y * cosine) / look.opening[1]
    reach = (np.abs(along) ** 2.4 + np.abs(across) ** 2.0) ** 0.5
    return np.asarray((reach - 1.0) * look.opening[1], dtype=np.float32)


def _skin(rng: np.random.Generator, look: EyeLook, depth: Field, shape: tuple[int, int]) -> Field:
    cloud = noise(rng, shape, 4.0)
    fine = noise(rng, shape, 36.0, 2)
    folds = np.sin(2 * math.pi * (depth * 2.3 + 0.55 * cloud))
    base = np.empty((*shape, 3), dtype=np.float32)
    base[...] = look.skin
    margin = smoothstep(0.34, 0.05, depth)  # the wet pink lid margin
    base += (np.array((214, 150, 128), dtype=np.float32) - base) * (0.75 * margin)[..., None]
    shade = 1.0 + 0.16 * folds + 0.10 * fine - 0.22 * smoothstep(0.2, 1.3, depth)
    shade *= 1.0 - 0.45 * smoothstep(0.03, -0.06, depth)
    base *= shade[..., None]
    wet = smoothstep(0.62, 0.8, np.abs(folds) * (0.75 + 0.5 * cloud) + 0.35 * fine)
    wet *= smoothstep(0.9, 0.1, depth) * 0.5
    sparkle = smoothstep(0.86, 0.98, fine + 0.35 * folds) * smoothstep(1.2, 0.0, depth)
    light = np.clip(0.4 * wet + sparkle, 0, 1)
    glare = np.array((255, 252, 240), dtype=np.float32)
    return np.asarray(base + (glare - base) * light[..., None], dtype=np.float32)


def _shadow(mask: _Mask, depth: Field) -> None:
    """The lid shades the eye just inside its edge."""
    shade = (90 * smoothstep(-0.28, 0.0, depth)).astype(np.uint8)
    np.maximum(mask.view.image, shade[..., None], out=mask.view.image)


def _lashes(view: View, rng: np.random.Generator, look: EyeLook) -> None:
    axis = np.array([math.cos(look.opening_angle), math.sin(look.opening_angle)])
    across = np.array([-axis[1], axis[0]])
    side = 1.0 if rng.random() < 0.5 else -1.0
    tufts = rng.normal(0.0, 0.7, 5)
    for _ in range(look.lashes):
        place = float(np.clip(tufts[int(rng.integers(5))] + rng.normal(0, 0.16), -1.7, 1.7))
        lid = look.opening[1] * math.sqrt(max(0.05, 1 - (place / look.opening[0]) ** 2))
        root = axis * place + across * side * (lid + float(rng.uniform(0.14, 0.3)))
        length = float(rng.uniform(0.3, 0.7))
        bend = 0.5 * place + float(rng.normal(0.0, 0.25))
        middle = root + across * side * length * 0.6 + axis * bend * 0.05
        tip = root + across * side * length * 0.9 + axis * bend * length
        path = bezier(root, middle, tip, count=9)
        view.stroke(path + 0.03, 0.03, (50, 34, 26), 0.3, 0.02)
        view.stroke(path[:6], 0.022, (30, 22, 18), 0.8, 0.004)
        view.stroke(path[5:], 0.012, (40, 30, 26), 0.75)


def _speculum(view: View, mask: View, rng: np.random.Generator, look: EyeLook) -> None:
    """Two wire arms: from outside the picture over the lid, hooked under its edge."""
    axis = np.array([math.cos(look.opening_angle), math.sin(look.opening_angle)])
    across = np.array([-axis[1], axis[0]])
    for side in (1.0, -1.0):
        lid = look.opening[1]
        shift = float(rng.normal(0.0, 0.3))
        turn = float(rng.choice([-1.0, 1.0]))

        frame = np.stack([across * side, axis * turn])  # rows: out of the eye, along the lid
        middle = across * side * lid + axis * shift
        arm = middle + ARM @ frame
        curl = middle + CURL @ frame
        path = np.concatenate([arm, curl[1:]])
        mask.stroke(path + 0.06, look.wire * 1.5, (150, 150, 150), 0.6, 0.03)
        view.stroke(path + 0.06, look.wire * 1.3, (40, 28, 20), 0.7, 0.03)
        mask.stroke(path, look.wire, (255, 255, 255), 1.0)
        for layer, shade in enumerate(METAL):
            width = look.wire * (1.0 - 0.28 * layer)
            view.stroke(path - look.wire * 0.08 * layer, width, shade, 1.0 if layer < 3 else 0.8)
        for _ in range(3):  # the lamp mirrored in the wire
            at = int(rng.integers(2, len(path) - 3))
            view.stroke(path[at : at + 3] - look.wire * 0.15, look.wire * 0.5, (255, 255, 250))
