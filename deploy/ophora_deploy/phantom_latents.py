"""Phantom clips rendered straight to latents: what a site would train on, without its videos.

The phases, instructions and looks are the phantom's own; only the MP4 file, the curation and the
sealed cache between them are left out, so that thousands of patients take minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ophora_curation.phantom.phrases import INSTRUCTIONS
from ophora_curation.phantom.scene import render_clip
from ophora_curation.phases import PHASE_TITLES, PHASES
from ophora_model.base import Base
from ophora_model.judge import LabelledClip
from ophora_model.latents import CachedClip
from ophora_model.presets import Preset
from ophora_model.video import Frames

_PASS = 16  # clips that share a pass of the autoencoder
_HARMLESS = ("device", "logo")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomClip:
    """One rendered clip: frames [F, H, W, 3], phase, instruction, whose it is, overlay or none."""

    clip_id: str
    patient_id: str
    phase: int
    instruction: str
    frames: Frames
    overlay: bool

    def labelled(self) -> LabelledClip:
        """As the judge is trained on it."""
        return LabelledClip(frames=self.frames, phase=self.phase, overlay=self.overlay)


def render(
    preset: Preset,
    *,
    prefix: str,
    patients: int,
    clips_each: int,
    seed: int,
    weights: Sequence[float] | None = None,
    overlay_share: float = 0.0,
) -> list[PhantomClip]:
    """`clips_each` clips of every patient; phases in turn, or drawn by `weights`."""
    clips = []
    for patient in range(patients):
        for number in range(clips_each):
            rng = np.random.default_rng([seed, patient, number])
            turn = (patient * clips_each + number) % len(PHASES)
            phase = turn if weights is None else int(rng.choice(len(PHASES), p=weights))
            overlay = str(rng.choice(_HARMLESS)) if rng.random() < overlay_share else "none"
            phrases = INSTRUCTIONS[PHASES[phase]]
            phrase = phrases[int(rng.integers(len(phrases)))]
            frames = render_clip(
                PHASES[phase],
                rng,
                frames=preset.frames,
                height=preset.height,
                width=preset.width,
                fps=preset.fps,
                overlay=overlay,
            )
            clips.append(
                PhantomClip(
                    clip_id=f"{prefix}-{patient:05d}-{number:02d}",
                    patient_id=f"{prefix}-{patient:05d}",
                    phase=phase,
                    instruction=f"{PHASE_TITLES[PHASES[phase]]}: {phrase[0].lower()}{phrase[1:]}",
                    frames=frames,
                    overlay=overlay != "none",
                )
            )
    return clips


@torch.no_grad()
def encode(base: Base, clips: Sequence[PhantomClip]) -> list[CachedClip]:
    """Posterior and prompt of every clip, as the sealed cache would give them."""
    vae = base.vae
    assert vae is not None
    texts = sorted({"", *(clip.instruction for clip in clips)})
    prompts = {text: row.half() for text, row in zip(texts, base.encode_text(texts), strict=True)}
    encoded = []
    for first in range(0, len(clips), _PASS):
        batch = clips[first : first + _PASS]
        pixels = torch.from_numpy(np.stack([clip.frames for clip in batch])).float() / 127.5 - 1
        with base.autocast():
            posterior = vae.encode(pixels.permute(0, 4, 1, 2, 3)).latent_dist
        for row, clip in enumerate(batch):
            encoded.append(
                CachedClip(
                    clip_id=clip.clip_id,
                    patient_id=clip.patient_id,
                    mean_TCHW=posterior.mean[row].transpose(0, 1).half().contiguous(),
                    logvar_TCHW=posterior.logvar[row].transpose(0, 1).half().contiguous(),
                    prompt_LD=prompts[clip.instruction],
                    unconditional_LD=prompts[""],
                    scaling=float(vae.config["scaling_factor"]),
                )
            )
    return encoded
