"""One pass over a video's frames: where the cuts are and how every frame looks.

Frames are shrunk at once and only numbers are kept, so an hour of video costs a few hundred
kilobytes. Cuts come from PySceneDetect's content score (the paper's tool), fed with the shrunken
frames, so a video is decoded once for everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scenedetect import ContentDetector, FrameTimecode  # type: ignore[import-untyped]

from ophora_curation.source.reader import Frame

_WIDTH = 160
_TILES = 6
_DARK = 24.0  # luma, 0-255
_SAME = 0.35  # mean absolute luma difference below which a frame repeats the one before

Floats = npt.NDArray[np.float64]
Small = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one pass saw; arrays run over frames."""

    times_s: Floats
    cuts: tuple[int, ...]  # index of the first frame of each shot but the first
    luma: Floats  # mean, 0-255
    spread: Floats  # standard deviation of luma
    sharpness: Floats  # variance of the Laplacian, median over tiles
    motion: Floats  # median flow in percent of the width a second; 0 for a repeated frame
    repeated: npt.NDArray[np.bool_]
    field: Floats  # share of eye-coloured pixels in the middle of the picture, 0-1

    @property
    def num_frames(self) -> int:
        """How many frames were decoded."""
        return int(self.times_s.size)

    def span_of(self, first: int, last: int, frame_s: float) -> tuple[float, float]:
        """Start and end time of frames first..last (inclusive)."""
        return float(self.times_s[first]), float(self.times_s[last]) + frame_s


def observe(frames: Iterable[Frame], *, fps: float, shot_threshold: float) -> Observation:
    """Look at every frame once."""
    detector = ContentDetector(threshold=shot_threshold, min_scene_len=max(2, round(fps * 0.6)))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    cuts: set[int] = set()
    rows: list[tuple[float, ...]] = []
    before: Small | None = None
    for frame in frames:
        small = _shrink(frame.picture)
        timecode = FrameTimecode(frame.index, fps=max(fps, 1.0))
        found = detector.process_frame(timecode, small[..., ::-1])  # the detector wants BGR
        cuts.update(cut.frame_num for cut in found)
        luma = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        same, motion = _move(flow, before, luma, fps)
        sharpness = _sharpness(luma)
        look = (float(luma.mean()), float(luma.std()), sharpness)
        rows.append((frame.time_s, *look, motion, float(same), _eye_share(small)))
        before = luma
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    return Observation(
        times_s=table[:, 0],
        cuts=tuple(sorted(cut for cut in cuts if cut > 0)),
        luma=table[:, 1],
        spread=table[:, 2],
        sharpness=table[:, 3],
        motion=table[:, 4],
        repeated=table[:, 5] > 0,
        field=table[:, 6],
    )


def _shrink(picture: Small) -> Small:
    height = max(32, round(_WIDTH * picture.shape[0] / picture.shape[1]))
    shrunk = cv2.resize(picture, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, dtype=np.uint8)


def _move(
    flow: cv2.DISOpticalFlow, before: Small | None, now: Small, fps: float
) -> tuple[bool, float]:
    if before is None:
        return False, 0.0
    if float(cv2.absdiff(before, now).mean()) < _SAME:
        return True, 0.0
    field = flow.calc(before, now, None)
    length = np.hypot(field[..., 0], field[..., 1])
    return False, float(np.percentile(length, 90)) * fps * 100.0 / _WIDTH


def _sharpness(luma: Small) -> float:
    """Median over tiles, so that the sharp letters of an overlay don't hide a blurred eye."""
    edges = cv2.Laplacian(luma, cv2.CV_32F)
    height, width = (side // _TILES * _TILES for side in luma.shape)
    tiles = np.asarray(edges)[:height, :width].reshape(
        _TILES, height // _TILES, _TILES, width // _TILES
    )
    return float(np.median(tiles.var(axis=(1, 3))))


def _eye_share(small: Small) -> float:
    """Share of the middle that is lit and warm or white, as tissue, iris and reflex are."""
    height, width = small.shape[:2]
    middle = small[height // 4 : -height // 4, width // 4 : -width // 4].astype(np.int16)
    red, green, blue = middle[..., 0], middle[..., 1], middle[..., 2]
    lit = middle.max(axis=-1) > _DARK
    return float((lit & (red >= green - 8) & (red >= blue - 4)).mean())
