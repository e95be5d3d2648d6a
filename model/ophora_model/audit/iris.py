"""Iris re-identification: whose iris does a video show?

    frames -> limbus circle (Daugman's operator) -> ring unrolled -> band-pass along it -> code
        -> Hamming distance over turns of the eye

After Daugman 1993 and 2004 in small: an iris after surgery still matches itself in most cases, so
eye video is a biometric. A round pupil under the microscope is wide, so only the outer ring is
used; glints and what moves over it are masked. A small matcher: an iris of which lids or
instruments cover much is missed, and so is texture that the autoencoder has lost. That it finds
nothing proves little; that it finds a patient proves much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophora_model.video import Frames

Floats = NDArray[np.float64]
ANGLES = 128
_RING = np.linspace(0.80, 0.94, 4)  # in limbus radii
_WAVES = (6, 12, 20)  # along the ring
_TURN = 8  # angles to either side: 22 degrees
_LEAST_SEEN = 0.4  # of the ring
_LEAST_EDGE = 6.0  # grey levels between limbus and sclera, on average


@dataclass(frozen=True, slots=True, kw_only=True)
class IrisCode:
    """Signs [rings, waves x 2, ANGLES] and where the ring was seen, [rings, ANGLES].

    Identifiable as a fingerprint is: it must not leave the site.
    """

    signs: NDArray[np.bool_]
    seen: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limbus:
    """The cornea's edge: centre and radius in pixels, and how strong the edge is."""

    row: float
    column: float
    radius: float
    edge: float


def iris_code(frames: Frames) -> IrisCode | None:
    """The code of the eye in a video, over all its frames; None where no limbus is seen."""
    rings, limbus = [], None
    for frame in frames.astype(np.float64).mean(axis=3):
        limbus = find_limbus(frame, near=limbus)
        if limbus.edge < _LEAST_EDGE:
            limbus = None
            continue
        rings.append(_sample(frame, limbus, _RING))
    if len(rings) < max(1, len(frames) // 2):
        return None
    stacked = np.stack(rings)  # [frames, rings, ANGLES]
    ring = np.median(stacked, axis=0)
    seen = _is_tissue(stacked, ring)
    if seen.mean() < _LEAST_SEEN:
        return None
    return IrisCode(signs=_signs(ring, seen), seen=seen)


def iris_distance(one: IrisCode, other: IrisCode) -> float:
    """The least share of differing signs over turns of the eye: 0 equal, near 0.5 strangers."""
    best = 1.0
    for turn in range(-_TURN, _TURN + 1):
        signs, seen = np.roll(other.signs, turn, axis=-1), np.roll(other.seen, turn, axis=-1)
        both = (one.seen & seen)[:, None, :]
        count = int(both.sum()) * one.signs.shape[1]
        if count:
            best = min(best, int(((one.signs ^ signs) & both).sum()) / count)
    return best


def iris_distances(ones: Sequence[IrisCode], others: Sequence[IrisCode]) -> Floats:
    """[len(ones), len(others)]."""
    return np.array([[iris_distance(one, other) for other in others] for one in ones], np.float64)


def find_limbus(grey: Floats, *, near: Limbus | None = None) -> Limbus:
    """The circle across which a grey picture [H, W] brightens most from the inside out.

    `near` narrows the search to where the eye was a moment ago.
    """
    height, width = grey.shape
    if near is None:
        rows = np.linspace(0.38, 0.62, 7) * height
        columns = width / 2 + np.linspace(-0.12, 0.12, 7) * height
        found = _best(grey, rows, columns, np.linspace(0.28, 0.48, 21) * height)
        near, reach = found, 0.04 * height
    else:
        reach = 0.05 * height
    around = np.linspace(-reach, reach, 5)
    return _best(
        grey,
        near.row + around,
        near.column + around,
        near.radius + np.linspace(-0.05, 0.05, 11) * height,
    )


def _best(grey: Floats, rows: Floats, columns: Floats, radii: Floats) -> Limbus:
    """Mean brightness just outside a circle less that just inside, at its highest."""
    best = Limbus(row=rows[0], column=columns[0], radius=radii[0], edge=-math.inf)
    angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    step = max(1.0, 0.05 * grey.shape[0])
    reach = np.stack([radii - step, radii + step], axis=1)[..., None]  # [R, 2, 1]
    for row in rows:
        for column in columns:
            values = _pixels(grey, row + reach * np.sin(angles), column + reach * np.cos(angles))
            # the median over angles: lids and instruments cover a part of any circle
            edges = np.median(values[:, 1] - values[:, 0], axis=1)
            index = int(edges.argmax())
            if edges[index] > best.edge:
                best = Limbus(
                    row=float(row),
                    column=float(column),
                    radius=float(radii[index]),
                    edge=float(edges[index]),
                )
    return best


def _sample(grey: Floats, limbus: Limbus, ring: Floats) -> Floats:
    """[rings, ANGLES]: the iris unrolled."""
    angles = np.linspace(0, 2 * math.pi, ANGLES, endpoint=False)
    radii = limbus.radius * ring[:, None]
    return _pixels(
        grey, limbus.row + radii * np.sin(angles), limbus.column + radii * np.cos(angles)
    )


def _pixels(grey: Floats, rows: Floats, columns: Floats) -> Floats:
    """Bilinear, held at the picture's edge."""
    height, width = grey.shape
    rows, columns = np.clip(rows, 0, height - 1.001), np.clip(columns, 0, width - 1.001)
    top, left = rows.astype(int), columns.astype(int)
    down, right = rows - top, columns - left
    upper = grey[top, left] * (1 - right) + grey[top, left + 1] * right
    lower = grey[top + 1, left] * (1 - right) + grey[top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float64)


def _is_tissue(stacked: Floats, ring: Floats) -> NDArray[np.bool_]:
    """Neither a glint or a lid (far from the ring's median) nor passed over by an instrument."""
    middle = np.median(ring, axis=1, keepdims=True)
    spread = np.median(np.abs(ring - middle), axis=1, keepdims=True) + 1.0
    moving = stacked.std(axis=0) > 3 * (np.median(stacked.std(axis=0)) + 1.0)
    return np.asarray((np.abs(ring - middle) < 5 * spread) & ~moving)


def _signs(ring: Floats, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Signs of both quadratures of Gabor filters along the ring."""
    middle = np.median(ring, axis=1, keepdims=True)
    spectrum = np.fft.fft(np.where(seen, ring - middle, 0.0), axis=1)
    frequencies = np.fft.fftfreq(ANGLES, 1 / ANGLES)
    bits = []
    for wave in _WAVES:
        band = np.exp(-(((frequencies - wave) / (0.35 * wave)) ** 2) / 2)
        filtered = np.fft.ifft(spectrum * band, axis=1)
        bits += [filtered.real > 0, filtered.imag > 0]
    return np.stack(bits, axis=1)
