"""The audits can fail: without noise they tell members for sure, at a small epsilon they don't.

Invented patients of one clip each, whose latent has a colour of its own that only the words of its
instruction tell: what a run of a few passes over each patient can only learn by heart.
"""

import dataclasses

import pytest
import torch

from ophora_model.adapter import attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.audit.canaries import Canary, coins, draw_canaries
from ophora_model.audit.scores import ATTACKS, membership_scores
from ophora_model.base import Base, load_base
from ophora_model.latents import CachedClip
from ophora_model.presets import find_preset
from ophora_model.round_plan import RoundPlan, TuningPlan
from ophora_model.tuning import tune
from ophora_privacy.accountant import epsilon_of
from ophora_privacy.audit.membership import MembershipFigures, membership_figures
from ophora_privacy.audit.one_run import CanaryFigures, canary_figures
from ophora_privacy.plan import PrivacyPlan

CANARIES = 40
DELTA = 1e-3
_SHAPE = (1, 8, 4, 4)


def _clip(canary: Canary) -> CachedClip:
    generator = torch.Generator().manual_seed(canary.seed >> 1)
    colour = torch.randn((1, 8, 1, 1), generator=generator).expand(_SHAPE)
    words = torch.randn((1, 384), generator=generator).expand(32, 384)
    return CachedClip(
        clip_id=canary.clip_id,
        patient_id=canary.patient_id,
        mean_TCHW=colour.half(),
        logvar_TCHW=torch.full(_SHAPE, -6.0).half(),
        prompt_LD=words.half(),
        unconditional_LD=torch.zeros(32, 384).half(),
        scaling=1.0,
    )


def _privacy(noise: float) -> PrivacyPlan:
    return PrivacyPlan(
        clip_norm=0.03 if noise else 1e3,
        noise_multiplier=noise,
        sampling_rate=0.2,
        steps_per_round=120,
        delta=DELTA,
        clips_per_patient=1,
        normaliser=4.0,
    )


def _plan(spec: AdapterSpec) -> RoundPlan:
    return RoundPlan(
        run_id="audit",
        stage="tpt",
        round=1,
        preset="tiny",
        base_fingerprint="0" * 64,
        adapter=spec,
        tuning=TuningPlan(
            learning_rate=1e-2,
            warmup_steps=4,
            beta1=0.9,
            beta2=0.95,
            weight_decay=0.0,
            caption_dropout=0.0,
            gradient_checkpointing=False,
        ),
        privacy={},
        code_version="0",
    )


def _audited(privacy: PrivacyPlan) -> tuple[dict[str, MembershipFigures], CanaryFigures]:
    """Trains on the canaries that the coins include, then attacks all of them."""
    canaries = draw_canaries(b"the secret of a site, 32 bytes..", CANARIES)
    base: Base = load_base(find_preset("tiny"), parts=("transformer",))
    base = dataclasses.replace(base, compute=torch.float32)
    assert base.transformer is not None
    spec = AdapterSpec.of_preset(base.preset, seed=0)
    adapter = attach_adapter(base.transformer, spec)
    clips = [_clip(canary) for canary in canaries]
    seen = [clip for clip, canary in zip(clips, canaries, strict=True) if canary.included]
    tune(base, adapter, seen, _plan(spec), privacy, secret=b"s" * 32)
    scores = membership_scores(base, clips)
    figures = {}
    for attack in ATTACKS:
        groups: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
        for canary, score in zip(canaries, scores[attack], strict=True):
            groups[canary.included][canary.patient_id] = [float(score)]
        figures[attack] = membership_figures(groups[True], groups[False])
    return figures, canary_figures(list(scores["sima"]), coins(canaries), delta=privacy.delta)


@pytest.mark.slow
def test_without_noise_members_and_canaries_are_told_apart() -> None:
    figures, canaries = _audited(_privacy(0.0))
    assert figures["loss"].auc > 0.9
    assert figures["loss"].auc_interval[0] > 0.75
    assert figures["sima"].auc_interval[0] > 0.8
    assert canaries.epsilon_at_least > 1.0
    assert canaries.refutes(1.0)


@pytest.mark.slow
def test_at_a_small_epsilon_nothing_is_flagged_and_the_ledger_is_not_refuted() -> None:
    privacy = _privacy(1.5)
    epsilon = epsilon_of([privacy.event()], DELTA).value
    assert epsilon <= 8
    figures, canaries = _audited(privacy)
    for attack in ATTACKS:
        assert figures[attack].auc_interval[0] <= 0.5, attack
    assert not canaries.refutes(epsilon)
