"""Shots by PySceneDetect's content score, the paper's tool, fed with the small planes.

It knows cuts only: a dissolve is missed or put on one of its frames.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from scenedetect import ContentDetector, FrameTimecode  # type: ignore[import-untyped]

from ophora_curation.footage.planes import SmallPlanes
from ophora_curation.footage.shots import MIN_SHOT_S, Boundary
from ophora_curation.settings import CurationSettings


class PySceneDetector:
    """`ContentDetector` behind our protocol."""

    def __init__(self, fps: float, settings: CurationSettings) -> None:
        self._fps = max(float(fps), 1.0)
        least = max(2, round(fps * MIN_SHOT_S))
        self._detector = ContentDetector(threshold=settings.shot_threshold, min_scene_len=least)
        self.lag = 4 * least
        self._cuts: set[int] = set()
        self._count = 0

    def add(self, small: SmallPlanes, *, change: float, repeated: bool) -> None:
        """The next frame; PySceneDetect makes its own differences."""
        height, width = small.y.shape
        colour = [cv2.resize(plane, (width, height)) for plane in (small.v, small.u)]
        picture = cv2.cvtColor(np.dstack([small.y, *colour]), cv2.COLOR_YCrCb2BGR)
        timecode = FrameTimecode(self._count, fps=self._fps)
        self._cuts.update(cut.frame_num for cut in self._detector.process_frame(timecode, picture))
        self._count += 1

    def boundaries(self) -> Sequence[Boundary]:
        """The cuts so far."""
        return [Boundary(begin=cut, end=cut) for cut in sorted(self._cuts) if cut > 0]
