"""Shots from the small planes: cuts by change against what is around, blends by linearity.

A cut is a change that is large, larger than the changes around it (held frames left out), and
leads to another picture: luma no longer correlates, and no frame shortly before looks like one
shortly after, as with an instrument or a flash that comes and goes. A blend is a stretch whose
frames lie on the straight line between its first and last picture, and which stands still before
and after, as a moving camera does not.
"""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from ophora_curation.footage.planes import SmallPlanes, Vector
from ophora_curation.footage.shots import MIN_SHOT_S, Boundary
from ophora_curation.settings import CurationSettings

_AROUND = 3  # frames on each side that a change is compared with
_PERSIST_S = 0.25
_BLENDS_S = (0.3, 0.5, 0.75, 1.1, 1.6, 2.2)
_MAX_RESIDUAL = 0.2  # distance from the line, as a share of the line's length
_MAX_STEP = 0.45  # of a blend in one frame; more is a cut
_DIP = 3  # of the lengths above: how long a fade to black and one back may take, each
_DIP_DEPTH = 0.4  # of the light before and after that is left in the middle
_DIP_EDGE = 0.92
_STEADY = 0.15  # of a blend that may pass in the quarter of its length before it and after it
_MAX_PACE = 0.8  # of the changes inside that may go on outside
_ENDS = 0.04  # of a blend that still counts as one of its ends
_MAX_SHARED = 0.3  # of two blends that follow each other, as a fade out and a fade in do
_DARK = 20.0
_FLAT = 2.0  # standard deviation of luma below which a picture shows nothing
_STRONG = 2.0  # a change this many times over both limits, or a straight blend between plateaus,
_STRICT = 3.0  # needs only this part of the decorrelation: one eye in two shots looks alike


