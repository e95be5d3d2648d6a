"""What generated videos are worth: the phase a judge sees, and how far they are from real ones.

The judge is trained on phantom clips that no training sees and tried on others first; the Frechet
distance is taken over its features, to clips without overlays that nobody trained on.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ophora_curation.phases import PHASES
from ophora_deploy.phantom_latents import render
from ophora_model.adapter import Adapter
from ophora_model.base import Base
from ophora_model.frechet import Distance, measure_distance
from ophora_model.judge import Judge, train_judge
from ophora_model.sampling import Generator, SamplerRecord
from ophora_model.update import Tensors
from ophora_model.video import Frames
from ophora_server.generator.examples import EXAMPLE_PROMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Hits by prompt, in the order of PHASES, and the distance to unseen clips."""

    hits: Sequence[int]
    asked: int
    distance: Distance

    @property
    def match(self) -> float:
        """Share of videos that show the phase that was asked for."""
        return sum(self.hits) / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        share, total, z = self.match, self.asked, 1.96
        middle = share + z * z / (2 * total)
        half = z * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
        return (middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A judge, and clips that nobody trained on."""

    judge: Judge
    unseen: Sequence[Frames]

    @classmethod
    def prepare(cls, base: Base, *, patients: int, clips_each: int, epochs: int, seed: int) -> Self:
        """Train on that many clips, half of them with an overlay, and say how good the judge is."""
        shown = render(
            base.preset,
            prefix=f"judge{seed}",
            patients=patients,
            clips_each=clips_each,
            seed=seed + 900,
            overlay_share=0.5,
        )
        judge = train_judge(
            [clip.labelled() for clip in shown], len(PHASES), epochs=epochs, seed=seed
        )
        tried = render(
            base.preset, prefix="tried", patients=patients, clips_each=len(PHASES), seed=seed + 901
        )
        frames = [clip.frames for clip in tried]
        right = float(np.mean(judge.judge(frames).phases == [clip.phase for clip in tried]))
        sys.stderr.write(f"    judge: right about {right:.3f} of {len(tried)} unseen clips\n")
        return cls(judge=judge, unseen=frames)

    def ask(
        self, base: Base, adapter: Adapter, tensors: Tensors, *, seeds: int, seed: int
    ) -> Quality:
        """`seeds` videos of each phase by this adapter, the same seeds for every one."""
        adapter.write(tensors)
        generator = Generator(base)
        hits, videos = [], []
        for phase, (_, prompt) in enumerate(EXAMPLE_PROMPTS):
            record = SamplerRecord.of_preset(base.preset, seed=1000 * seed + 100 * phase)
            made = generator.generate([prompt] * seeds, record)
            hits.append(int(np.sum(self.judge.judge(made).phases == phase)))
            videos += list(made)
        distance = measure_distance(
            self.judge.features(self.unseen), self.judge.features(videos), seed=seed
        )
        return Quality(hits=hits, asked=len(videos), distance=distance)
