"""A clip from its pictures: field, layout, encode, inspect what was written, mask, inspect again.

    pictures -> region (field.py, layout.py) -> scaled -> draft -> guard.py inspects the draft
        -> nothing to hide: the draft is the clip
        -> something to hide: masks (mask.py), encoded again from the draft's own pixels, inspected

What is inspected is always the written file, decoded again: a claim about it can't be about
something else. The paper's section "Comprehensive Data Curation".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ophora_curation.picture.text_detector import TextDetector
from ophora_curation.settings import CurationSettings
from ophora_curation.store.records import Finding, Tier

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB


class Vision(Protocol):
    """A model of the site's own that looks at pictures (vision.py)."""

    def doubts(self, pictures: Sequence[Picture]) -> tuple[str, ...]:
        """Closed words for what should not be there; raises `RefinerFailed`."""
        ...


class Faces(Protocol):
    """A face detector (face_detector.py)."""

    def find(self, picture: Picture) -> list[tuple[tuple[int, int, int, int], float]]:
        """Boxes and scores of the faces in an RGB picture of any size."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeClip:
    """A finished draft and the verdict on it.

    `path` is still under its temporary name, mode 0600: `clip_file.place` moves it to where its
    tier belongs. It is None only when there was no picture (tier "rejected", reason "no-frames").
    `residual` counts what the second look still found and must not be there.
    """

    tier: Tier
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    residual: int = 0
    sha256: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    path: Path | None = field(default=None, repr=False)


class ClipMaker:
    """Makes clips in one folder. `text` and `faces` are called for the detectors when a clip is
    looked at; whatever they raise holds that clip ("overlay-detector-failed",
    "face-detector-failed")."""

    def __init__(
        self,
        *,
        folder: Path,
        text: Callable[[], TextDetector],
        faces: Callable[[], Faces],
        settings: CurationSettings,
        vision: Vision | None = None,
    ) -> None:
        self._folder = folder
        self._text = text
        self._faces = faces
        self._settings = settings
        self._vision = vision

    def make(
        self,
        pictures: Iterable[Picture],
        *,
        clip_id: str,
        fps: Fraction,
        brightest: npt.NDArray[np.uint8] | None,
        source_size: tuple[int, int],
    ) -> MadeClip:
        """Write the clip's draft and judge it.

        `pictures` are upright RGB at source size, on the clip's time grid; `brightest` is the
        shot's temporal maximum of small luma, upright, any size; `source_size` is width, height.
        Raises `StoreFull` when the draft can't be written; no draft is left then.
        """
        raise NotImplementedError
