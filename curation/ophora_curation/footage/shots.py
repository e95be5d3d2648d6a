"""Where one shot ends and the next begins: what every detector of shots gives.

A detector is fed the small planes of every frame, in order, and names boundaries: a cut (no frame
belongs to two shots) or a blend, whose mixed frames belong to none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ophora_curation.footage.planes import SmallPlanes
from ophora_curation.settings import CurationSettings

MIN_SHOT_S = 0.6


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Boundary:
    """Frames `begin` to `end` (exclusive) are mixed; `end` is the next shot's first frame.

    A cut has `begin == end`.
    """

    begin: int
    end: int

    @property
    def is_cut(self) -> bool:
        """Whether no frame is mixed."""
        return self.begin == self.end


class ShotDetector(Protocol):
    """One pass over a video's frames."""

    lag: int  # frames after which nothing new is found further back

    def add(self, small: SmallPlanes, *, change: float, repeated: bool) -> None:
        """The next frame; `change` is its mean difference to the one before, 0-255."""
        ...

    def boundaries(self) -> Sequence[Boundary]:
        """What was found so far, in order, without overlaps."""
        ...


def make_detector(fps: float, settings: CurationSettings) -> ShotDetector:
    """The detector that the settings name. Raises `DetectorMissing` where it is not installed."""
    match settings.shot_detector:
        case "pyscenedetect":
            from ophora_curation.footage.shots_pyscenedetect import PySceneDetector

            return PySceneDetector(fps, settings)
        case "transnet":
            from ophora_curation.footage.shots_transnet import TransnetDetector

            return TransnetDetector(fps)
        case _:
            from ophora_curation.footage.shots_planes import PlanesDetector

            return PlanesDetector(fps, settings)


def shots_between(boundaries: Sequence[Boundary], num_frames: int) -> tuple[tuple[int, int], ...]:
    """First and last frame of every shot, in order."""
    starts = [0, *(boundary.end for boundary in boundaries)]
    ends = [*(boundary.begin for boundary in boundaries), num_frames]
    pairs = zip(starts, ends, strict=True)
    return tuple((start, end - 1) for start, end in pairs if end > start)
