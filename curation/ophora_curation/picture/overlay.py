"""Burned-in text of a clip: none, provably harmless, or held for a person.

Tissue moves and an overlay does not, so the mean of a few seconds keeps the text and loses the
eye; faint text that no single frame shows comes out too. Text is harmless only when every line
reads as a device's figures or a known logo. All else, and all that can't be read, is held.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.picture.text_detector import Box, TextDetector, TextLine

Picture = npt.NDArray[np.uint8]

OverlayKind = Literal["none", "device", "logo", "personal", "unread"]
_NUMBER = re.compile(r"[+-]?\d{1,4}(?:[.,]\d{1,2})?%?$")
_DATE = re.compile(r"\d{1,4}\s*[-./]\s*\d{1,2}\s*[-./]\s*\d{1,4}|\d{5,}")
_TOKEN = re.compile(r"[A-Za-z]+(?:/[A-Za-z]+)?|[+-]?\d+(?:[.,]\d+)?%?|[^\sA-Za-z\d]")
_PUNCTUATION = frozenset(":;.,/-|%()[]+=*'\"<>_~#&")
_MIN_CONFIDENCE = 0.6
_CHUNK_S = 4.0
_TALLEST = 0.22  # share of the picture's height that one line of text can take


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayVerdict:
    """What the text of a clip amounts to; no text of it is kept."""

    kind: OverlayKind
    num_lines: int


@cache
def overlay_words(kind: str) -> frozenset[str]:
    """The words of `device` read-outs or `logo`s that are known to be harmless."""
    text = (files("ophora_curation") / "data" / "overlay_words.txt").read_text(encoding="ascii")
    mark = f"{kind}: "
    lines = [line.removeprefix(mark) for line in text.splitlines() if line.startswith(mark)]
    return frozenset(word for line in lines for word in line.split())


@dataclass(frozen=True, slots=True)
class MeanPicture:
    """The mean of a few seconds and the frame in their middle. Still identifiable."""

    mean: Picture = field(repr=False)
    middle: Picture = field(repr=False)


class MeanPictures:
    """Adds up a clip's frames and gives the mean of every few seconds."""

    def __init__(self, num_frames: int, fps: float) -> None:
        chunks = max(1, math.ceil(num_frames / fps / _CHUNK_S))
        self._limit = math.ceil(num_frames / chunks)
        self._means: list[MeanPicture] = []
        self._sum: npt.NDArray[np.uint32] | None = None
        self._middle: Picture | None = None
        self._count = 0

    def add(self, picture: Picture) -> None:
        """Add one RGB frame; all frames have one size."""
        if self._sum is None:
            self._sum = np.zeros(picture.shape, np.uint32)
        self._sum += picture
        if self._count == self._limit // 2 or self._middle is None:
            self._middle = picture
        self._count += 1
        if self._count == self._limit:
            self._close()

    def means(self) -> list[MeanPicture]:
        """The means so far, the last chunk included however short it is."""
        if self._count:
            self._close()
        return self._means

    def _close(self) -> None:
        if self._sum is not None and self._middle is not None:
            mean = (self._sum // self._count).astype(np.uint8)
            self._means.append(MeanPicture(mean, self._middle))
        self._sum, self._middle, self._count = None, None, 0


def judge_overlay(
    detector: TextDetector, means: Sequence[MeanPicture], harmless_words: Sequence[str]
) -> OverlayVerdict:
    """The worst verdict over the mean pictures of a clip."""
    own = frozenset(word.lower() for word in harmless_words)
    verdicts = [judge_lines(_read(detector, mean), own) for mean in means]
    order = ("none", "logo", "device", "unread", "personal")
    return max(verdicts, key=lambda verdict: order.index(verdict.kind))


def _read(detector: TextDetector, picture: MeanPicture) -> list[TextLine]:
    """Lines are found in the mean; a figure that changes is read better in a single frame."""
    mean, middle = _enlarge(picture.mean), _enlarge(picture.middle)
    lines = []
    for box, score in detector.find(mean):
        if not _can_be_line(box, mean.shape[0]):
            continue
        readings = [detector.read(source, box, score) for source in (mean, middle)]
        lines.append(max(readings, key=lambda line: line.confidence))
    return lines


def _can_be_line(box: Box, picture_height: int) -> bool:
    """Not the round eye itself, which a text detector takes for an O: so tall and so narrow a box
    could hold two letters at most."""
    width, height = box[2] - box[0], box[3] - box[1]
    return height <= _TALLEST * picture_height or width > 2.5 * height


def judge_lines(lines: Sequence[TextLine], own_words: frozenset[str]) -> OverlayVerdict:
    """Harmless only when every line is read for sure and every word of it is known."""
    kinds = {_judge_line(line, own_words) for line in lines} - {"mark"}
    kind: OverlayKind = "none"
    if "personal" in kinds:
        kind = "personal"
    elif "unread" in kinds:
        kind = "unread"
    elif "device" in kinds:
        kind = "device"
    elif "logo" in kinds:
        kind = "logo"
    elif kinds:  # figures alone, with no device's word near them
        kind = "unread"
    return OverlayVerdict(kind=kind, num_lines=len(lines))


def _judge_line(line: TextLine, own_words: frozenset[str]) -> str:
    width, height = line.box[2] - line.box[0], line.box[3] - line.box[1]
    if len(line.text) <= 1 and width < 1.6 * height:
        return "mark"  # an emblem, a highlight or a wire: one letter names nobody
    if _DATE.search(line.text):
        return "personal"
    if line.confidence < _MIN_CONFIDENCE or not line.text:
        return "unread"
    kinds = {_judge_token(token, own_words) for token in _TOKEN.findall(line.text)}
    kinds.discard("mark")
    if "unknown" in kinds or not kinds:
        return "personal" if "unknown" in kinds else "unread"
    if "device" in kinds:
        return "device"
    return "logo" if "logo" in kinds else "figure"


def _judge_token(token: str, own_words: frozenset[str]) -> str:
    word = token.lower()
    if word in _PUNCTUATION:
        return "mark"
    if _NUMBER.match(word):
        return "figure"
    if _knows(word, overlay_words("device")):
        return "device"
    if _knows(word, overlay_words("logo")) or _knows(word, own_words):
        return "logo"
    return "unknown"


def _knows(word: str, words: frozenset[str]) -> bool:
    """Exact, or one misread letter in a word of five or more."""
    if word in words:
        return True
    if len(word) < 5:
        return False
    return any(
        abs(len(known) - len(word)) <= 1
        and len(known) >= 5
        and SequenceMatcher(None, word, known).ratio() >= 1 - 1.2 / len(known)
        for known in words
    )


def _enlarge(mean: Picture) -> Picture:
    """To a width that small text needs, sides in multiples of 32."""
    height, width = mean.shape[:2]
    wide = min(max(width, 512), 960)
    high = wide * height / width
    size = (round(wide / 32) * 32, max(32, round(high / 32) * 32))
    method = cv2.INTER_CUBIC if size[0] >= width else cv2.INTER_AREA
    return np.asarray(cv2.resize(mean, size, interpolation=method), dtype=np.uint8)
