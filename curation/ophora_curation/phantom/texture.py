"""Smooth random fields and random vessel trees, the raw material of tissue."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def smoothstep(low: float, high: float, values: Any) -> Field:
    """0 below `low`, 1 above `high` (or the reverse when low > high), smooth in between."""
    ramp = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp), dtype=np.float32)


def noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: float, octaves: int = 3
) -> Field:
    """Value noise in about [-1, 1]: `cells` bumps across the height, finer octaves on top."""
    height, width = shape
    total = np.zeros(shape, dtype=np.float32)
    weight = 1.0
    for octave in range(octaves):
        rows = max(2, round(cells * 2**octave))
        columns = max(2, round(rows * width / height))
        coarse = rng.uniform(-1.0, 1.0, (rows + 2, columns + 2)).astype(np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= 0.5
    return total / 1.6


def polar_noise(
    rng: np.random.Generator, angle: Field, radius: Any, spokes: int, rings: int
) -> Field:
    """Noise drawn out along the radius: iris fibres, lens spokes. `radius` in 0..1."""
    table = rng.uniform(-1.0, 1.0, (rings, spokes)).astype(np.float32)
    table = np.concatenate([table, table[:, :1]], axis=1)
    columns = ((angle + math.pi) / (2 * math.pi) * spokes).astype(np.float32)
    rows = (np.clip(radius, 0.0, 1.0) * (rings - 1)).astype(np.float32)
    spread = cv2.remap(table, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(spread, dtype=np.float32)


def vessel_paths(rng: np.random.Generator, count: int) -> list[tuple[NDArray[np.float64], float]]:
    """Branching paths from the rim towards the limbus, in limbus radii, each with a width."""
    paths: list[tuple[NDArray[np.float64], float]] = []
    for _ in range(count):
        angle = float(rng.uniform(0, 2 * math.pi))
        start = np.array([math.cos(angle), math.sin(angle)]) * rng.uniform(1.5, 2.3)
        _grow(rng, paths, start, angle + math.pi, float(rng.uniform(0.012, 0.03)), 0)
    return paths


def _grow(
    rng: np.random.Generator,
    paths: list[tuple[NDArray[np.float64], float]],
    start: NDArray[np.float64],
    heading: float,
    width: float,
    depth: int,
) -> None:
    points = [start]
    position = start
    for step in range(int(rng.integers(8, 18))):
        heading += float(rng.normal(0.0, 0.28))
        position = position + 0.075 * np.array([math.cos(heading), math.sin(heading)])
        if float(np.hypot(*position)) < 1.07:
            break
        points.append(position)
        if depth < 2 and step > 1 and rng.random() < 0.2:
            turn = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 0.9))
            _grow(rng, paths, position, heading + turn, width * 0.6, depth + 1)
    if len(points) > 2:
        paths.append((np.array(points), width))
