"""Where clips start and end: narration times shots, never across a cut.

A shot is divided into pieces of about the target length; a boundary moves to the nearest start of
a sentence when one is close, so that a clip shows what its sentences say.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ophora_curation.narration.subtitles import Utterance

_SNAP_S = 1.8
_GUARD_FRAMES = 1  # dropped at both ends of a shot: a cut is rarely placed on the very frame
_MIN_SHARE = 0.5  # of a sentence inside the clip, for the sentence to be the clip's


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRule:
    """Allowed lengths in seconds, with the length aimed at."""

    min_s: float
    target_s: float
    max_s: float


def plan_spans(
    times_s: Sequence[float],
    cuts: Sequence[int],
    narration: Sequence[Utterance],
    rule: SpanRule,
) -> list[ClipSpan]:
    """All spans of a video in order; shots shorter than the least clip give none."""
    if len(times_s) < 2:
        return []
    frame_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    starts = [utterance.start_s for utterance in narration]
    spans: list[ClipSpan] = []
    for first, last in _shots(len(times_s), cuts):
        shot_end = times_s[last] + frame_s
        edges = _edges(times_s[first], shot_end, starts, rule)
        for start, end in itertools.pairwise(edges):
            low = _frame_at(times_s, start, first, last)
            high = _frame_at(times_s, end, first, last + 1) - 1
            if (high - low + 1) * frame_s < rule.min_s - 1e-6:
                continue
            begin, finish = times_s[low], times_s[high] + frame_s
            spans.append(
                ClipSpan(
                    first=low,
                    last=high,
                    start_s=begin,
                    end_s=finish,
                    narration=_said_between(narration, begin, finish),
                )
            )
    return spans


def _shots(num_frames: int, cuts: Sequence[int]) -> list[tuple[int, int]]:
    """First and last frame of every shot, without the guard at a cut."""
    marks = [0, *cuts, num_frames]
    shots = []
    for begin, end in itertools.pairwise(marks):
        first = begin + (_GUARD_FRAMES if begin else 0)
        last = end - 1 - (_GUARD_FRAMES if end < num_frames else 0)
        if last > first:
            shots.append((first, last))
    return shots


def _edges(start: float, end: float, starts: Sequence[float], rule: SpanRule) -> list[float]:
    """Boundaries from start to end, each piece within the rule where the shot allows it."""
    length = end - start
    if length < rule.min_s - 1e-6:
        return []
    pieces = max(1, round(length / rule.target_s))
    while length / pieces > rule.max_s:
        pieces += 1
    while pieces > 1 and length / pieces < rule.min_s:
        pieces -= 1
    edges = [start]
    for number in range(1, pieces):
        even = start + length * number / pieces
        near = min(starts, key=lambda moment: abs(moment - even), default=even)
        edge = near if abs(near - even) <= _SNAP_S else even
        left = end - edge
        remaining = pieces - number
        fits = rule.min_s <= edge - edges[-1] <= rule.max_s
        fits = fits and rule.min_s * remaining <= left <= rule.max_s * remaining
        edges.append(edge if fits else max(even, edges[-1] + rule.min_s))
    return [*edges, end]


def _frame_at(times_s: Sequence[float], moment: float, low: int, high: int) -> int:
    """The first frame in low..high that is not before the moment."""
    for index in range(low, high):
        if times_s[index] >= moment - 1e-6:
            return index
    return high


def _said_between(
    narration: Sequence[Utterance], start: float, end: float
) -> tuple[Utterance, ...]:
    said = []
    for utterance in narration:
        shared = min(end, utterance.end_s) - max(start, utterance.start_s)
        length = utterance.end_s - utterance.start_s
        if shared > 0 and shared >= _MIN_SHARE * min(length, end - start):
            said.append(utterance)
    return tuple(said)
