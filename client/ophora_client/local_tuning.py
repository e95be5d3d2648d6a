"""A hospital's trial run: both stages on its own clips, without a federation.

    manifest -> latents cache -> training (checkpoints) -> adapter, validation videos

    SITE/local/tpt/  checkpoints/  adapter/  validation/  runs/
    SITE/local/p2ft/ the same, from the adapter of tpt

No noise protects a patient here, so nothing of it may leave the site: the ledger knows nothing of
it, and no part of the federation reads this folder. The paper's section 3.2.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ophora_client.clip_sources import clip_sources
from ophora_client.errors import SiteInvalid
from ophora_client.site import Site

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ophora_model.adapter import Adapter
    from ophora_model.adapter_spec import AdapterSpec
    from ophora_model.base import Base
    from ophora_model.latents import ClipSource
    from ophora_model.training import StepReport
    from ophora_model.training_plan import TrainingPlan

Tracker = Literal["none", "tensorboard", "mlflow"]
TRACKERS: tuple[Tracker, ...] = ("none", "tensorboard", "mlflow")
_MISSING_TRACKER = "--track {name}: {name} is not installed here; pip install {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """What a trial run does beside its plan. `start` is a release folder to train on from."""

    start: Path | None = None
    checkpoint_every: int = 100
    validate_every: int = 0  # steps; 0: only at the end
    prompts: tuple[str, ...] = ()
    track: Tracker = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRun:
    """What a trial run left: a release folder, and the validation videos of each point."""

    adapter: Path
    videos: tuple[Path, ...]
    steps: int
    num_clips: int
    loss: float


class LocalTuning:
    """One stage of one site. Made by a command; holds the base while it runs."""

    def __init__(self, site: Site, plan: TrainingPlan, options: LocalOptions) -> None:
        self._site, self._plan, self._options = site, plan, options
        self._folder = site.folder / "local" / plan.stage
        self._videos: list[Path] = []
        self._spec: AdapterSpec

    def run(
        self,
        *,
        on_clip: Callable[[int, int], None] | None = None,
        on_step: Callable[[StepReport], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> LocalRun:
        """Encode what is missing, train, write the adapter.

        A run of the same plan that was stopped goes on where it was. Raises `SiteInvalid` where
        there is no clip of this stage, and what `training.train` raises.
        """
        from ophora_model.base import load_base
        from ophora_model.latents import LatentsCache
        from ophora_model.presets import find_preset
        from ophora_model.training import Checkpointing, train

        model = self._site.settings.model
        sources = clip_sources(self._site.manifest_path, self._site.clips_dir, self._plan.stage)
        if not sources:
            stage = self._plan.stage
            raise SiteInvalid(f"clips of stage {stage}: none; `ophora site curate` makes them")
        base = load_base(find_preset(model.preset), _folder(model.base_folder))
        cache = LatentsCache(self._site.cache_dir, base, key=self._site.key())
        cache.fill(sources, on_clip)
        adapter = self._attach(base)
        accelerator = self._accelerator()

        def after_step(report: StepReport) -> None:
            if on_step is not None:
                on_step(report)
            self._log(accelerator, report)
            every = self._options.validate_every
            if every and report.step % every == 0 and report.step < report.steps:
                self._validate(base, report.step)

        checkpoints = Checkpointing(
            folder=self._folder / "checkpoints" / self._identity(sources),
            every=self._options.checkpoint_every,
        )
        result = train(
            base,
            adapter,
            cache.load(sources),
            self._plan,
            accelerator=accelerator,
            checkpointing=checkpoints,
            on_step=after_step,
            cancelled=cancelled,
        )
        tensors = result.tensors if result.average is None else result.average
        adapter.write(tensors)
        accelerator.end_training()
        self._validate(base, self._plan.steps)
        adapter_folder = self._write(base, tensors)
        shutil.rmtree(self._folder / "checkpoints")  # those of runs that were given up as well
        return LocalRun(
            adapter=adapter_folder,
            videos=tuple(self._videos),
            steps=self._plan.steps,
            num_clips=len(sources),
            loss=result.losses[-1] if result.losses else float("nan"),
        )

    def _identity(self, sources: Sequence[ClipSource]) -> str:
        """Of this plan on these clips: another plan, or more clips, begins anew."""
        text = "\n".join((self._plan.fingerprint(), *sorted(each.clip_id for each in sources)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _attach(self, base: Base) -> Adapter:
        """The adapter to train: a new one, or the one that this stage goes on from."""
        from ophora_model.adapter import attach_adapter
        from ophora_model.adapter_spec import AdapterSpec
        from ophora_model.release import attach_release, read_release

        start = self._options.start
        if start is None and self._plan.stage == "p2ft":
            before = self._site.folder / "local" / "tpt" / "adapter"
            start = before if before.is_dir() else None
        if start is not None:
            release = read_release(start)
            self._spec = release.adapter
            return attach_release(base, release)
        self._spec = AdapterSpec.of_preset(base.preset, seed=self._plan.seed)
        assert base.transformer is not None
        return attach_adapter(base.transformer, self._spec)

    def _accelerator(self) -> Accelerator:
        """Processes, devices and trackers as `accelerate launch` or this machine has them."""
        from accelerate import Accelerator

        track = self._options.track
        if track == "none":
            return Accelerator()
        try:
            made = Accelerator(log_with=track, project_dir=str(self._folder / "runs"))
            made.init_trackers(f"local-{self._plan.stage}")
        except (ImportError, ValueError) as error:
            raise SiteInvalid(_MISSING_TRACKER.format(name=track)) from error
        return made

    def _log(self, accelerator: Accelerator, report: StepReport) -> None:
        """Losses go to this site's own tracker and nowhere else."""
        if self._options.track != "none":
            values = {
                "loss": report.loss,
                "gradient_norm": report.gradient_norm,
                "learning_rate": report.learning_rate,
            }
            accelerator.log(values, step=report.step)

    def _validate(self, base: Base, step: int) -> None:
        """The prompts' videos as the generator would make them, with one fixed record."""
        from ophora_model.sampling import Generator, SamplerRecord
        from ophora_model.video import write_video

        prompts: Sequence[str] = self._options.prompts
        if not prompts:
            return
        folder = self._folder / "validation"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        record = SamplerRecord.of_preset(base.preset, seed=0)
        for number, frames in enumerate(Generator(base).generate(prompts, record), start=1):
            path = folder / f"step-{step:06d}-{number}.mp4"
            write_video(path, frames, base.preset.fps)
            self._videos.append(path)

    def _write(self, base: Base, tensors: Any) -> Path:
        from ophora_model.release import write_release

        return write_release(
            self._folder / "adapter",
            preset=base.preset.name,
            base_fingerprint=base.fingerprint,
            base_folder=_folder(self._site.settings.model.base_folder),
            adapter=self._spec,
            tensors=tensors,
            stage=self._plan.stage,
            round=1,
        )


def _folder(text: str) -> Path | None:
    return Path(text) if text else None
