"""Text in a picture: where it is and what it says (PP-OCR's two ONNX models, run directly).

The models come inside the rapidocr package and are checked against their pinned hashes. Calling
them directly takes about a tenth of the time of the package's own interface.
"""

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.picture.packaged_model import open_model, read_model

DETECTOR = (
    "PP-OCRv6_det_small.onnx",
    "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
)
READER = (
    "PP-OCRv6_rec_small.onnx",
    "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
)
_THRESHOLD = 0.3  # of the text probability map
_BOX_SCORE = 0.5
_UNCLIP = 1.6
_LINE_HEIGHT = 48

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLine:
    """One line of text in the picture; the text is "" when it could not be read."""

    box: Box
    score: float
    text: str = field(repr=False)  # may be personal
    confidence: float


class TextDetector:
    """Finds and reads lines. Making one raises `DetectorMissing` when a model is not right."""

    def __init__(self) -> None:
        self._detector = _session(*DETECTOR)
        self._reader = _session(*READER)
        characters = self._reader.get_modelmeta().custom_metadata_map["character"]
        self._characters = ["", *characters.splitlines(), " "]

    def find(self, picture: Picture) -> list[tuple[Box, float]]:
        """Boxes of lines, with scores, in an RGB picture whose sides are multiples of 32."""
        tensor = _tensor(picture)
        return _boxes(self._detector.run(None, {"x": tensor})[0][0, 0])

    def read(self, picture: Picture, box: Box, score: float) -> TextLine:
        """What the line in a box of an RGB picture says."""
        left, top, right, bottom = box
        crop = picture[top:bottom, left:right]
        width = max(32, round(_LINE_HEIGHT * crop.shape[1] / crop.shape[0]))
        line = cv2.resize(crop, (width, _LINE_HEIGHT), interpolation=cv2.INTER_CUBIC)
        chances = self._reader.run(None, {"x": _tensor(np.asarray(line, np.uint8))})[0][
            0
        ]  # [steps, characters]
        best, peak = chances.argmax(axis=1), chances.max(axis=1)
        kept = (best != 0) & np.concatenate(([True], best[1:] != best[:-1]))
        text = "".join(self._characters[index] for index in best[kept])
        sure = float(peak[kept].mean()) if kept.any() else 0.0
        return TextLine(box=box, score=score, text=text.strip(), confidence=sure)


def _tensor(picture: Picture) -> npt.NDArray[np.float32]:
    """[1, 3, height, width] in [-1, 1], blue first as the models were trained."""
    bgr = np.ascontiguousarray(picture[..., ::-1]).astype(np.float32)
    return bgr.transpose(2, 0, 1)[None] / np.float32(127.5) - np.float32(1.0)


def _boxes(chances: npt.NDArray[np.float32]) -> list[tuple[Box, float]]:
    """Upright boxes around the blobs of the probability map, grown to the size of the line."""
    height, width = chances.shape
    mask = cv2.dilate((chances > _THRESHOLD).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        left, top, wide, high = cv2.boundingRect(contour)
        if min(wide, high) < 3:
            continue
        inside = np.zeros((high, wide), np.uint8)
        cv2.drawContours(inside, [contour - np.array([[left, top]])], -1, 1, -1)
        score = float(chances[top : top + high, left : left + wide][inside > 0].mean())
        if score < _BOX_SCORE:
            continue
        grow = round(wide * high * _UNCLIP / (2 * (wide + high)))
        box = (
            max(0, left - grow),
            max(0, top - grow),
            min(width, left + wide + grow),
            min(height, top + high + grow),
        )
        found.append((box, score))
    return sorted(found, key=lambda item: (item[0][1], item[0][0]))


def _session(name: str, sha256: str) -> Any:
    remedy = "reinstall rapidocr==3.10.0"
    return open_model(read_model("rapidocr", f"models/{name}", sha256, remedy=remedy))
