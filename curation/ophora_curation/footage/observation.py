"""One pass over a video's frames: where its shots are and how every frame looks.

    planes -> small planes -> shots, motion, blur, black, freeze, field, fingerprints -> Observation

Only numbers are kept, in arrays that grow by some thirty bytes a frame, and for each shot its
brightest picture in 160 pixels of width; an hour of video stays under ten megabytes.
"""

import dataclasses
from array import array
from bisect import bisect_right
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.errors import VideoRefused
from ophora_curation.footage.brightest import BrightestPictures
from ophora_curation.footage.fingerprint import Hasher, Hashes
from ophora_curation.footage.measures import eye_share, sharpness
from ophora_curation.footage.motion import MotionMeter
from ophora_curation.footage.planes import Small, SmallPlanes, difference, shrink
from ophora_curation.footage.shots import Boundary, make_detector, shots_between
from ophora_curation.settings import CurationSettings
from ophora_curation.source.reader import Frame, Reader

_SAME = 0.35  # mean luma difference, 0-255, below which a frame repeats the last one that did not
_FULL_LOOKS = 5  # a second, of what changes slowly: sharpness and field
_MAX_RATE = 240  # frames a second; a file with more of them has no end that is worth waiting for
_UNEVEN = 0.25  # of a frame's usual time, from which on a rate is variable

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one pass saw; arrays run over frames."""

    times_s: Floats
    luma: Values  # mean, 0-255
    spread: Values  # standard deviation of luma
    sharpness: Values  # variance of the Laplacian, median over tiles
    motion: Values  # flow of the faster parts, percent of the width a second; 0 where repeated
    repeated: Flags
    field: Values  # share of eye-coloured pixels in the middle of the picture, 0-1
    damaged: Flags
    cuts: tuple[int, ...] = ()  # first frame after each hard cut
    blends: tuple[tuple[int, int], ...] = ()  # first and last mixed frame of each dissolve or fade
    fingerprints: Hashes = dataclasses.field(default_factory=lambda: np.zeros(0, np.uint64))
    fingerprint_times_s: Floats = dataclasses.field(default_factory=lambda: np.zeros(0))
    brightest: tuple[Small | None, ...] = dataclasses.field(default=(), repr=False)  # of each shot

    @property
    def num_frames(self) -> int:
        """How many frames were decoded."""
        return int(self.times_s.size)

    @property
    def frame_s(self) -> float:
        """The usual time between two frames; 0 with fewer than two."""
        return float(np.median(np.diff(self.times_s))) if self.num_frames > 1 else 0.0

    @property
    def duration_s(self) -> float:
        """From the first frame to the end of the last one."""
        return float(self.times_s[-1]) + self.frame_s if self.num_frames else 0.0

    @property
    def variable_rate(self) -> bool:
        """Whether frames come at uneven times."""
        steps = np.diff(self.times_s)
        if steps.size < 2:
            return False
        uneven = np.abs(steps - self.frame_s) > _UNEVEN * self.frame_s
        return bool(uneven.mean() > 0.01)

    @property
    def shots(self) -> tuple[tuple[int, int], ...]:
        """First and last frame of every shot; frames of a blend are in none."""
        cuts = [Boundary(begin=cut, end=cut) for cut in self.cuts]
        blends = [Boundary(begin=first, end=last + 1) for first, last in self.blends]
        return shots_between(sorted([*cuts, *blends]), self.num_frames)

    def brightest_of(self, frame: int) -> Small | None:
        """The brightest luma that the frame's shot reaches at each place; None where not kept."""
        starts = [first for first, _ in self.shots]
        number = bisect_right(starts, frame) - 1
        return self.brightest[number] if 0 <= number < len(self.brightest) else None


def observe(reader: Reader, *, fps: float, settings: CurationSettings) -> Observation:
    """Look at every frame once. Raises `VideoRefused` for a video longer than the site allows."""
    watch = _Watch(fps, settings)
    most = settings.max_duration_s * _MAX_RATE
    for frame in reader:
        if frame.time_s > settings.max_duration_s or frame.index >= most:
            raise VideoRefused("too-long")
        watch.add(frame)
    return watch.result()


class _Watch:
    """The running state of a pass."""

    def __init__(self, fps: float, settings: CurationSettings) -> None:
        self._detector = make_detector(fps, settings)
        self._motion = MotionMeter()
        self._hasher = Hasher()
        self._brightest = BrightestPictures(self._detector.lag)
        self._stride = max(1, round(fps / _FULL_LOOKS))
        self._times_s = array("d")
        self._rows = array("f")  # luma, spread, sharpness, motion, field
        self._repeated = bytearray()
        self._damaged = bytearray()
        self._last: tuple[SmallPlanes, float] | None = None  # the last frame that repeats none
        self._slow = (0.0, 0.0)  # sharpness and field of the last full look

    def add(self, frame: Frame) -> None:
        """Measure the next frame."""
        small = shrink(frame.planes())
        speed, change, repeated = self._compare(small, frame.time_s)
        mean, deviation = cv2.meanStdDev(small.y)
        if not repeated and (self._last is None or len(self._times_s) % self._stride == 0):
            self._slow = (sharpness(small.y), eye_share(small))
        self._times_s.append(frame.time_s)
        self._rows.extend((mean[0, 0], deviation[0, 0], self._slow[0], speed, self._slow[1]))
        self._repeated.append(repeated)
        self._damaged.append(frame.damaged)
        self._hasher.add(small.y, frame.time_s)
        self._detector.add(small, change=change, repeated=repeated)
        self._brightest.add(small.y, self._detector.boundaries)
        if not repeated:
            self._last = (small, frame.time_s)

    def _compare(self, small: SmallPlanes, time_s: float) -> tuple[float, float, bool]:
        """Speed, change and whether the frame repeats; against the last one that did not."""
        if self._last is None:
            return 0.0, 0.0, False
        before, before_s = self._last
        luma, change = difference(before, small)
        if luma < _SAME:
            return 0.0, change, True
        return self._motion.speed(before.y, small.y, time_s - before_s), change, False

    def result(self) -> Observation:
        """Everything that was seen."""
        boundaries = self._detector.boundaries()
        columns = np.array(self._rows, np.float32).reshape(-1, 5).T.copy()
        luma, spread, sharp, motion, share = columns
        hashes, hash_times_s = self._hasher.result()
        return Observation(
            times_s=np.array(self._times_s, np.float64),
            luma=luma,
            spread=spread,
            sharpness=sharp,
            motion=motion,
            repeated=np.frombuffer(self._repeated, np.bool_).copy(),
            field=share,
            damaged=np.frombuffer(self._damaged, np.bool_).copy(),
            cuts=tuple(boundary.end for boundary in boundaries if boundary.is_cut),
            blends=tuple(
                (boundary.begin, boundary.end - 1) for boundary in boundaries if not boundary.is_cut
            ),
            fingerprints=hashes,
            fingerprint_times_s=hash_times_s,
            brightest=self._brightest.result(boundaries, len(self._times_s)),
        )
