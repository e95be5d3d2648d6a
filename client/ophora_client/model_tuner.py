"""The tuner of a real site: its clips, from its manifest and sealed cache, on a base in memory.

The base is loaded once for the life of the trainer process and the cache filled from the manifest;
what was encoded once is never encoded again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ophora_client.clip_sources import clip_sources
from ophora_client.tunable_base import TunableBase
from ophora_client.tuner import OnStep, Tuned
from ophora_model.update import Shapes, Tensors

if TYPE_CHECKING:
    from ophora_model.adapter_spec import AdapterSpec
    from ophora_model.latents import CachedClip, ClipSource
    from ophora_model.patient_tuning import Give
    from ophora_model.round_plan import RoundPlan
    from ophora_privacy.performance import PerformanceSettings
    from ophora_privacy.plan import PrivacyPlan


class ModelTuner:
    """Tuner over the real base. Not for use by two threads at once.

    The cache is sealed with keys derived from `key`, the site's. Raises `CacheUnreadable` where it
    is another than the one that the cache was sealed with. `performance` is how gradients are
    computed, which is the site's own affair.

    The draws of every round are keyed anew. A round that is run again (the trainer died, the
    coordinator asked twice) would otherwise draw the same patients, and the ledger counts every
    reservation as a draw of its own.
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
        from ophora_model.latents import LatentsCache

        self._tunable = TunableBase(preset, base_folder, performance)
        self._cache = LatentsCache(cache, self._tunable.base, key=key)
        self._manifest, self._clips = manifest, clips

    @property
    def base_fingerprint(self) -> str:
        """Hash of the loaded base's weights."""
        return self._tunable.fingerprint

    def shapes(self, spec: AdapterSpec) -> Shapes:
        """Of this adapter on the loaded base. Raises AdapterMismatch."""
        return self._tunable.shapes(spec)

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
        """On the stage's clips."""
        return self._tunable.tune(
            plan,
            privacy,
            start,
            self._loaded(plan.stage),
            secret=os.urandom(32),
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
        """As `tune` draws, once for the whole round; the adapter ends as it was sent."""
        return self._tunable.tune_patients(
            plan,
            privacy,
            start,
            self._loaded(plan.stage),
            give,
            steps=steps,
            secret=os.urandom(32),
            on_step=on_step,
            cancelled=cancelled,
        )

    def _loaded(self, stage: str) -> list[CachedClip]:
        sources = self._sources(stage)
        self._cache.fill(sources)
        return self._cache.load(sources)

    def _sources(self, stage: str) -> list[ClipSource]:
        return clip_sources(self._manifest, self._clips, stage)
