"""The shipped tiny base, loaded once for all model tests, and small plans on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.base import Base, load_base
from ophora_model.latents import CachedClip
from ophora_model.presets import find_preset
from ophora_model.round_plan import RoundPlan, TuningPlan
from ophora_privacy.plan import PrivacyPlan


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny_base() -> Base:
    """A fresh one for each test: adapters are attached in place."""
    return load_base(find_preset("tiny"))


@pytest.fixture
def small_spec() -> AdapterSpec:
    return AdapterSpec(rank=4, alpha=8.0, targets=("attn1.to_q", "attn1.to_v"), seed=3)


@pytest.fixture
def privacy() -> Callable[..., PrivacyPlan]:
    def make(**changed: Any) -> PrivacyPlan:
        values: dict[str, Any] = {
            "clip_norm": 0.5,
            "noise_multiplier": 0.0,
            "sampling_rate": 1.0,
            "steps_per_round": 2,
            "delta": 1e-3,
            "clips_per_patient": 2,
            "normaliser": 2.0,
        }
        return PrivacyPlan(**{**values, **changed})

    return make


@pytest.fixture
def round_plan(small_spec: AdapterSpec) -> Callable[..., RoundPlan]:
    def make(**changed: Any) -> RoundPlan:
        tuning = TuningPlan(
            learning_rate=1e-2,
            warmup_steps=0,
            beta1=0.9,
            beta2=0.95,
            weight_decay=0.0,
            caption_dropout=0.1,
            gradient_checkpointing=False,
        )
        values: dict[str, Any] = {
            "run_id": "test-run",
            "stage": "tpt",
            "round": 1,
            "preset": "tiny",
            "base_fingerprint": "0" * 64,
            "adapter": small_spec,
            "tuning": tuning,
            "privacy": {},
            "code_version": "0",
        }
        return RoundPlan(**{**values, **changed})

    return make


@pytest.fixture
def cached_clips(tiny_base: Base) -> Callable[[Sequence[str]], list[CachedClip]]:
    """Random latents, one clip for each patient id given."""

    def make(patients: Sequence[str]) -> list[CachedClip]:
        clips = []
        for index, patient in enumerate(patients):
            generator = torch.Generator().manual_seed(index)
            clips.append(
                CachedClip(
                    clip_id=f"clip{index}",
                    patient_id=patient,
                    mean_TCHW=torch.randn(3, 8, 16, 24, generator=generator).half(),
                    logvar_TCHW=torch.full((3, 8, 16, 24), -6.0).half(),
                    prompt_LD=torch.randn(32, 384, generator=generator).half(),
                    unconditional_LD=torch.zeros(32, 384).half(),
                    scaling=1.0,
                )
            )
        return clips

    return make
