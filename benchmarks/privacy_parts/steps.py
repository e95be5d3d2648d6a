"""What a private step costs beside the same step without privacy, at short and at long sequences.

Private: `tuning.tune` as a site runs it, with every draw, a gradient for each patient, clipping and
noise. Without: forward, backward and AdamW of the same denoiser and adapter on as many clips, their
tensors ready. Short: the tiny preset, all patients in one pass against one batch. Long: layers of
cogvideox-2b, narrower and fewer, at the length of 25 frames of 256 x 384, one clip at a time
against one clip at a time with gradients added up. CPU seconds of one thread, in turns; the median
of the rounds.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from goals import Goal
from ophora_model.adapter import Adapter, attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.architecture import make_scheduler, random_part, read_architecture
from ophora_model.base import Base, load_base
from ophora_model.latents import CachedClip
from ophora_model.objective import denoising_losses
from ophora_model.presets import find_preset
from ophora_model.round_plan import RoundPlan, TuningPlan
from ophora_model.tuning import tune
from ophora_privacy.performance import GradientPath, PerformanceSettings
from ophora_privacy.plan import PrivacyPlan

MOST_SHORT, MOST_LONG = 1.6, 1.15
_SHORT_PATIENTS, _LONG_PATIENTS = 8, 2
_SHORT_LATENT, _LONG_LATENT = (3, 8, 16, 24), (7, 16, 32, 48)  # frames, channels, height, width
_LONG_CHANGED = {"num_attention_heads": 8, "num_layers": 2}


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Both lengths; nothing is written to `folder`."""
    del folder
    torch.set_num_threads(1)
    steps, rounds = (2, 3) if quick else (5, 7)
    short = _Trial(_short_base(), _SHORT_LATENT, _SHORT_PATIENTS, seed)
    long = _Trial(_long_base(seed), _LONG_LATENT, _LONG_PATIENTS, seed)
    together = [
        lambda: short.without(steps, at_once=_SHORT_PATIENTS),
        lambda: short.private(steps, "vectorised"),
        lambda: short.private(steps, "one-by-one"),
    ]
    apart = [lambda: long.without(1, at_once=1), lambda: long.private(1, "one-by-one")]
    bare, vectorised, single = _in_turns(together, rounds)
    bare_long, private_long = _in_turns(apart, rounds)
    return [
        Goal(
            what=f"private step over plain, {_SHORT_PATIENTS} patients of {short.tokens} tokens",
            measured=_ratio(bare, vectorised),
            samples=steps * rounds,
            at_most=MOST_SHORT,
        ),
        Goal(
            what=f"private step over plain, one clip at a time, {long.tokens} tokens",
            measured=_ratio(bare_long, private_long),
            samples=rounds,
            at_most=MOST_LONG,
        ),
        Goal(
            what=f"the same one clip at a time over a batch, {short.tokens} tokens",
            measured=_ratio(bare, single),
            samples=steps * rounds,
        ),
        _milliseconds(f"plain step, {short.tokens} tokens", bare, steps),
        _milliseconds(f"private step, {short.tokens} tokens", vectorised, steps),
        _milliseconds(f"plain step, {long.tokens} tokens", bare_long, 1),
        _milliseconds(f"private step, {long.tokens} tokens", private_long, 1),
    ]


