"""Lines of text in a clip's stills, in the clip's own pixels, one for each place.

A line is looked for in the mean of every still, and once more in double size round every line that
was found: a patient's data come in blocks, and the smallest line of a block is easily missed. Last
comes the mean of the whole clip with its detail raised, for what is faint or tiny all the time; it
adds lines where the stills showed none. The same place read twice counts once, by its surest
reading; a sure reading that is personal always wins. A place is left out as a mark (an emblem, a
highlight) only where every reading of it says so.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.picture.overlay import LineKind, is_mark, judge_lines
from ophora_curation.picture.stills import Still
from ophora_curation.picture.text_detector import TextDetector, TextLine
from ophora_curation.settings import CurationSettings
from ophora_curation.store.records import Box

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
_WIDTH = 640  # small text needs it
_SMALL, _SMALL_WIDTH = 720, 960  # letters of a small picture have five pixels
_RAISED, _DETAIL = 6.0, 1 / 90  # so many times what is smaller than this share of the width
_ZOOM = 2
_BLOCK_LINES = 7  # above and below a line
_TALLEST = 0.22  # share of the picture's height that one line of text can take
_SAME_PLACE = 0.3  # of the smaller box


def find_lines(
    stills: Sequence[Still], detector: TextDetector, settings: CurationSettings
) -> list[tuple[TextLine, LineKind]]:
    """Every line of a clip with its kind; marks are left out."""
    readings: list[TextLine] = []
    for still in stills:
        found = _read(still, detector, settings)
        readings += found + _read_closer(still, found, detector, settings)
    readings += _read_raised(stills, readings, detector, settings)
    own = frozenset(word.lower() for word in settings.harmless_words)
    sure = settings.text_confidence
    lines = [
        _surest(group, own, sure)
        for group in _places(readings)
        if not all(is_mark(line) for line in group)
    ]
    return list(zip(lines, judge_lines(lines, own, min_confidence=sure), strict=True))


def _read(
    still: Still, detector: TextDetector, settings: CurationSettings, *, widest: int = _WIDTH
) -> list[TextLine]:
    """Lines are found in the mean; a figure that changes is read better in the single frame."""
    mean, middle = (_resized(picture, widest) for picture in (still.mean, still.middle))
    lines = []
    for box, score in detector.find(mean):
        if score < settings.text_score or not _can_be_line(box, mean.shape[0]):
            continue
        readings = [detector.read(source, box, score) for source in (mean, middle)]
        best = max(readings, key=lambda line: line.confidence)
        lines.append(_scaled(best, mean, still.mean))
    return lines


def _read_closer(
    still: Still, found: Sequence[TextLine], detector: TextDetector, settings: CurationSettings
) -> list[TextLine]:
    """The lines round those that were found, in double size."""
    lines = []
    height, width = still.mean.shape[:2]
    for left, top, right, bottom in _neighbourhoods([line.box for line in found], (width, height)):
        part = Still(*(view[top:bottom, left:right] for view in (still.mean, still.middle)))
        for line in _read(part, detector, settings, widest=_ZOOM * (right - left)):
            box = (
                line.box[0] + left,
                line.box[1] + top,
                line.box[2] + left,
                line.box[3] + top,
            )
            lines.append(replace(line, box=box))
    return lines


def _read_raised(
    stills: Sequence[Still],
    known: Sequence[TextLine],
    detector: TextDetector,
    settings: CurationSettings,
) -> list[TextLine]:
    """The lines that only the whole clip's mean shows, with its detail raised."""
    mean = np.stack([still.mean for still in stills]).mean(axis=0).astype(np.uint8)
    widest = _WIDTH if mean.shape[1] >= _SMALL else _SMALL_WIDTH
    seen = _raised(_resized(mean, widest, least=widest))
    raised = Still(seen, seen)
    found = _read(raised, detector, settings, widest=widest)
    found += _read_closer(raised, found, detector, settings)
    lines = [_scaled(line, seen, stills[0].mean) for line in found]
    return [
        line
        for line in lines
        if all(_overlap(line.box, other.box) < _SAME_PLACE for other in known)
    ]


def _raised(picture: Picture) -> Picture:
    """Grey, and what is no larger than letters many times stronger."""
    plain = picture.astype(np.float32)
    smooth = cv2.GaussianBlur(plain, (0, 0), _DETAIL * picture.shape[1])
    return np.asarray(np.clip(128 + (plain - smooth) * _RAISED, 0, 255), dtype=np.uint8)


def _neighbourhoods(boxes: Sequence[Box], size: tuple[int, int]) -> list[Box]:
    """Where a block of text may go on, joined where they overlap."""
    regions: list[Box] = []
    for left, top, right, bottom in boxes:
        tall, wide = bottom - top, right - left
        region = (
            max(0, left - wide),
            max(0, top - _BLOCK_LINES * tall),
            min(size[0], right + wide),
            min(size[1], bottom + _BLOCK_LINES * tall),
        )
        while True:
            met = [other for other in regions if _overlap(region, other) > 0]
            if not met:
                break
            regions = [other for other in regions if other not in met]
            region = _hull([region, *met])
        regions.append(region)
    return regions


def _can_be_line(box: Box, picture_height: int) -> bool:
    """Not the round eye itself, which a text detector takes for an O: so tall and so narrow a box
    could hold two letters at most."""
    width, height = box[2] - box[0], box[3] - box[1]
    return height <= _TALLEST * picture_height or width > 2.5 * height


def _resized(picture: Picture, widest: int, *, least: int = _WIDTH) -> Picture:
    """To a width that small text needs, sides in multiples of 32."""
    height, width = picture.shape[:2]
    wide = min(max(width, least), widest)
    high = wide * height / width
    size = (max(32, round(wide / 32) * 32), max(32, round(high / 32) * 32))
    method = cv2.INTER_CUBIC if size[0] >= width else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)


def _scaled(line: TextLine, seen: Picture, own: Picture) -> TextLine:
    """The line with its box in the clip's own pixels, rounded outwards."""
    down, across = own.shape[0] / seen.shape[0], own.shape[1] / seen.shape[1]
    left, top, right, bottom = line.box
    box = (
        int(left * across),
        int(top * down),
        math.ceil(right * across),
        math.ceil(bottom * down),
    )
    return replace(line, box=box)


def _places(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Readings of the same place together."""
    groups: list[list[TextLine]] = []
    for line in lines:
        for group in groups:
            if any(_overlap(line.box, other.box) >= _SAME_PLACE for other in group):
                group.append(line)
                break
        else:
            groups.append([line])
    return groups


def _surest(group: Sequence[TextLine], own: frozenset[str], sure: float) -> TextLine:
    kinds = [judge_lines([line], own, min_confidence=sure)[0] for line in group]
    personal = [line for line, kind in zip(group, kinds, strict=True) if kind == "personal"]
    best = max(personal or group, key=lambda line: line.confidence)
    return replace(best, box=_hull([line.box for line in group]))


def _hull(boxes: Sequence[Box]) -> Box:
    """The smallest box round all of these."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _overlap(one: Box, other: Box) -> float:
    """Shared area as a share of the smaller box."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / max(1, min(areas))
