"""Frames of one shot of one phase: eye, action, lids, instruments, lamp, camera, sensor.

The static layers are drawn once per shot on a canvas a little larger than the picture and finer
where the picture is small; per frame only what moves is drawn, then the camera samples the canvas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.action import Action
from ophora_curation.phantom.brush import Image, View
from ophora_curation.phantom.cataract import (
    CapsulePolishing,
    IrrigationAspiration,
    Phacoemulsification,
)
from ophora_curation.phantom.closing import AnteriorChamberFlushing, TonifyingAntibiotics
from ophora_curation.phantom.errors import UnknownPhase
from ophora_curation.phantom.eye import paint_eye, paint_glints
from ophora_curation.phantom.implant import (
    LensImplantation,
    LensPositioning,
    ViscoelasticSuction,
)
from ophora_curation.phantom.look import EyeLook, ShotLook, draw_eye_look, draw_shot_look
from ophora_curation.phantom.opening import (
    Capsulorhexis,
    Hydrodissection,
    Incision,
    Viscoelastic,
)
from ophora_curation.phantom.overlay import draw_overlay
from ophora_curation.phantom.surroundings import paint_surroundings

MARGIN = 0.08  # of the canvas around the picture, for drift
ACTIONS: Final = MappingProxyType[str, Callable[[np.random.Generator], Action]](
    {
        "incision": Incision,
        "viscoelastic": Viscoelastic,
        "capsulorhexis": Capsulorhexis,
        "hydrodissection": Hydrodissection,
        "phacoemulsification": Phacoemulsification,
        "irrigation_aspiration": IrrigationAspiration,
        "capsule_polishing": CapsulePolishing,
        "lens_implantation": LensImplantation,
        "lens_positioning": LensPositioning,
        "viscoelastic_suction": ViscoelasticSuction,
        "anterior_chamber_flushing": AnteriorChamberFlushing,
        "tonifying_antibiotics": TonifyingAntibiotics,
    }
)


class Shot:
    """One camera shot of one phase; `frame(index)` may be asked in any order."""

    def __init__(
        self,
        phase: str,
        look: EyeLook,
        rng: np.random.Generator,
        *,
        frames: int,
        height: int,
        width: int,
        fps: float,
    ) -> None:
        if phase not in ACTIONS:
            raise UnknownPhase(phase)
        self._size = (width, height)
        self._frames, self._fps = frames, fps
        self._look = look
        self._shot: ShotLook = draw_shot_look(rng)
        self._action = ACTIONS[phase](rng)
        self._seed = int(rng.integers(2**31))
        self._fine = 2.0 if height <= 200 else 1.5 if height <= 320 else 1.0
        rows = round(height * self._fine * (1 + 2 * MARGIN))
        columns = round(width * self._fine * (1 + 2 * MARGIN))
        self._still = self._view(np.zeros((rows, columns, 3), dtype=np.uint8))
        paint_eye(self._still, look, self._shot, self._action.pupil)
        self._lids = paint_surroundings(
            self._view(np.zeros((rows, columns, 3), dtype=np.uint8)), look, self._shot
        )
        self._shade = self._vignette()

    def frame(self, index: int) -> Image:
        """Frame `index` as uint8 [height, width, 3] RGB."""
        time_s = index / self._fps
        share = index / max(1, self._frames - 1)
        sway = self._sway(time_s)
        rows, columns = self._still.image.shape[:2]
        shift = np.array([[1.0, 0.0, sway[0]], [0.0, 1.0, sway[1]]])
        image = cv2.warpAffine(
            self._still.image, shift, (columns, rows), borderMode=cv2.BORDER_REPLICATE
        ).astype(np.uint8, copy=False)
        view = self._view(image, sway)
        self._action.draw_inside(view, time_s, share)
        self._lids.cover(view.image)
        self._action.draw_above(view, time_s, share)
        paint_glints(view, self._shot)
        return self._expose(view.image, index, time_s)

    def _view(self, image: Image, sway: tuple[float, float] = (0.0, 0.0)) -> View:
        rows, columns = image.shape[:2]
        shot = self._shot
        scale = shot.radius * self._size[1] * self._fine
        cosine, sine = math.cos(shot.tilt), math.sin(shot.tilt)
        linear = scale * np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([shot.squash, 1.0])
        edge = MARGIN / (1 + 2 * MARGIN)
        centre = [
            columns * (edge + shot.centre[0] * (1 - 2 * edge)) + sway[0],
            rows * (edge + shot.centre[1] * (1 - 2 * edge)) + sway[1],
        ]
        matrix = np.concatenate([linear, np.array(centre)[:, None]], axis=1)
        return View(image=image, matrix=matrix, scale=scale)

    def _sway(self, time_s: float) -> tuple[float, float]:
        """Where the eye has rolled to, in canvas pixels."""
        a, b, c, d, _, _ = self._shot.sway
        size = 0.035 * self._shot.sway_size * self._still.scale
        x = math.sin(0.9 * time_s + a) + 0.5 * math.sin(2.3 * time_s + b)
        y = math.sin(0.7 * time_s + c) + 0.5 * math.sin(2.0 * time_s + d)
        return size * x, size * y

    def _expose(self, canvas: Image, index: int, time_s: float) -> Image:
        """Sample the canvas through the drifting camera, then vignette and sensor noise."""
        width, height = self._size
        rows, columns = canvas.shape[:2]
        _, _, _, _, e, f = self._shot.sway
        drift = MARGIN * 0.35 * height * self._shot.sway_size
        x = drift * math.sin(0.35 * time_s + e)
        y = drift * math.sin(0.28 * time_s + f)
        zoom = (1.0 + 0.012 * math.sin(0.5 * time_s + e)) / self._fine
        matrix = np.array(
            [
                [zoom, 0.0, width / 2 - zoom * columns / 2 + x],
                [0.0, zoom, height / 2 - zoom * rows / 2 + y],
            ]
        )
        picture = cv2.warpAffine(canvas, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        picture = _bloom(picture)
        cv2.multiply(picture, self._shade, dst=picture, scale=1.0 / 255.0)
        rng = np.random.default_rng([self._seed, index])
        grain = rng.integers(0, 256, (height, width), dtype=np.uint8)
        strength = self._shot.noise / 74.0  # of a uniform byte's deviation
        cv2.addWeighted(
            picture, 1.0, cv2.merge([grain, grain, grain]), strength, -127.5 * strength, picture
        )
        return np.asarray(picture, dtype=np.uint8)

    def _vignette(self) -> NDArray[np.uint8]:
        width, height = self._size
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        x = (columns / width - 0.5) * 2
        y = (rows / height - 0.5) * 2
        reach = np.sqrt(x * x * 0.82 + y * y * 0.62)
        dark = np.clip((reach - 0.78) / 0.38, 0, 1)
        shade = 255 * (1 - self._shot.vignette * dark * dark * (3 - 2 * dark))
        return np.repeat(shade.astype(np.uint8)[..., None], 3, axis=2)


def _bloom(picture: Image) -> Image:
    """Light scattered in the optics: a veil around what is bright, and a little softness."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    small = cv2.subtract(small, (150, 150, 150, 0))
    veil = cv2.resize(cv2.GaussianBlur(small, (0, 0), height / 70), (width, height))
    soft = cv2.GaussianBlur(picture, (0, 0), max(0.45, height / 560))
    return np.asarray(cv2.addWeighted(soft, 1.0, veil, 0.42, 0.0), dtype=np.uint8)


def shot_frames(shot: Shot, frames: int) -> Iterator[Image]:
    """All frames of a shot in order."""
    return (shot.frame(index) for index in range(frames))


def render_clip(
    phase: str,
    rng: np.random.Generator,
    *,
    frames: int,
    height: int,
    width: int,
    fps: float,
    overlay: str = "none",
) -> NDArray[np.uint8]:
    """One clip of one phase of a new patient: uint8 [frames, height, width, 3] RGB.

    `overlay` is "none", "device", "logo" or "personal". Raises UnknownPhase or InvalidRequest.
    """
    look = draw_eye_look(rng)
    shot = Shot(phase, look, rng, frames=frames, height=height, width=width, fps=fps)
    stack = np.stack(list(shot_frames(shot, frames)))
    if overlay != "none":
        draw_overlay(stack, overlay, rng)
    return stack
