"""The rounds of a simulation: those of a federation.toml, or small ones on the tiny base."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from ophora_deploy.errors import SimulationRefused
from ophora_deploy.simulation.plan import SimulationPlan
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.presets import find_preset
from ophora_model.round_plan import TuningPlan
from ophora_privacy.plan import PrivacyPlan
from ophora_server.federation_settings import (
    FederationSettings,
    QuorumSettings,
    StageSettings,
)

RUN_ID = "simulation"
_PRESET = "tiny"
_STEPS = 20
_RATE = 0.5  # of the patients a step draws
_LITTLE_NOISE = 2e-4
_CLIP_NORM = 0.03
_LEARNING_RATE = 1.5e-2
_DELTA = 1e-3
_LONG_S = 7 * 24 * 3600.0  # a round of a thousand sites on two cores takes its time


def default_settings(plan: SimulationPlan, rounds: int) -> FederationSettings:
    """`rounds` of TPT on the tiny base with the demo's little noise; half of the sites suffice."""
    privacy = PrivacyPlan(
        clip_norm=_CLIP_NORM,
        noise_multiplier=_LITTLE_NOISE,
        sampling_rate=_RATE,
        steps_per_round=_STEPS,
        delta=_DELTA,
        clips_per_patient=plan.clips_each,
        normaliser=float(math.ceil(_RATE * plan.patients)),
    )
    tuning = TuningPlan(
        learning_rate=_LEARNING_RATE,
        warmup_steps=4,
        beta1=0.9,
        beta2=0.95,
        weight_decay=1e-3,
        caption_dropout=0.1,
        gradient_checkpointing=False,
    )
    return FederationSettings(
        run_id=RUN_ID,
        preset=_PRESET,
        base_folder="",
        adapter=AdapterSpec.of_preset(find_preset(_PRESET), seed=plan.seed),
        quorum=QuorumSettings(
            expected_sites=plan.sites,
            min_sites=math.ceil(plan.sites / 2),
            wait_s=60.0,
            round_s=_LONG_S,
            max_update_norm=1e4,
        ),
        stages=(StageSettings(name="tpt", rounds=rounds, tuning=tuning, privacy=privacy),),
    )


def read_settings(path: Path, plan: SimulationPlan) -> FederationSettings:
    """A federation.toml, with all of the simulated sites expected. Raises InvalidFederation.

    Raises SimulationRefused for a secure sum, and where there are fewer sites than it needs.
    """
    settings = FederationSettings.read(path)
    if settings.secure_sum is not None:
        raise SimulationRefused(
            "secure_sum: can't be simulated, since a simulated site lives for one message and its"
            " keys for a round; leave the table out"
        )
    if plan.sites < settings.quorum.min_sites:
        raise SimulationRefused(
            f"sites={plan.sites}: must be >= quorum.min_sites={settings.quorum.min_sites}"
        )
    return replace(settings, quorum=replace(settings.quorum, expected_sites=plan.sites))
