"""Sampling: prompts to videos, with everything that decides the result in one record.

The pipeline is diffusers' own `CogVideoXPipeline`. One `Generator` serves one caller at a time: the
pipeline is not thread-safe, so a host runs one process per generator.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ophora_model.base import Base
from ophora_model.errors import Cancelled, PlanInvalid
from ophora_model.presets import Preset
from ophora_model.strict import check_number, check_whole
from ophora_model.video import Frames

OnSamplingStep = Callable[[int, int], None]  # step, steps
MAX_PROMPT_CHARS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerRecord:
    """Seed, steps and guidance: with base and adapter they fix the video.

    Prompt k of a call is sampled with `seed + k`. `dynamic_guidance` is diffusers' schedule, which
    jumps from step to step; it is recorded because videos with and without it don't compare.
    """

    seed: int
    steps: int
    guidance: float
    dynamic_guidance: bool

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, low=0, high=2**62)
        check_whole("steps", self.steps, low=1, high=1000)
        check_number("guidance", self.guidance, low=0, high=50)

    @classmethod
    def of_preset(
        cls, preset: Preset, *, seed: int, steps: int | None = None, guidance: float | None = None
    ) -> SamplerRecord:
        """The preset's defaults with what is given put in their place."""
        return cls(
            seed=seed,
            steps=preset.sampling_steps if steps is None else steps,
            guidance=preset.guidance if guidance is None else guidance,
            dynamic_guidance=preset.dynamic_guidance,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


class Generator:
    """Makes videos with a loaded base (all parts), with whatever adapter is attached to it."""

    def __init__(self, base: Base) -> None:
        from diffusers import CogVideoXPipeline

        self.base = base
        self._busy = threading.Lock()
        self._pipeline = CogVideoXPipeline(
            tokenizer=None,
            text_encoder=None,
            vae=base.vae,
            transformer=base.transformer,
            scheduler=base.scheduler,
        )
        self._pipeline.set_progress_bar_config(disable=True)

    def generate(
        self,
        prompts: Sequence[str],
        record: SamplerRecord,
        *,
        on_step: OnSamplingStep | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Frames]:
        """One video [frames, height, width, 3] per prompt.

        Raises `PlanInvalid` on an empty or overlong prompt and `Cancelled` at the next step after
        `cancelled()` turns true; nothing of a cancelled call reaches the next.
        """
        for prompt in prompts:
            if not prompt.strip() or len(prompt) > MAX_PROMPT_CHARS:
                raise PlanInvalid(
                    f"prompt of {len(prompt)} characters: must have 1 to {MAX_PROMPT_CHARS}"
                )
        if not self._busy.acquire(blocking=False):
            raise PlanInvalid("generator is in use: one call at a time; start another process")
        try:
            return self._sample(prompts, record, on_step, cancelled)
        finally:
            # after an aborted call the cache hooks would leak its activations into the next
            self._pipeline.transformer._reset_stateful_cache()
            self._busy.release()

    @torch.no_grad()
    def _sample(
        self,
        prompts: Sequence[str],
        record: SamplerRecord,
        on_step: OnSamplingStep | None,
        cancelled: Callable[[], bool] | None,
    ) -> list[Frames]:
        def after_step(pipe: Any, step: int, time: Any, values: dict[str, Any]) -> dict[str, Any]:
            if cancelled is not None and cancelled():
                raise Cancelled(f"stopped at step {step + 1} of {record.steps}")
            if on_step is not None:
                on_step(step + 1, record.steps)
            return values

        preset, base = self.base.preset, self.base
        dtype = self._pipeline.transformer.dtype
        embeddings = base.encode_text([*prompts, ""]).to(base.device, dtype)
        negative = embeddings[-1:].expand(len(prompts), -1, -1)
        seeds = [torch.Generator().manual_seed(record.seed + k) for k in range(len(prompts))]
        with base.autocast():
            video = self._pipeline(
                prompt_embeds=embeddings[:-1],
                negative_prompt_embeds=negative,
                height=preset.height,
                width=preset.width,
                num_frames=preset.frames,
                num_inference_steps=record.steps,
                guidance_scale=record.guidance,
                use_dynamic_cfg=record.dynamic_guidance,
                generator=seeds,
                callback_on_step_end=after_step,
                max_sequence_length=preset.text_length,
                output_type="pt",
            ).frames
        pixels = video.float().clamp(0, 1).mul(255).round().to(torch.uint8)
        return list(np.asarray(pixels.permute(0, 1, 3, 4, 2).cpu().numpy()))
