"""Which patients, clips, noises and timesteps a step is taken on, keyed by a secret of the site.

    secret, plan -> `patients`: coin flips -> `places`: clips of one patient, draws for each

A coordinator that could predict the draw would void the amplification that the accountant counts
on. What is drawn for one patient depends on no other patient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from ophora_model.base import Base
from ophora_model.latents import CachedClip
from ophora_model.patient_gradients import Places
from ophora_model.round_plan import RoundPlan
from ophora_model.training_draws import draw_place
from ophora_privacy.mechanism import sample_patients
from ophora_privacy.plan import PrivacyPlan


class PatientDraws:
    """The draws of one round. `secret` is never sent and of no use for another run of the round."""

    def __init__(
        self,
        base: Base,
        clips: Sequence[CachedClip],
        plan: RoundPlan,
        privacy: PrivacyPlan,
        *,
        secret: bytes,
        draws_per_clip: int,
    ) -> None:
        self._base, self._plan, self._privacy = base, plan, privacy
        self._secret, self._draws = secret, draws_per_clip
        self._interval = plan.timestep_interval()
        by_patient: dict[str, list[CachedClip]] = {}
        for clip in sorted(clips, key=lambda clip: clip.clip_id):
            by_patient.setdefault(clip.patient_id, []).append(clip)
        self._clips = dict(sorted(by_patient.items()))

    def patients(self, step: int) -> list[str]:
        """Those that this step draws, each by itself at the plan's rate; often none."""
        rate = self._privacy.sampling_rate
        return sample_patients(list(self._clips), rate, self._random(f"patients/{step}"))

    def places(self, step: int, patient: str) -> Places:
        """At most `clips_per_patient` of the patient's clips, each with its draws for this step."""
        clips, most = self._clips[patient], self._privacy.clips_per_patient
        if len(clips) > most:
            random = self._random(f"clips/{step}/{patient}")
            clips = [clips[int(i)] for i in random.choice(len(clips), most, replace=False)]
        return [
            draw_place(
                clip,
                self._digest(f"draw/{number}/{step}/{clip.clip_id}").hex(),
                self._base,
                sampler="uniform",
                interval=self._interval,
                caption_dropout=self._plan.tuning.caption_dropout,
            )
            for clip in clips
            for number in range(self._draws)
        ]

    def _random(self, what: str) -> np.random.Generator:
        return np.random.default_rng(int.from_bytes(self._digest(what)[:16], "big"))

    def _digest(self, what: str) -> bytes:
        text = f"{self._plan.run_id}/{self._plan.stage}/{self._plan.round}/{what}"
        return hashlib.sha256(self._secret + text.encode()).digest()
