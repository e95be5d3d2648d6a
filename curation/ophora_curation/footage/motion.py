"""How much moves: optical flow on small luma, in percent of the picture's width a second.

DIS in its fastest preset at 160 x 90 on every frame ranks clips like Farneback at four times the
pixels and costs a fortieth (benchmarks/curation_parts/motion.py).
"""

import cv2
import numpy as np

from ophora_curation.footage.planes import Small

_PERCENTILE = 90  # an instrument covers little of the picture
_STRIDE = 2


class MotionMeter:
    """Keeps the flow's buffers from frame to frame."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def speed(self, before: Small, now: Small, seconds: float) -> float:
        """Of the faster parts of the picture, between two frames so far apart in time."""
        field = self._flow.calc(before, now, None)[::_STRIDE, ::_STRIDE]
        squared = np.square(field).sum(axis=-1).ravel()
        rank = squared.size * _PERCENTILE // 100
        length = float(np.sqrt(np.partition(squared, rank)[rank]))
        return 100.0 * length / int(now.shape[1]) / max(seconds, 1e-3)
