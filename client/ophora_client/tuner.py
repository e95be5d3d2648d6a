"""The tuner: what a round needs of the model.

`Tuner` is the seam between a round's order of events (policy, budget, logs) and the model itself;
model_tuner.py has the one of a real site.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ophora_model.update import Shapes, Tensors

if TYPE_CHECKING:
    from ophora_model.adapter_spec import AdapterSpec
    from ophora_model.patient_tuning import Give
    from ophora_model.round_plan import RoundPlan
    from ophora_privacy.plan import PrivacyPlan

OnStep = Callable[[int, int, float], None]  # step, steps, loss: the loss stays at the site


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """One round's outcome; `update` is empty where patients were tuned each by itself.

    `losses` are learned from the patients without noise.
    """

    update: Tensors
    losses: tuple[float, ...]  # still identifiable: must not leave the site by default
    steps: int
    seconds: float


class Tuner(Protocol):
    """The model as a round sees it."""

    @property
    def base_fingerprint(self) -> str:
        """Hash of the base weights that the site holds."""
        ...

    def shapes(self, spec: AdapterSpec) -> Shapes:
        """Name to shape of the adapter's tensors, frozen columns too."""
        ...

    def num_clips(self, stage: str) -> int:
        """How many clips the site has for this stage, each ready for tuning."""
        ...

    def tune(
        self,
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        *,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Tuned:
        """Tune from `start`; the update is what tuning added."""
        ...

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
        """Give how each patient of the round alone moves the adapter in `steps`, clipped."""
        ...