class _Trial:
    """One base with an adapter, and one clip of each patient."""

    def __init__(
        self, base: Base, latent: tuple[int, int, int, int], patients: int, seed: int
    ) -> None:
        self._base, self._seed = base, seed
        transformer: Any = base.transformer
        self._spec = AdapterSpec.of_preset(base.preset, seed=seed)
        self._adapter: Adapter = attach_adapter(transformer, self._spec)
        self._optimizer = torch.optim.AdamW(self._adapter.parameters(), lr=1e-4)
        generator = torch.Generator().manual_seed(seed)
        shape = (patients, *latent)
        width = int(transformer.config.text_embed_dim)
        self._clean = torch.randn(shape, generator=generator)
        self._noise = torch.randn(shape, generator=generator)
        self._prompt = torch.randn(patients, base.preset.text_length, width, generator=generator)
        self._times = torch.randint(0, 1000, (patients,), generator=generator)
        self._clips = [self._clip(index) for index in range(patients)]
        frames, _, height, wide = latent
        video = frames * height * wide // int(transformer.config.patch_size) ** 2
        self.tokens = video + base.preset.text_length

    def without(self, steps: int, *, at_once: int) -> None:
        """Plain steps on every clip, so many clips at once."""
        pieces = zip(
            *(t.split(at_once) for t in (self._clean, self._prompt, self._noise, self._times)),
            strict=True,
        )
        passes = list(pieces)
        for _ in range(steps):
            self._optimizer.zero_grad(set_to_none=True)
            for clean, prompt, noise, times in passes:
                with self._base.autocast():
                    losses = denoising_losses(
                        self._base.transformer, self._base.scheduler, clean, prompt, noise, times
                    )
                (losses.mean() / len(passes)).backward()
            self._optimizer.step()

    def private(self, steps: int, path: GradientPath) -> None:
        """Private steps on every clip, each a patient."""
        patients = len(self._clips)
        privacy = PrivacyPlan(
            clip_norm=1e-3,
            noise_multiplier=1.0,
            sampling_rate=1.0,
            steps_per_round=steps,
            delta=1e-5,
            clips_per_patient=1,
            normaliser=float(patients),
        )
        plan = RoundPlan(
            run_id="benchmark",
            stage="tpt",
            round=1,
            preset=self._base.preset.name,
            base_fingerprint=self._base.fingerprint,
            adapter=self._spec,
            tuning=TuningPlan(
                learning_rate=1e-4,
                warmup_steps=0,
                beta1=0.9,
                beta2=0.95,
                weight_decay=0.0,
                caption_dropout=0.1,
                gradient_checkpointing=False,
            ),
            privacy=privacy.to_dict(),
            code_version="0",
        )
        settings = PerformanceSettings(path=path)
        tune(self._base, self._adapter, self._clips, plan, privacy, performance=settings)

    def _clip(self, index: int) -> CachedClip:
        return CachedClip(
            clip_id=f"clip{index}",
            patient_id=f"patient{index}",
            mean_TCHW=self._clean[index].half(),
            logvar_TCHW=torch.full_like(self._clean[index], -6.0).half(),
            prompt_LD=self._prompt[index].half(),
            unconditional_LD=torch.zeros_like(self._prompt[index]).half(),
            scaling=1.0,
        )


def _short_base() -> Base:
    return load_base(find_preset("tiny"), parts=("transformer",))


def _long_base(seed: int) -> Base:
    """Layers of cogvideox-2b with random weights."""
    preset = find_preset("cogvideox-2b")
    published = read_architecture(preset)
    architecture = dataclasses.replace(
        published, transformer={**published.transformer, **_LONG_CHANGED}
    )
    transformer: Any = random_part(architecture, "transformer", torch.float32, seed=seed)
    return Base(
        preset=preset,
        fingerprint="0" * 64,
        device=torch.device("cpu"),
        compute=torch.float32,
        scheduler=make_scheduler(architecture),
        transformer=transformer,
    )


def _in_turns(ways: list[Callable[[], None]], rounds: int) -> list[list[float]]:
    """CPU seconds of each way in each round; the first round warms up and is not counted."""
    spent: list[list[float]] = [[] for _ in ways]
    for number in range(rounds + 1):
        for way, times in zip(ways, spent, strict=True):
            start_s = time.process_time()
            way()
            if number:
                times.append(time.process_time() - start_s)
    return spent


def _ratio(plain: list[float], other: list[float]) -> float:
    return statistics.median(b / a for a, b in zip(plain, other, strict=True))


def _milliseconds(what: str, spent: list[float], steps: int) -> Goal:
    return Goal(
        what=f"{what}, CPU ms",
        measured=1000 * statistics.median(spent) / steps,
        samples=steps * len(spent),
    )