class PlanesDetector:
    """See the module; thresholds come from the settings."""

    def __init__(self, fps: float, settings: CurationSettings) -> None:
        self._settings = settings
        self._least = max(2, round(MIN_SHOT_S * fps))
        self._persist = min(8, max(2, round(_PERSIST_S * fps)))
        self._lengths = sorted({max(3, round(length * fps)) for length in _BLENDS_S})
        reach = self._lengths[-1] + self._lengths[-1] // 2 + 2
        self.lag = 2 * reach
        self._thumbs: deque[Vector] = deque(maxlen=reach + self._persist + 2)
        self._changes: deque[tuple[float, bool]] = deque(maxlen=self._thumbs.maxlen)
        self._levels: deque[float] = deque(maxlen=self._thumbs.maxlen)
        self._num_luma = 0
        self._count = 0
        self._cuts: list[tuple[int, float]] = []
        self._blends: list[tuple[float, Boundary]] = []

    def add(self, small: SmallPlanes, *, change: float, repeated: bool) -> None:
        """The next frame."""
        height, width = small.y.shape
        self._num_luma = max(8, width // 4) * max(8, height // 4)
        self._thumbs.append(small.thumb())
        self._changes.append((change, repeated))
        self._count += 1
        found = self._judge_cut(self._count - 1 - self._persist)
        if found is not None:
            self._cuts.append(found)
        if self._settings.dissolve_min_difference > 0:
            self._judge_dip(self._lengths[min(_DIP, len(self._lengths) - 1)])  # few at low rates
            for length in self._lengths:
                if self._count % max(1, length // 8) == 0:
                    self._judge_blend(length)

    def boundaries(self) -> Sequence[Boundary]:
        """Cuts and blends so far; a blend swallows the cuts in it."""
        tail = range(max(1, self._count - self._persist), self._count)
        late = [found for frame in tail if (found := self._judge_cut(frame)) is not None]
        blends = _best(self._blends)
        cuts = [
            Boundary(begin=frame, end=frame)
            for frame in self._spaced([*self._cuts, *late])
            if not any(blend.begin - 1 <= frame <= blend.end + 1 for blend in blends)
        ]
        return sorted([*cuts, *blends])

    def _spaced(self, cuts: Sequence[tuple[int, float]]) -> Iterator[int]:
        """The larger of two cuts that are too near to each other."""
        kept: list[tuple[int, float]] = []
        for frame, change in cuts:
            if kept and frame - kept[-1][0] < self._least:
                if change > kept[-1][1]:
                    kept[-1] = (frame, change)
                continue
            kept.append((frame, change))
        return (frame for frame, _ in kept)

    def _judge_cut(self, frame: int) -> tuple[int, float] | None:
        """The frame with its change where a cut lies before it."""
        at = frame - (self._count - len(self._thumbs))
        if at < 1:
            return None
        change, repeated = self._changes[at]
        limits = self._settings
        if repeated or change < limits.cut_min_difference:
            return None
        usual = self._usual_change(at)
        if change < limits.cut_min_ratio * usual:
            return None
        apart = self._decorrelation(at - 1, at)
        is_strong = (
            change >= _STRONG * limits.cut_min_difference
            and change >= _STRONG * limits.cut_min_ratio * usual
        )
        least = limits.cut_min_decorrelation / (_STRICT if is_strong else 1.0)
        is_cut = apart >= least and self._persists(at, apart)
        return (frame, change) if is_cut else None

    def _usual_change(self, at: int) -> float:
        """Median change of the nearest frames on both sides that do not repeat the one before."""
        changes = list(self._changes)
        before = [value for value, repeated in reversed(changes[:at]) if not repeated]
        after = [value for value, repeated in changes[at + 1 :] if not repeated]
        around = before[:_AROUND] + after[:_AROUND]
        return float(np.median(around)) if around else 0.0

    def _persists(self, at: int, apart: float) -> bool:
        """Whether no frame shortly before looks like one shortly after."""
        before = range(max(0, at - self._persist), at)
        after = range(at, min(len(self._thumbs), at + self._persist + 1))
        nearest = min(self._decorrelation(one, two) for one in before for two in after)
        return nearest >= 0.5 * apart

    def _decorrelation(self, one: int, two: int) -> float:
        """1 - correlation of luma: 0 for the same picture at any brightness, about 1 for another.

        What is dark in both, as the surround of a round field is, says nothing. A picture without
        contrast, as black is, equals only another of the same brightness.
        """
        first, second = (self._thumbs[at][: self._num_luma] for at in (one, two))
        lit = np.maximum(first, second) > _DARK
        if lit.any():
            first, second = first[lit], second[lit]
        means = float(first.mean()), float(second.mean())
        first, second = first - means[0], second - means[1]
        flat = [float(part.dot(part)) < part.size * _FLAT**2 for part in (first, second)]
        if all(flat):
            return float(abs(means[0] - means[1]) > self._settings.cut_min_difference)
        if any(flat):
            return 1.0
        scale = float(np.sqrt(first.dot(first) * second.dot(second)))
        return 1.0 - float(first.dot(second)) / scale

    def _judge_dip(self, reach: int) -> None:
        """Whether the picture went dark and came back around the frame `reach` frames ago."""
        self._levels.append(float(self._thumbs[-1][: self._num_luma].mean()))
        if len(self._levels) <= 2 * reach:
            return
        levels = np.array(self._levels)[-2 * reach - 1 :]
        before, after = float(levels[:reach].max()), float(levels[reach + 1 :].max())
        if levels[reach] > min(levels.min(), _DIP_DEPTH * min(before, after)):
            return
        first = int(np.flatnonzero(levels[:reach] >= _DIP_EDGE * before)[-1])
        last = reach + int(np.flatnonzero(levels[reach:] >= _DIP_EDGE * after)[0])
        steps = np.diff(levels[first : last + 1])
        most = _MAX_STEP + _ENDS
        if steps.size and -steps.min() < most * before and steps.max() < most * after:
            base = self._count - levels.size
            self._blends.append((0.0, Boundary(begin=base + first + 1, end=base + last)))

    def _judge_blend(self, length: int) -> None:
        """Whether the frames that end a steady time ago are a blend of this length."""
        steady = max(1, length // 4)
        last = len(self._thumbs) - 1 - steady
        first = last - length
        if first < steady:
            return
        start, line = self._thumbs[first], self._thumbs[last] - self._thumbs[first]
        size = float(np.abs(line).mean())
        if size < self._settings.dissolve_min_difference:
            return
        middle = self._thumbs[(first + last) // 2]
        if _residual(middle, start, line, size) > _MAX_RESIDUAL:
            return
        self._measure_blend(first, last, steady, size)

    def _measure_blend(self, first: int, last: int, steady: int, size: float) -> None:
        thumbs = np.stack([self._thumbs[at] for at in range(first - steady, last + steady + 1)])
        start = self._thumbs[first]
        line = self._thumbs[last] - start
        shares = (thumbs - start) @ line / float(line.dot(line))
        inside = shares[steady : len(shares) - steady]
        steps = np.diff(inside)
        if steps.max() > _MAX_STEP or steps.min() < -_ENDS:
            return
        if np.abs(shares[:steady]).max() > _STEADY or np.abs(shares[-steady:] - 1).max() > _STEADY:
            return
        pace = np.abs(np.diff(thumbs, axis=0)).mean(axis=1)
        outside = float(pace[:steady].mean() + pace[-steady:].mean()) / 2
        if outside > _MAX_PACE * float(pace[steady:-steady].mean()):
            return  # a camera that moves on
        off = np.abs(thumbs - start - shares[:, None] * line).mean(axis=1) / size
        residual = float(off[steady : len(shares) - steady].max())
        if residual > _MAX_RESIDUAL or not self._differs(first, last):
            return
        mixed = np.flatnonzero((inside > _ENDS) & (inside < 1 - _ENDS))
        if mixed.size < 2:
            return
        base = self._count - len(self._thumbs) + first
        found = Boundary(begin=base + int(mixed[0]), end=base + int(mixed[-1]) + 1)
        self._blends.append((residual, found))

    def _differs(self, first: int, last: int) -> bool:
        """Whether both ends show different pictures, not one picture in another light."""
        means = [float(self._thumbs[at][: self._num_luma].mean()) for at in (first, last)]
        if min(means) < _DARK < max(means) - self._settings.dissolve_min_difference:
            return True  # a fade from or to black
        return self._decorrelation(first, last) >= self._settings.cut_min_decorrelation / _STRICT


def _residual(thumb: Vector, start: Vector, line: Vector, size: float) -> float:
    """How far a picture is from the line between two others, as a share of the line."""
    offset = thumb - start
    share = float(offset.dot(line)) / float(line.dot(line))
    return float(np.abs(offset - share * line).mean()) / size


def _best(found: Sequence[tuple[float, Boundary]]) -> list[Boundary]:
    """Of blends that overlap, the straightest; a fade out and the fade in after it become one."""
    kept: list[Boundary] = []
    for _, blend in sorted(found):
        if all(_shared(other, blend) <= _MAX_SHARED for other in kept):
            kept.append(blend)
    joined: list[Boundary] = []
    for blend in sorted(kept):
        if joined and blend.begin <= joined[-1].end:
            end = max(blend.end, joined[-1].end)
            joined[-1] = Boundary(begin=joined[-1].begin, end=end)
        else:
            joined.append(blend)
    return joined


def _shared(one: Boundary, two: Boundary) -> float:
    """Frames in both, as a share of the shorter."""
    frames = min(one.end, two.end) - max(one.begin, two.begin)
    return frames / min(one.end - one.begin, two.end - two.begin)
