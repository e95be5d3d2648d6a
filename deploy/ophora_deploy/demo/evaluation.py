"""What the demo measures: does a generated clip show the phase it was asked for, and no overlay?

A judge is trained on phantom clips only, tried on phantom clips it has not seen, and then asked
about the videos of the base, of the TPT release and of the P2FT release for the same prompts and
seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ophora_curation.phases import PHASES
from ophora_curation.process_pool import process_pool
from ophora_deploy.demo.plan import DemoPlan
from ophora_model.judge import Judge, LabelledClip, train_judge
from ophora_model.presets import find_preset
from ophora_model.sampling import Generator, SamplerRecord
from ophora_model.video import Frames, fit_frame
from ophora_server.generator.examples import EXAMPLE_PROMPTS

Progress = Callable[[int, int], None]
OVERLAYS = ("none", "none", "device", "logo")
OVERLAY_THRESHOLD = 0.5
WORKERS = 2
PROMPTS = tuple(prompt for _, prompt in EXAMPLE_PROMPTS)  # in the order of PHASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share and the number it was counted over."""

    value: float
    samples: int

    def to_dict(self) -> dict[str, float | int]:
        """JSON-able."""
        return {"value": round(self.value, 4), "samples": self.samples}


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """The judge on phantom clips it was not trained on."""

    phase_accuracy: Rate
    overlay_accuracy: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Videos of one model, in the order of PHASES, then seeds, and the judge's verdict on them."""

    videos: Mapping[str, Sequence[Frames]]
    phase_match: Rate
    phase_match_by_phase: Mapping[str, Rate]
    overlay_rate: Rate


def prepare_judge(plan: DemoPlan, progress: Progress) -> tuple[Judge, Skill, dict[str, Frames]]:
    """A trained judge, its skill on unseen clips, and one real clip a phase for the sheet."""
    count = plan.judge_clips_per_phase
    held_out = max(6, count // 4)
    jobs = [
        (plan.seed + 77_000, phase, index)
        for index in range(count + held_out)
        for phase in range(len(PHASES))
    ]
    clips: list[LabelledClip] = []
    with process_pool(WORKERS) as pool:
        for clip in pool.map(_render, jobs, chunksize=12):
            clips.append(clip)
            progress(len(clips), len(jobs) + plan.judge_epochs * 12)
    split = count * len(PHASES)
    judge = train_judge(
        clips[:split],
        len(PHASES),
        epochs=plan.judge_epochs,
        seed=plan.seed,
        progress=lambda done, _: progress(
            len(jobs) + done * 12, len(jobs) + plan.judge_epochs * 12
        ),
    )
    unseen = clips[split:]
    verdict = judge.judge([clip.frames for clip in unseen])
    right = float(np.mean(verdict.phases == [clip.phase for clip in unseen]))
    marked = verdict.overlays > OVERLAY_THRESHOLD
    seen = float(np.mean(marked == [clip.overlay for clip in unseen]))
    skill = Skill(
        phase_accuracy=Rate(value=right, samples=len(unseen)),
        overlay_accuracy=Rate(value=seen, samples=len(unseen)),
    )
    shown = {PHASES[clip.phase]: clip.frames for clip in unseen if not clip.overlay}
    return judge, skill, shown


def evaluate(generator: Generator, judge: Judge, plan: DemoPlan, progress: Progress) -> Evaluation:
    """Asks for `videos_per_phase` videos of every phase and judges them."""
    videos: dict[str, Sequence[Frames]] = {}
    for number, (phase, prompt) in enumerate(zip(PHASES, PROMPTS, strict=True)):
        record = SamplerRecord.of_preset(
            generator.base.preset, seed=plan.seed * 10_000 + number * 100
        )
        videos[phase] = generator.generate([prompt] * plan.videos_per_phase, record)
        progress(number + 1, len(PHASES))
    flat = [video for phase in PHASES for video in videos[phase]]
    verdict = judge.judge(flat)
    asked = np.repeat(np.arange(len(PHASES)), plan.videos_per_phase)
    hits = verdict.phases == asked
    by_phase = {
        phase: Rate(value=float(hits[asked == k].mean()), samples=plan.videos_per_phase)
        for k, phase in enumerate(PHASES)
    }
    marked = float(np.mean(verdict.overlays > OVERLAY_THRESHOLD))
    return Evaluation(
        videos=videos,
        phase_match=Rate(value=float(hits.mean()), samples=len(flat)),
        phase_match_by_phase=by_phase,
        overlay_rate=Rate(value=marked, samples=len(flat)),
    )


def _render(job: tuple[int, int, int]) -> LabelledClip:
    import cv2

    from ophora_curation.phantom.scene import render_clip

    cv2.setNumThreads(1)
    seed, phase, index = job
    rng = np.random.default_rng([seed, phase, index])
    preset = find_preset("tiny")
    overlay = OVERLAYS[index % len(OVERLAYS)]
    frames = render_clip(
        PHASES[phase],
        rng,
        frames=preset.frames,
        height=preset.height * 2,
        width=preset.width * 2,
        fps=preset.fps,
        overlay=overlay,
    )
    small = np.stack([fit_frame(frame, preset.height, preset.width) for frame in frames])
    return LabelledClip(frames=small, phase=phase, overlay=overlay != "none")
