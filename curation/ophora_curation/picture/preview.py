"""What curation would find in one recording's pictures, shown before anything is curated.

    video -> a picture a second, at a clip's size, layouts masked -> guard.py by five seconds
        -> Preview, and a contact sheet for a person to look at

The sheet is still identifiable: it is for the site's own eyes and readable by its owner alone.
Surroundings of a round field are not cut off here, so a preview may list what a clip never shows.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.detectors import Detectors
from ophora_curation.picture.guard import Inspection, inspect
from ophora_curation.picture.layout import parse_layouts, rectangles
from ophora_curation.picture.mask import fill, panel_masks
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import probe_video
from ophora_curation.source.reader import Reader, open_reader
from ophora_curation.store.records import Box, Finding

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
_CHUNK_S = 5
_TILE = 256  # pixels of width of one picture in the sheet
_MOST_FOUND, _MOST_CLEAN = 40, 20  # chunks in the sheet: some 150 MB of pixels at most
_FRAME_COLOUR = (255, 60, 60)


class Chunk(NamedTuple):
    """Some seconds of the video and what must not be seen in them."""

    start_s: float
    end_s: float
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What must not be seen, by time; boxes are in pictures of `width` x `height`, a clip's size.

    `masked` says that a clip would be masked there; what is not masked holds the clip. A detector
    that broke is a finding of its own over the whole picture. No text is kept.
    """

    width: int
    height: int
    chunks: tuple[Chunk, ...]


def preview_video(
    path: Path, *, settings: CurationSettings, detectors: Detectors, sheet: Path | None = None
) -> Preview:
    """Look at one picture a second. `sheet` is a PNG file that gets, for each chunk, a row of
    pictures with boxes around the findings and a row with masks over them; of a long video the
    first chunks with findings and a few without.

    Raises `VideoRefused`, `DetectorMissing`, `SettingsError` for a wrong layout, and `OSError` when
    the sheet can't be written.
    """
    layouts = parse_layouts(settings.layouts)
    probe = probe_video(path, settings=settings)
    looking = (detectors.overlay, detectors.faces)  # a missing one is an error before the work
    size = _fitted_size((probe.width, probe.height), settings)
    shares = rectangles(layouts, (probe.width, probe.height)) or ()
    covered = [_finding("layout", "layout", _pixels(box, size), masked=True) for box in shares]
    rows = _Rows()
    chunks = []
    reader = open_reader(path, probe, decoder=settings.decoder)
    pending = _samples(reader, size)
    while samples := tuple(islice(pending, _CHUNK_S)):
        raw = [picture for _, picture in samples]
        pictures = [fill(picture, [item.box for item in covered]) for picture in raw]
        seen = inspect(
            pictures,
            fps=1.0,
            text=lambda: looking[0],
            faces=lambda: looking[1],
            settings=settings,
        )
        findings = (*covered, *_judged(seen, size, settings))
        start_s, end_s = samples[0][0], samples[-1][0] + 1.0
        chunks.append(Chunk(start_s, min(end_s, probe.duration_s or end_s), findings))
        if sheet is not None:
            rows.add(pictures, findings)
    if sheet is not None:
        _write(sheet, rows.picture())
    return Preview(width=size[0], height=size[1], chunks=tuple(chunks))


def _samples(reader: Reader, size: tuple[int, int]) -> Iterator[tuple[float, Picture]]:
    """The first sound frame of each second and its time, scaled."""
    next_s = 0.0
    for frame in reader:
        if frame.time_s >= next_s and not frame.damaged:
            picture = frame.picture()
            if picture.shape[1::-1] != size:
                picture = _resized(picture, size)
            yield frame.time_s, picture
            next_s = float(int(frame.time_s) + 1)


def _judged(
    seen: Inspection, size: tuple[int, int], settings: CurationSettings
) -> Iterator[Finding]:
    """What must not be seen, and whether a clip would be masked there or held."""
    for found in seen.bad:
        yield replace(found, masked=found.kind != "face" and settings.personal_overlay == "mask")
    if seen.failure:
        yield _finding("guard", seen.failure, (0, 0, *size), masked=False)


def _finding(detector: str, kind: str, box: Box, *, masked: bool) -> Finding:
    return Finding(detector=detector, kind=kind, box=box, score=1.0, masked=masked)


class _Rows:
    """The sheet's rows so far."""

    def __init__(self) -> None:
        self._rows: list[Picture] = []
        self._room = {True: _MOST_FOUND, False: _MOST_CLEAN}

    def add(self, pictures: Sequence[Picture], findings: Sequence[Finding]) -> None:
        """Two rows: findings framed, findings masked."""
        has_found = bool(findings)
        if not self._room[has_found]:
            return
        self._room[has_found] -= 1
        height, width = pictures[0].shape[:2]
        whole = {"layout", "guard"}
        masks = [item.box for item in findings if item.detector in whole]
        lines = [item.box for item in findings if item.detector not in whole]
        masks += panel_masks(lines, (width, height))
        self._rows.append(_row([_framed(picture, findings) for picture in pictures]))
        self._rows.append(_row([fill(picture, masks) for picture in pictures]))

    def picture(self) -> Picture:
        """All rows, one below the other."""
        return np.concatenate(self._rows) if self._rows else np.zeros((2, _TILE, 3), np.uint8)


def _row(pictures: Sequence[Picture]) -> Picture:
    height, width = pictures[0].shape[:2]
    tile = (_TILE, max(2, round(_TILE * height / width)))
    row = np.zeros((tile[1], _TILE * _CHUNK_S, 3), np.uint8)
    for number, picture in enumerate(pictures):
        row[:, number * _TILE : (number + 1) * _TILE] = _resized(picture, tile)
    return row


def _framed(picture: Picture, findings: Sequence[Finding]) -> Picture:
    framed = picture.copy()
    for found in findings:
        left, top, right, bottom = found.box
        cv2.rectangle(framed, (left, top), (right - 1, bottom - 1), _FRAME_COLOUR, 3)
    return framed


def _write(path: Path, picture: Picture) -> None:
    """A PNG that its owner alone may read, under its own name only once it is whole."""
    data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix=".png")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _fitted_size(size: tuple[int, int], settings: CurationSettings) -> tuple[int, int]:
    """Width and height scaled down to a clip's, sides even; never up."""
    scale = min(1.0, settings.clip_width / size[0], settings.clip_height / size[1])
    return max(2, round(size[0] * scale / 2) * 2), max(2, round(size[1] * scale / 2) * 2)


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _pixels(shares: tuple[float, float, float, float], size: tuple[int, int]) -> Box:
    """A box that covers every pixel the shares touch."""
    left, top, right, bottom = shares
    width, height = size
    return (
        int(left * width),
        int(top * height),
        int(np.ceil(right * width)),
        int(np.ceil(bottom * height)),
    )
