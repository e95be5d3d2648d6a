"""Shot boundaries against the phantom's ground truth, at three frame rates, blends included.

A cut counts when it is on the very frame, a blend when the blend that was found overlaps it.
PySceneDetect's content score on the same small planes stands beside it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from goals import Goal
from ophora_curation.footage.observation import Observation, observe
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import probe_video
from ophora_curation.source.reader import open_reader

LEAST_F1 = 0.98
SETS = ((8, (192, 128), 12), (25, (320, 180), 5), (30, (320, 180), 5))  # fps, size, patients
_SETTINGS = CurationSettings(min_width=64, min_height=48)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many boundaries were right, made up and missed."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: "Found") -> "Found":
        return Found(
            hits=self.hits + other.hits,
            false=self.false + other.false,
            missed=self.missed + other.missed,
        )

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there was nothing to find."""
        total = 2 * self.hits + self.false + self.missed
        return 2 * self.hits / total if total else 1.0


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """F1 for each frame rate and for all together."""
    goals, ours_in_all = [], Found()
    for fps, size, patients in SETS:
        request = PhantomRequest(
            out=folder / str(fps),
            patients=max(2, patients // 4) if quick else patients,
            seed=seed,
            size=size,
            fps=fps,
            blend_share=0.4,
            fault_share=0.15,
            speech_share=0.0,
            voice=False,
        )
        videos = make_phantoms(request)
        ours = sum((compare(video, _SETTINGS, fps) for video in videos), Found())
        ours_in_all += ours
        goals.append(_goal(f"boundaries F1, {fps} fps", ours, LEAST_F1))
        theirs_settings = replace(_SETTINGS, shot_detector="pyscenedetect")
        theirs = sum((compare(video, theirs_settings, fps) for video in videos), Found())
        goals.append(_goal(f"the same by PySceneDetect, {fps} fps", theirs, None))
    return [_goal("boundaries F1", ours_in_all, LEAST_F1), *goals]


def compare(video: Path, settings: CurationSettings, fps: int) -> Found:
    """One phantom video against the truth beside it."""
    probe = probe_video(video, settings=settings)
    seen = observe(open_reader(video, probe, fast=True), fps=float(probe.fps), settings=settings)
    truth = json.loads(video.with_suffix(".truth.json").read_text(encoding="ascii"))
    cuts = [round(moment * fps) for moment in truth["cuts"]]
    blends = [
        (round(blend["start_s"] * fps), round(blend["end_s"] * fps)) for blend in truth["blends"]
    ]
    return match(cuts, blends, seen)


def match(cuts: Sequence[int], blends: Sequence[tuple[int, int]], seen: Observation) -> Found:
    """A cut on the frame; a blend by any boundary inside it, one of which is right."""
    left = [*((cut, cut) for cut in seen.cuts), *seen.blends]
    hits = 0
    for cut in cuts:
        if (cut, cut) in left:
            left.remove((cut, cut))
            hits += 1
    for start, end in blends:
        inside = [found for found in left if found[0] <= end and found[1] >= start - 1]
        hits += bool(inside)
        for found in inside[:1]:
            left.remove(found)
    return Found(hits=hits, false=len(left), missed=len(cuts) + len(blends) - hits)


def _goal(what: str, found: Found, at_least: float | None) -> Goal:
    return Goal(what=what, measured=found.f1, samples=found.hits + found.missed, at_least=at_least)
