"""The tuner: what a round needs of the model, and the one that holds the real base in memory.

`Tuner` is the seam between a round's order of events (policy, budget, logs) and the model itself.
`ModelTuner` loads the base once for the life of the trainer process and fills the latents cache
from the site's manifest; what was encoded once is never encoded again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ophora_client.clip_sources import clip_sources
from ophora_model.stacking import trained_columns
from ophora_model.update import Shapes, Tensors, Update

if TYPE_CHECKING:
    from ophora_model.adapter import Adapter
    from ophora_model.adapter_spec import AdapterSpec
    from ophora_model.latents import CachedClip, ClipSource
    from ophora_model.patient_tuning import Give
    from ophora_model.round_plan import RoundPlan
    from ophora_model.tuning import TuningResult
    from ophora_privacy.performance import PerformanceSettings
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


class ModelTuner:
    """Tuner over the real base. Not for use by two threads at once.

    The cache is sealed with keys derived from `key`, the site's. Raises `CacheUnreadable` where it
    is another than the one that the cache was sealed with. `performance` is how gradients are
    computed, which is the site's own affair.
    """

    def __init__(
        self,
        *,
        preset: str,
        base_folder: Path | None,
        manifest: Path,
        clips: Path,
        cache: Path,
        key: bytes,
        performance: PerformanceSettings | None = None,
    ) -> None:
        from ophora_model.base import load_base
        from ophora_model.latents import LatentsCache
        from ophora_model.presets import find_preset

        self._base = load_base(find_preset(preset), base_folder)
        self._transformer: Any = self._base.transformer  # diffusers' class with peft's methods
        self._cache = LatentsCache(cache, self._base, key=key)
        self._manifest, self._clips = manifest, clips
        self._performance = performance
        self._adapter: tuple[AdapterSpec, Adapter] | None = None

    @property
    def base_fingerprint(self) -> str:
        """Hash of the loaded base's weights."""
        return self._base.fingerprint

    def shapes(self, spec: AdapterSpec) -> Shapes:
        """Of this adapter on the loaded base. Raises AdapterMismatch."""
        from ophora_model.adapter import adapter_shapes

        if self._adapter is not None and self._adapter[0] == spec:
            return self._adapter[1].shapes()
        return adapter_shapes(self._transformer, spec)

    def num_clips(self, stage: str) -> int:
        """Curated clips of the stage's tiers, as the manifest has them now, encoded when new.

        Raises `VideoUnreadable` or `CacheUnreadable`: before the budget is touched, so that a
        spoilt clip or entry spends none.
        """
        sources = self._sources(stage)
        self._cache.fill(sources)
        return len(sources)

    def fill_cache(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Encode what is missing for any stage and drop what no clip needs any more.

        Returns how many clips were encoded. Only before rounds begin: nothing may fill meanwhile.
        """
        sources = self._sources("tpt")  # of every tier that is trained on
        encoded = self._cache.fill(sources, progress)
        self._cache.prune(sources)
        return encoded

    def tune(
        self,
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        *,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Tuned:
        """Write `start` into the adapter, tune it on the stage's clips, read what it added.

        The draws are keyed anew each time. A round that is run again (the trainer died, the
        coordinator asked twice) would otherwise draw the same patients, and the ledger counts
        every reservation as a draw of its own.
        """
        from ophora_model.tuning import tune

        adapter, clips = self._ready(plan, start)
        result = tune(
            self._base,
            adapter,
            clips,
            plan,
            privacy,
            secret=os.urandom(32),
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
        give: Give,
        *,
        steps: int,
        on_step: OnStep,
        cancelled: Callable[[], bool],
    ) -> Tuned:
        """As `tune` draws, once for the whole round; the adapter ends as it was sent."""
        from ophora_model.patient_tuning import tune_patients

        adapter, clips = self._ready(plan, start)
        result = tune_patients(
            self._base,
            adapter,
            start,
            clips,
            plan,
            privacy,
            give,
            steps=steps,
            secret=os.urandom(32),
            performance=self._performance,
            on_step=on_step,
            cancelled=cancelled,
        )
        return _tuned(result, {})

    def _ready(self, plan: RoundPlan, start: Tensors) -> tuple[Adapter, list[CachedClip]]:
        """The adapter as it was sent, and the stage's clips from the cache."""
        sources = self._sources(plan.stage)
        self._cache.fill(sources)
        adapter = self._attached(plan.adapter)
        adapter.write(start)
        return adapter, self._cache.load(sources)

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

    def _sources(self, stage: str) -> list[ClipSource]:
        return clip_sources(self._manifest, self._clips, stage)


def _tuned(result: TuningResult, update: Tensors) -> Tuned:
    return Tuned(update=update, losses=result.losses, steps=result.steps, seconds=result.seconds)
