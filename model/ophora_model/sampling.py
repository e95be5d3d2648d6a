"""Sampling: prompts to videos, with everything that decides the result in one record.

The pipeline is diffusers' own `CogVideoXPipeline`. One `Generator` serves one caller at a time: the
pipeline is not thread-safe, so a host runs one process per generator.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ophora_model.acceleration import (
    Acceleration,
    FasterCache,
    FirstBlock,
    MagCache,
    NoAcceleration,
    accelerated,
    calibrating,
    compiled,
    read_acceleration,
    write_acceleration,
)
from ophora_model.architecture import DTYPES
from ophora_model.errors import Cancelled, PlanInvalid
from ophora_model.lean import lean
from ophora_model.presets import Preset
from ophora_model.strict import check_choice, check_keys, check_number, check_whole
from ophora_model.video import Frames

if TYPE_CHECKING:
    from torch import Tensor

    from ophora_model.base import Base

OnSamplingStep = Callable[[int, int], None]  # step, steps
MAX_PROMPT_CHARS = 2000
SCHEDULERS = ("CogVideoXDPMScheduler",)
COMPUTES = ("float32", "bfloat16", "float16")
_OF_THE_BASE = ("frames", "height", "width", "fps", "scheduler", "compute")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerRecord:
    """All that decides a video beside base, adapter and prompt.

    Equal records give equal videos, bit for bit, on one machine with one number of threads. Prompt
    k of a call is sampled with `seed + k`. `dynamic_guidance` is diffusers' schedule, which jumps
    from step to step; it is recorded because videos with and without it don't compare. `compute`
    is what matrix products run in. `compile` needs a C++ compiler on a CPU and takes a minute
    at the first call of a size.
    """

    seed: int
    steps: int
    guidance: float
    dynamic_guidance: bool
    frames: int
    height: int
    width: int
    fps: float
    scheduler: str
    compute: str
    acceleration: Acceleration = field(default_factory=NoAcceleration)
    compile: bool = False

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, low=0, high=2**62)
        check_whole("steps", self.steps, low=1, high=1000)
        check_number("guidance", self.guidance, low=0, high=50)
        check_whole("frames", self.frames, low=1, high=1001)
        check_whole("height", self.height, low=16, high=4096)
        check_whole("width", self.width, low=16, high=4096)
        check_number("fps", self.fps, low=0, high=240, low_open=True)
        check_choice("scheduler", self.scheduler, SCHEDULERS)
        check_choice("compute", self.compute, COMPUTES)
        for name in ("dynamic_guidance", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise PlanInvalid(f"{name}={getattr(self, name)!r}: must be true or false")
        self._check_acceleration()

    def _check_acceleration(self) -> None:
        given = self.acceleration
        if not isinstance(given, Acceleration):
            raise PlanInvalid(f"acceleration={given!r}: take one with find_acceleration")
        if isinstance(given, FasterCache) and self.guidance <= 1:
            raise PlanInvalid(
                f"guidance={self.guidance!r}: must be > 1 with fastercache, which saves the branch"
                " that guidance adds; use another acceleration"
            )
        if isinstance(given, MagCache) and len(given.ratios) != self.steps:
            raise PlanInvalid(
                f"magcache.ratios: {len(given.ratios)} for steps={self.steps}; calibrate with as"
                " many steps"
            )
        plain = isinstance(given, FasterCache) and given.attention_every == 1
        if self.compile and not (plain or isinstance(given, NoAcceleration)):
            raise PlanInvalid(
                f"compile=True: not with hooks inside the blocks ({given.kind}); use none, or"
                " fastercache with attention_every=1"
            )

    @classmethod
    def of_preset(
        cls,
        preset: Preset,
        *,
        seed: int,
        steps: int | None = None,
        guidance: float | None = None,
        acceleration: Acceleration | None = None,
        compile: bool = False,
        compute: str | None = None,
    ) -> SamplerRecord:
        """The preset's defaults, on this machine, with what is given put in their place."""
        guidance = preset.guidance if guidance is None else guidance
        return cls(
            seed=seed,
            steps=preset.sampling_steps if steps is None else steps,
            guidance=guidance,
            dynamic_guidance=preset.dynamic_guidance,
            frames=preset.frames,
            height=preset.height,
            width=preset.width,
            fps=preset.fps,
            scheduler=SCHEDULERS[0],
            compute=_own_compute(preset) if compute is None else compute,
            acceleration=_chosen(preset, guidance) if acceleration is None else acceleration,
            compile=compile,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `acceleration` is a table with its kind and settings."""
        return {**asdict(self), "acceleration": write_acceleration(self.acceleration)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> SamplerRecord:
        """The reverse of `to_dict`; refuses unknown and missing keys."""
        check_keys("sampler", given, tuple(field.name for field in fields(cls)))
        return cls(**{**given, "acceleration": read_acceleration(given["acceleration"])})


class Generator:
    """Makes videos with a loaded base (all parts), with whatever adapter is attached to it."""

    def __init__(self, base: Base) -> None:
        from diffusers import CogVideoXPipeline

        self.base = base
        self._busy = threading.Lock()
        self._forwards: list[Callable[..., Any]] = []
        self._unprompted: Tensor | None = None
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

        Raises `PlanInvalid` on an empty or overlong prompt, or where this base can't do what the
        record says, and `Cancelled` at the next step after `cancelled()` turns true; nothing of a
        cancelled call reaches the next.
        """
        import torch

        after = _after_step(record, on_step, cancelled)
        video_BFCHW = self._run(prompts, record, after, output="pt")
        pixels = video_BFCHW.float().clamp(0, 1).mul(255).round().to(torch.uint8)
        return list(np.asarray(pixels.permute(0, 1, 3, 4, 2).cpu().numpy()))

    def sample_latents(self, prompts: Sequence[str], record: SamplerRecord) -> Tensor:
        """What `generate` would decode, [len(prompts), T, C, H, W]; raises as `generate` does."""
        return self._run(prompts, record, _after_step(record, None, None), output="latent")

    def calibrate(self, prompts: Sequence[str], record: SamplerRecord) -> MagCache:
        """MagCache with the ratios of this base and adapter, over a batch of plain runs.

        They hold for as many steps as the record has. Raises as `generate` does.
        """
        plain = replace(record, acceleration=NoAcceleration(), compile=False)
        self._check(prompts, plain)
        ratios: list[tuple[float, ...]] = []
        with self._held(), calibrating(self._pipeline.transformer, steps=record.steps) as read:
            keep = _after_step(plain, lambda *_: ratios.append(read()), None)
            self._sample(prompts, plain, keep, "latent")
        return MagCache(ratios=ratios[-1])

    def _run(
        self, prompts: Sequence[str], record: SamplerRecord, after_step: Any, *, output: str
    ) -> Tensor:
        self._check(prompts, record)
        pipeline = self._pipeline
        with (
            self._held(),
            self._compiled() if record.compile else lean(pipeline.transformer, self.base.compute),
            accelerated(
                pipeline.transformer,
                record.acceleration,
                steps=record.steps,
                timestep=lambda: pipeline.current_timestep,
            ),
        ):
            return self._sample(prompts, record, after_step, output)

    @contextmanager
    def _held(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise PlanInvalid("generator is in use: one call at a time; start another process")
        try:
            yield
        finally:
            self._busy.release()

    def _check(self, prompts: Sequence[str], record: SamplerRecord) -> None:
        for prompt in prompts:
            if not prompt.strip() or len(prompt) > MAX_PROMPT_CHARS:
                raise PlanInvalid(
                    f"prompt of {len(prompt)} characters: must have 1 to {MAX_PROMPT_CHARS}"
                )
        compute = _name(self.base.compute)
        own = SamplerRecord.of_preset(self.base.preset, seed=record.seed, compute=compute)
        for name in _OF_THE_BASE:
            wanted, made = getattr(record, name), getattr(own, name)
            if wanted != made:
                raise PlanInvalid(
                    f"{name}={wanted!r}: this base has {made!r} here; make the record with"
                    " SamplerRecord.of_preset"
                )
        if isinstance(record.acceleration, FirstBlock) and len(prompts) > 1:
            raise PlanInvalid(
                f"{len(prompts)} prompts: firstblock decides for all of a batch; give one a call"
            )
        if record.compile and self.base.device.type == "cpu" and not _has_compiler():
            raise PlanInvalid("compile=True: no C++ compiler here; install g++ or leave it off")

    def _compiled(self) -> AbstractContextManager[None]:
        import torch

        blocks = list(self._pipeline.transformer.transformer_blocks)
        if not self._forwards:
            # static shapes and no fallback: what else ran would depend on earlier calls
            self._forwards = [
                torch.compile(block.forward, fullgraph=True, dynamic=False) for block in blocks
            ]
        return compiled(blocks, self._forwards)

    def _sample(
        self, prompts: Sequence[str], record: SamplerRecord, after_step: Any, output: str
    ) -> Tensor:
        import torch

        base = self.base
        dtype = DTYPES[base.preset.dtype]  # the weights' own, whatever they are held in now
        seeds = [torch.Generator().manual_seed(record.seed + k) for k in range(len(prompts))]
        with torch.no_grad():
            if self._unprompted is None:
                self._unprompted = base.encode_text([""]).to(base.device, dtype)
            embeddings = base.encode_text(prompts).to(base.device, dtype)
            negative = self._unprompted.expand(len(prompts), -1, -1)
            with base.autocast():
                made: Tensor = self._pipeline(
                    prompt_embeds=embeddings,
                    negative_prompt_embeds=negative,
                    height=record.height,
                    width=record.width,
                    num_frames=record.frames,
                    num_inference_steps=record.steps,
                    guidance_scale=record.guidance,
                    use_dynamic_cfg=record.dynamic_guidance,
                    generator=seeds,
                    callback_on_step_end=after_step,
                    max_sequence_length=base.preset.text_length,
                    output_type=output,
                ).frames
        return made


def _after_step(
    record: SamplerRecord,
    on_step: OnSamplingStep | None,
    cancelled: Callable[[], bool] | None,
) -> Any:
    def after_step(pipe: Any, step: int, time: Any, values: dict[str, Any]) -> dict[str, Any]:
        if cancelled is not None and cancelled():
            raise Cancelled(f"stopped at step {step + 1} of {record.steps}")
        if on_step is not None:
            on_step(step + 1, record.steps)
        return values

    return after_step


def _chosen(preset: Preset, guidance: float) -> Acceleration:
    """What benchmarks/sampling.py has shown to stay within 1 % of plain sampling."""
    return FasterCache() if preset.name == "tiny" and guidance > 1 else NoAcceleration()


def _own_compute(preset: Preset) -> str:
    from ophora_model.base import place

    return _name(place(preset)[1])


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in ("g++", "clang++"))
