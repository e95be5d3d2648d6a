"""The plan of one video: which segments, with which overlay, faults and words. No pixels yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ophora_curation.phantom.faults import FAULTS
from ophora_curation.phantom.identity import Person
from ophora_curation.phantom.narration import (
    Utterance,
    choose_sentences,
    place_sentences,
    spoken_length,
)
from ophora_curation.phantom.passage import Passage, choose_passages
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.phases import PHASES

SHORTEST_S, LONGEST_S = 5.0, 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One shot: frames [first, first + frames) of the video."""

    phase: str | None  # None: the camera shows the room
    first: int
    frames: int
    overlay: str
    faults: tuple[str, ...]
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One video before it is rendered."""

    segments: tuple[Segment, ...]
    narration: tuple[Utterance, ...]
    frames: int
    passages: Mapping[int, Passage] = field(default_factory=dict)  # blends, by frame


def choose_phases(
    rng: np.random.Generator, count: int, weights: Sequence[tuple[str, float]]
) -> list[str]:
    """`count` phases in surgical order, each as often as its weight asks, give or take one."""
    total = sum(weight for _, weight in weights)
    marks = (np.arange(count) + float(rng.random())) / count * total
    edges = np.cumsum([weight for _, weight in weights])
    chosen = [weights[int(np.searchsorted(edges, mark, side="right"))][0] for mark in marks]
    return sorted(chosen, key=PHASES.index)


def write_script(rng: np.random.Generator, request: PhantomRequest, person: Person) -> Script:
    """Plan one video of this person."""
    count = int(rng.integers(request.segments[0], request.segments[1] + 1))
    segments: list[Segment] = []
    narration: list[Utterance] = []
    cursor = 0
    for index, phase in enumerate(choose_phases(rng, count, request.phase_weights())):
        fault = str(rng.choice(FAULTS)) if rng.random() < request.fault_share else ""
        shown = None if fault == "out_of_body" else phase
        sentences = choose_sentences(rng, shown, person, first=index == 0)
        length_s = float(rng.uniform(SHORTEST_S, 7.0))
        late_s = max(0.0, narration[-1].end_s - cursor / request.fps) if narration else 0.0
        length_s = min(LONGEST_S, max(length_s, late_s + spoken_length(sentences) + 0.4))
        frames = round(length_s * request.fps)
        segments.append(
            Segment(
                phase=shown,
                first=cursor,
                frames=frames,
                overlay=_choose_overlay(rng, request),
                faults=(fault,) if fault else (),
                seed=int(rng.integers(2**31)),
            )
        )
        narration += place_sentences(
            rng,
            sentences,
            start_s=cursor / request.fps,
            end_s=(cursor + frames) / request.fps,
            not_before_s=narration[-1].end_s + 0.05 if narration else 0.0,
        )
        cursor += frames
    return Script(
        segments=tuple(segments),
        narration=tuple(narration),
        frames=cursor,
        passages=_passages(request, segments),
    )


def _passages(request: PhantomRequest, segments: Sequence[Segment]) -> dict[int, Passage]:
    """Drawn from the segments' own seeds: a request without blends stays what it was."""
    if request.blend_share == 0:
        return {}
    rng = np.random.default_rng([segment.seed for segment in segments])
    starts = [segment.first for segment in segments[1:]]
    return choose_passages(rng, starts, share=request.blend_share, fps=request.fps)


def _choose_overlay(rng: np.random.Generator, request: PhantomRequest) -> str:
    dice = float(rng.random())
    if dice < request.personal_overlay_share:
        return "personal"
    if dice < request.personal_overlay_share + request.overlay_share:
        return "device" if rng.random() < 0.6 else "logo"
    return "none"
