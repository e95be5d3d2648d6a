"""One base in memory with the adapter that the last plan asked for, tuned on clips it is given.

A site's trainer holds one for its life; so does a worker of a simulation, for all its sites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ophora_client.tuner import OnStep, Tuned
from ophora_model.stacking import trained_columns
from ophora_model.update import Shapes, Tensors, Update

if TYPE_CHECKING:
    from ophora_model.adapter import Adapter
    from ophora_model.adapter_spec import AdapterSpec
    from ophora_model.base import Base
    from ophora_model.latents import CachedClip
    from ophora_model.patient_tuning import Give
    from ophora_model.round_plan import RoundPlan
    from ophora_model.tuning import TuningResult
    from ophora_privacy.performance import PerformanceSettings
    from ophora_privacy.plan import PrivacyPlan


class TunableBase:
    """A loaded base. Not for use by two threads at once.

    `secret` keys the draws of patients, clips, timesteps and noise: new and unknown to anybody
    where the clips are patients'.
    """

    def __init__(
        self,
        preset: str,
        base_folder: Path | None,
        performance: PerformanceSettings | None = None,
    ) -> None:
        from ophora_model.base import load_base
        from ophora_model.presets import find_preset

        self.base: Base = load_base(find_preset(preset), base_folder)
        self._transformer: Any = self.base.transformer  # diffusers' class with peft's methods
        self._performance = performance
        self._adapter: tuple[AdapterSpec, Adapter] | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the loaded base's weights."""
        return self.base.fingerprint

    def shapes(self, spec: AdapterSpec) -> Shapes:
        """Of this adapter on the loaded base. Raises AdapterMismatch."""
        from ophora_model.adapter import adapter_shapes

        if self._adapter is not None and self._adapter[0] == spec:
            return self._adapter[1].shapes()
        return adapter_shapes(self._transformer, spec)

    def tune(
        self,
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        clips: Sequence[CachedClip],
        *,
        secret: bytes,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Tuned:
        """Write `start` into the adapter, tune it on the clips, read what it added."""
        from ophora_model.tuning import tune

        adapter = self._written(plan, start)
        result = tune(
            self.base,
            adapter,
            clips,
            plan,
            privacy,
            secret=secret,
            performance=self._performance,
            average_decay=plan.tuning.average_decay,
            on_step=on_step,
            cancelled=cancelled,
        )
        update = Update(tensors=adapter.read()) - Update(tensors=start)
        return _tuned(result, trained_columns(update.tensors, plan.adapter))

    def tune_patients(
        self,
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        clips: Sequence[CachedClip],
        give: Give,
        *,
        steps: int,
        secret: bytes,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Tuned:
        """As `tune` draws, once for the whole round; the adapter ends as it was sent."""
        from ophora_model.patient_tuning import tune_patients

        result = tune_patients(
            self.base,
            self._written(plan, start),
            start,
            clips,
            plan,
            privacy,
            give,
            steps=steps,
            secret=secret,
            performance=self._performance,
            on_step=on_step,
            cancelled=cancelled,
        )
        return _tuned(result, {})

    def _written(self, plan: RoundPlan, start: Tensors) -> Adapter:
        adapter = self._attached(plan.adapter)
        adapter.write(start)
        return adapter

    def _attached(self, spec: AdapterSpec) -> Adapter:
        """The adapter on the base, replaced when a plan asks for another one."""
        from ophora_model.adapter import ADAPTER_NAME, attach_adapter

        if self._adapter is not None and self._adapter[0] == spec:
            return self._adapter[1]
        if self._adapter is not None:
            self._transformer.delete_adapters(ADAPTER_NAME)
            self._adapter = None
        adapter = attach_adapter(self._transformer, spec)
        self._adapter = (spec, adapter)
        return adapter


def _tuned(result: TuningResult, update: Tensors) -> Tuned:
    return Tuned(update=update, losses=result.losses, steps=result.steps, seconds=result.seconds)
