"""Generic procedural motion with captions: what the tiny base learns from before any hospital.

Discs, rings, bars, dots, lines and letters on textured grounds, moving in simple ways, each clip
with a sentence that says so. Nothing here depicts an eye, an instrument or an operation: what the
tuned adapters know of surgery they learned from the sites' clips and from nowhere else.

`draw_clip(rng)` is the whole interface; the same generator state gives the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ophora_model.pretrain.brush import FRAMES, HEIGHT, WIDTH, Canvas, Colour, Draw, H, W, pick
from ophora_model.pretrain.shapes import ACTIONS, draw_bar, draw_disc, draw_letters


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedClip:
    """A clip of shape [FRAMES, HEIGHT, WIDTH, 3], uint8 RGB, and the sentence that describes it."""

    frames: NDArray[np.uint8]
    caption: str


def draw_clip(rng: np.random.Generator) -> CaptionedClip:
    """One random clip. Deterministic in the state of `rng`."""
    ground, words = _ground(rng)
    layers: list[Draw] = []
    phrases: list[str] = []
    if rng.random() < 0.85:
        _add(layers, phrases, draw_disc(rng))
    for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
        make = ACTIONS[int(rng.integers(len(ACTIONS)))]
        _add(layers, phrases, make(rng))
    if rng.random() < 0.25:
        _add(layers, phrases, draw_letters(rng))
    if not phrases:
        _add(layers, phrases, draw_bar(rng))
    drift = rng.normal(0, 2.5, 2) * (rng.random() < 0.5)
    shade = _vignette(rng) if rng.random() < 0.5 else None
    frames = np.stack(
        [_render(ground, layers, k / (FRAMES - 1), drift, shade) for k in range(FRAMES)]
    )
    caption = f"{', '.join(phrases)}, on {words}"
    return CaptionedClip(frames=frames, caption=caption)


def _add(layers: list[Draw], phrases: list[str], made: tuple[Draw, str]) -> None:
    layers.append(made[0])
    phrases.append(made[1])


def _render(
    ground: Canvas,
    layers: list[Draw],
    time: float,
    drift: NDArray[np.float64],
    shade: Canvas | None,
) -> NDArray[np.uint8]:
    canvas = ground.copy()
    for draw in layers:
        draw(canvas, time)
    if np.any(drift):
        move = np.array([[1, 0, drift[0] * time], [0, 1, drift[1] * time]], np.float32)
        canvas = cv2.warpAffine(canvas, move, (W, H), borderMode=cv2.BORDER_REFLECT)
    if shade is not None:
        canvas *= shade
    small = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    pixels: NDArray[np.uint8] = np.clip(small, 0, 255).astype(np.uint8)
    return pixels


def _noise(rng: np.random.Generator, cells: int) -> Canvas:
    grid = rng.normal(0, 1, (cells, cells * 3 // 2, 1)).astype(np.float32)
    smooth: Canvas = cv2.resize(grid, (W, H), interpolation=cv2.INTER_CUBIC)[..., None]
    return smooth


def _ground(rng: np.random.Generator) -> tuple[Canvas, str]:
    name, colour = pick(rng)
    other, second = pick(rng)
    canvas = np.empty((H, W, 3), np.float32)
    canvas[:] = colour
    style = int(rng.integers(4))
    if style == 0:
        words = f"a plain {name} ground"
    elif style == 1:
        canvas += _noise(rng, int(rng.integers(3, 8))) * float(rng.uniform(6, 22))
        words = f"a mottled {name} ground"
    elif style == 2:
        angle = rng.uniform(0, 2 * np.pi)
        yy, xx = np.mgrid[0:H, 0:W].astype(np.float32)
        ramp = (np.cos(angle) * (xx / W - 0.5) + np.sin(angle) * (yy / H - 0.5) + 0.5).clip(0, 1)
        canvas += ramp[..., None] * (np.array(second, np.float32) - canvas)
        words = f"a ground fading from {name} to {other}"
    else:
        canvas += _noise(rng, int(rng.integers(10, 24))) * float(rng.uniform(5, 14))
        for _ in range(int(rng.integers(3, 9))):
            _wander(canvas, rng, second)
        words = f"a {name} ground with thin {other} lines"
    return canvas, words


def _wander(canvas: Canvas, rng: np.random.Generator, colour: Colour) -> None:
    point = rng.uniform([0, 0], [W, H])
    heading = rng.uniform(0, 2 * np.pi)
    points = [point]
    for _ in range(8):
        heading += rng.normal(0, 0.5)
        point = point + rng.uniform(5, 14) * np.array([np.cos(heading), np.sin(heading)])
        points.append(point)
    line = np.array(points, np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [line], False, colour, int(rng.integers(1, 3)), cv2.LINE_AA)


def _vignette(rng: np.random.Generator) -> Canvas:
    yy, xx = np.mgrid[0:H, 0:W].astype(np.float32)
    centre = rng.uniform(0.4, 0.6, 2)
    distance = np.hypot((xx / W - centre[0]) * 1.2, yy / H - centre[1])
    edge = float(rng.uniform(0.5, 0.75))
    dark = np.clip((distance - edge) / 0.25, 0, 1) * rng.uniform(0.5, 1.0)
    light: Canvas = (1 - dark)[..., None].astype(np.float32)
    return light
