"""Where clips start and end: narration joins shots, never across a cut or a blend.

A shot is divided into pieces of about the target length; a boundary moves to the nearest start of
a sentence when one is close, so that a clip shows what its sentences say. All of it goes by the
frames' own times.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ophora_curation.footage.observation import Observation
from ophora_curation.narration.subtitles import Utterance
from ophora_curation.settings import CurationSettings

_SNAP_S = 1.8
_GUARD_FRAMES = 1  # dropped at both ends of a shot: a boundary's neighbours may show a bit of it
_SHOWN_AFTER_S = 0.4  # what is said is still shown for a moment
_MIN_SHARE = 0.5  # of a sentence, or of the clip, that both share
_NEAR_S = 1e-6

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSpan:
    """Frames first..last (inclusive) with their times and what is said in them."""

    first: int
    last: int
    start_s: float
    end_s: float
    narration: tuple[Utterance, ...]

    @property
    def num_frames(self) -> int:
        """How many frames the span holds."""
        return self.last - self.first + 1


def plan_spans(
    seen: Observation, narration: Sequence[Utterance], settings: CurationSettings
) -> list[ClipSpan]:
    """All spans of a video in order; shots shorter than the least clip give none."""
    starts = np.sort([utterance.start_s for utterance in narration])
    spans: list[ClipSpan] = []
    for first, last in _guarded(seen):
        ends_s = np.append(seen.times_s, seen.duration_s)
        edges = _edges(float(seen.times_s[first]), float(ends_s[last + 1]), starts, settings)
        for start_s, end_s in itertools.pairwise(edges):
            low = _frame_at(seen.times_s, start_s, first, last)
            high = _frame_at(seen.times_s, end_s, first, last + 1) - 1
            begin_s, finish_s = float(ends_s[low]), float(ends_s[high + 1])
            if high > low and finish_s - begin_s >= settings.min_clip_s - _NEAR_S:
                spans.append(
                    ClipSpan(first=low, last=high, start_s=begin_s, end_s=finish_s, narration=())
                )
    return _with_narration(spans, narration)


def _guarded(seen: Observation) -> list[tuple[int, int]]:
    """First and last frame of every shot, without the guard where another shot is next to it."""
    shots = []
    for begin, end in seen.shots:
        first = begin + (_GUARD_FRAMES if begin else 0)
        last = end - (_GUARD_FRAMES if end < seen.num_frames - 1 else 0)
        if last > first:
            shots.append((first, last))
    return shots


def _edges(start_s: float, end_s: float, starts: Times, settings: CurationSettings) -> list[float]:
    """Boundaries from start to end, each piece within the limits where the shot allows it."""
    least, most = settings.min_clip_s, settings.max_clip_s
    length = end_s - start_s
    if length < least - _NEAR_S:
        return []
    pieces = max(1, round(length / settings.target_clip_s))
    while length / pieces > most:
        pieces += 1
    while pieces > 1 and length / pieces < least:
        pieces -= 1
    edges = [start_s]
    for number in range(1, pieces):
        even = start_s + length * number / pieces
        near = _nearest(starts, even)
        edge = near if abs(near - even) <= _SNAP_S else even
        left = end_s - edge
        remaining = pieces - number
        fits = least <= edge - edges[-1] <= most
        fits = fits and least * remaining <= left <= most * remaining
        edges.append(edge if fits else max(even, edges[-1] + least))
    return [*edges, end_s]


def _nearest(starts: Times, moment_s: float) -> float:
    """The start of a sentence that is nearest to a moment; the moment where there is none."""
    return float(starts[np.abs(starts - moment_s).argmin()]) if starts.size else moment_s


def _frame_at(times_s: Times, moment_s: float, low: int, high: int) -> int:
    """The first frame in low..high that is not before the moment."""
    found = int(np.searchsorted(times_s[low:high], moment_s - _NEAR_S))
    return low + found


def _with_narration(spans: Sequence[ClipSpan], narration: Sequence[Utterance]) -> list[ClipSpan]:
    """Give every sentence to the span that it shares most with, and to those that it fills."""
    said: list[list[Utterance]] = [[] for _ in spans]
    begins = np.array([span.start_s for span in spans])
    ends = np.array([span.end_s for span in spans])
    for utterance in narration if spans else ():
        shown_until_s = utterance.end_s + _SHOWN_AFTER_S
        shared = np.minimum(ends, shown_until_s) - np.maximum(begins, utterance.start_s)
        length = max(_NEAR_S, utterance.end_s - utterance.start_s)
        best = int(shared.argmax())
        if shared[best] >= _MIN_SHARE * min(length, ends[best] - begins[best]):
            said[best].append(utterance)
        for number in np.flatnonzero(shared >= 0.9 * (ends - begins)):
            if number != best:
                said[number].append(utterance)
    return [
        ClipSpan(
            first=span.first,
            last=span.last,
            start_s=span.start_s,
            end_s=span.end_s,
            narration=tuple(words),
        )
        for span, words in zip(spans, said, strict=True)
    ]
