"""How one segment gives way to the next: a cut, a dissolve, or a fade through black.

Half of a blend lies on each side of the boundary. What is seen of a segment beyond its end is its
own last frames played backwards, so that both pictures keep moving.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.brush import Image

BLEND_S: Final = 0.5
KINDS: Final[tuple[str, ...]] = ("dissolve", "black")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """The boundary before frame `at`, blended over `half` frames on either side."""

    kind: str
    at: int
    half: int


def choose_passages(
    rng: np.random.Generator, starts: Sequence[int], *, share: float, fps: int
) -> dict[int, Passage]:
    """Blends by the frame they lie around; the other boundaries of `starts` are cuts."""
    half = max(1, round(BLEND_S * fps / 2))
    chosen = {}
    for at in starts:
        if rng.random() < share:
            kind = KINDS[0] if rng.random() < 0.7 else KINDS[1]
            chosen[at] = Passage(kind=kind, at=at, half=half)
    return chosen


def join(stacks: Iterable[Image], passages: dict[int, Passage]) -> Iterator[Image]:
    """All frames of the segments in order; segments are longer than two halves of a blend."""
    cursor = 0
    tail: Image | None = None  # of the segment before, held back for the blend
    for stack in stacks:
        before, after = passages.get(cursor), passages.get(cursor + len(stack))
        first = 0
        if before is not None and tail is not None:
            yield from _blend(tail, stack[: before.half + 1], before)
            first = before.half
        last = len(stack) - (after.half if after is not None else 0)
        yield from stack[first:last]
        tail = stack[last - 1 :].copy() if after is not None else None
        cursor += len(stack)
    if tail is not None:
        yield from tail[1:]


def _blend(tail: Image, head: Image, passage: Passage) -> Iterator[Image]:
    """`tail` and `head` are one frame longer than the half on their side."""
    leaving = np.concatenate([tail[1:], tail[-2::-1]])[: 2 * passage.half]
    coming = np.concatenate([head[:0:-1], head[:-1]])[-2 * passage.half :]
    for index, (old, new) in enumerate(zip(leaving, coming, strict=True)):
        share = (index + 1) / (2 * passage.half + 1)
        yield _mixed(old, new, share, passage.kind)


def _mixed(old: Image, new: Image, share: float, kind: str) -> NDArray[np.uint8]:
    if kind == "black":
        level = abs(2 * share - 1)
        return (level * (old if share < 0.5 else new)).astype(np.uint8)
    return ((1 - share) * old + share * new + 0.5).astype(np.uint8)
