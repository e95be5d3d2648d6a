"""The tuner of a simulated site: its phantom clips, on the base that its worker holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ophora_client.tunable_base import TunableBase
from ophora_client.tuner import OnStep, Tuned
from ophora_deploy.simulation.clips import SiteClips, clips_of
from ophora_deploy.simulation.plan import SimulationPlan
from ophora_model.update import Shapes, Tensors

if TYPE_CHECKING:
    from ophora_model.adapter_spec import AdapterSpec
    from ophora_model.patient_tuning import Give
    from ophora_model.round_plan import RoundPlan
    from ophora_privacy.plan import PrivacyPlan


class SimulatedTuner:
    """`Tuner` of site `number`.

    The draws follow from seed, site, stage and round, so that a simulation can be repeated; a
    hospital's are nobody's to repeat. A round that is run again draws the same.
    """

    def __init__(
        self, tunable: TunableBase, plan: SimulationPlan, number: int, clips: Path
    ) -> None:
        self._tunable, self._plan, self._number, self._folder = tunable, plan, number, clips

    @property
    def base_fingerprint(self) -> str:
        """Hash of the loaded base's weights."""
        return self._tunable.fingerprint

    def shapes(self, spec: AdapterSpec) -> Shapes:
        """Of this adapter on the loaded base. Raises AdapterMismatch."""
        return self._tunable.shapes(spec)

    def num_clips(self, stage: str) -> int:
        """Of this stage; made where the site was never asked."""
        return len(self._clips.of_stage(stage))

    def tune(
        self,
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        *,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Tuned:
        """On the stage's clips."""
        return self._tunable.tune(
            plan,
            privacy,
            start,
            self._clips.of_stage(plan.stage),
            secret=self._secret(plan),
            on_step=on_step,
            cancelled=cancelled,
        )

    def tune_patients(
        self,
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        give: Give,
        *,
        steps: int,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Tuned:
        """As `tune` draws, once for the whole round."""
        return self._tunable.tune_patients(
            plan,
            privacy,
            start,
            self._clips.of_stage(plan.stage),
            give,
            steps=steps,
            secret=self._secret(plan),
            on_step=on_step,
            cancelled=cancelled,
        )

    @cached_property
    def _clips(self) -> SiteClips:
        return clips_of(self._plan, self._number, self._folder, self._tunable.base)

    def _secret(self, plan: RoundPlan) -> bytes:
        place = f"{self._plan.seed}/{self._number}/{plan.stage}/{plan.round}"
        return hashlib.sha256(place.encode()).digest()
