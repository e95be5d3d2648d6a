"""A hospital's trial run: both stages on its own clips, without a federation.

    manifest -> latents cache -> training (checkpoints) -> adapter, validation videos

    SITE/local/tpt/  checkpoints/  adapter/  validation/  runs/
    SITE/local/p2ft/ the same, from the adapter of tpt

Several processes (`torchrun`) share one run: the first of them fills the cache and writes
the files, all of them train, and with `shard` each holds a part of the base only.

No noise protects a patient here, so nothing of it may leave the site: the ledger knows nothing of
it, and no part of the federation reads this folder. The paper's section 3.2.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ophora_client.clip_sources import clip_sources, hold_out_patients
from ophora_client.errors import SiteInvalid
from ophora_client.local_processes import Tracker, agreed, open_accelerator, shard
from ophora_client.site import Site

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ophora_model.adapter import Adapter
    from ophora_model.adapter_spec import AdapterSpec
    from ophora_model.base import Base
    from ophora_model.latents import ClipSource
    from ophora_model.release import Release
    from ophora_model.training import StepReport
    from ophora_model.training_plan import TrainingPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """What a trial run does beside its plan.

    `start` is a release to train on from; `stack` one that stays as it is, with a second adapter on
    top, of `stack_rank` or of the same rank. `shard` changes where the base's weights are, not the
    result.
    """

    start: Path | None = None
    stack: Path | None = None
    stack_rank: int | None = None
    shard: bool = False
    checkpoint_every: int = 100
    validate_every: int = 0  # steps; 0: only at the end
    prompts: tuple[str, ...] = ()
    track: Tracker = "none"

    def __post_init__(self) -> None:
        if self.start is not None and self.stack is not None:
            raise SiteInvalid("--from and --stack: give one of them")
        if self.stack_rank is not None and self.stack is None:
            raise SiteInvalid(f"--stack-rank {self.stack_rank}: give what to stack on, --stack")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRun:
    """What a trial run left: a release folder, and the validation videos of each point.

    Of several processes one `is_main`: it wrote them.
    """

    adapter: Path
    videos: tuple[Path, ...]
    steps: int
    num_clips: int
    loss: float
    is_main: bool


class LocalTuning:
    """One stage of one site. Made by a command; holds the base while it runs."""

    def __init__(self, site: Site, plan: TrainingPlan, options: LocalOptions) -> None:
        self._site, self._plan, self._options = site, plan, options
        self._folder = site.folder / "local" / plan.stage
        self._videos: list[Path] = []
        self._spec: AdapterSpec
        self._own_factors = False

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
        site = self._site
        share = site.settings.audit.held_out_share
        hold_out_patients(site.manifest_path, key=site.key(), share=share)
        sources = clip_sources(site.manifest_path, site.clips_dir, self._plan.stage)
        if not sources:
            stage = self._plan.stage
            raise SiteInvalid(f"clips of stage {stage}: none; `ophora site curate` makes them")
        release = self._release()
        accelerator = open_accelerator(  # first: it gives this process its device
            self._options.track, self._folder / "runs", f"local-{self._plan.stage}"
        )
        try:
            return self._run(accelerator, sources, release, on_clip, on_step, cancelled)
        finally:
            accelerator.end_training()

    def _run(
        self,
        accelerator: Accelerator,
        sources: Sequence[ClipSource],
        release: Release | None,
        on_clip: Callable[[int, int], None] | None,
        on_step: Callable[[StepReport], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> LocalRun:
        from ophora_model.base import load_base
        from ophora_model.latents import LatentsCache
        from ophora_model.presets import find_preset
        from ophora_model.training import Checkpointing, train

        model, is_main = self._site.settings.model, accelerator.is_main_process
        base = load_base(
            find_preset(model.preset),
            _folder(model.base_folder),
            transformer_device="cpu" if self._options.shard else None,  # whole on no device
        )
        with accelerator.main_process_first():
            cache = LatentsCache(self._site.cache_dir, base, key=self._site.key())
            cache.fill(sources, on_clip)
        adapter = self._attach(base, release)
        if self._options.shard:
            shard(base, accelerator)

        def after_step(report: StepReport) -> None:
            if on_step is not None:
                on_step(report)
            self._log(accelerator, report)
            every = self._options.validate_every
            if every and report.step % every == 0 and report.step < report.steps:
                self._validate(base, report.step, is_main)

        checkpoints = Checkpointing(
            folder=self._folder / "checkpoints" / self._identity(sources, release),
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
            cancelled=agreed(accelerator, cancelled),
        )
        if result.average is not None:
            adapter.write_trained(result.average)
        self._validate(base, self._plan.steps, is_main)
        accelerator.wait_for_everyone()
        if is_main:
            self._write(base, adapter)
            shutil.rmtree(self._folder / "checkpoints")  # those of runs given up as well
        return LocalRun(
            adapter=self._folder / "adapter",
            videos=tuple(self._videos),
            steps=self._plan.steps,
            num_clips=len(sources),
            loss=result.losses[-1] if result.losses else float("nan"),
            is_main=is_main,
        )

    def _identity(self, sources: Sequence[ClipSource], release: Release | None) -> str:
        """Of this plan, start and clips: another plan, or more clips, begins anew."""
        stacked = f"stack {self._options.stack_rank}" if self._options.stack else "start"
        start = f"{stacked} {release.sha256}" if release else ""
        ids = sorted(each.clip_id for each in sources)
        text = "\n".join((self._plan.fingerprint(), start, *ids))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _release(self) -> Release | None:
        """What this stage starts from: what was asked for, or the adapter of the stage before."""
        from ophora_model.release import read_release

        start = self._options.stack or self._options.start
        if start is None and self._plan.stage == "p2ft":
            before = self._site.folder / "local" / "tpt" / "adapter"
            start = before if before.is_dir() else None
        return None if start is None else read_release(start)

    def _attach(self, base: Base, release: Release | None) -> Adapter:
        """The adapter to train: a new one, the release's, or one on top of the release's."""
        from ophora_model.adapter import attach_adapter
        from ophora_model.adapter_spec import AdapterSpec
        from ophora_model.attachment import attach_file, stack_on_file

        if release is None:
            self._spec = AdapterSpec.of_preset(base.preset, seed=self._plan.seed)
            assert base.transformer is not None
            return attach_adapter(base.transformer, self._spec)
        self._own_factors = release.card.seed is None
        if self._options.stack is None:
            self._spec = release.adapter
            return attach_file(base, release.content)
        rank = self._options.stack_rank or release.adapter.rank
        self._spec, adapter = stack_on_file(base, release.content, rank)
        return adapter

    def _log(self, accelerator: Accelerator, report: StepReport) -> None:
        """Losses go to this site's own tracker and nowhere else."""
        if self._options.track != "none":
            values = {
                "loss": report.loss,
                "gradient_norm": report.gradient_norm,
                "learning_rate": report.learning_rate,
            }
            accelerator.log(values, step=report.step)

    def _validate(self, base: Base, step: int, is_main: bool) -> None:
        """The prompts' videos as the generator would make them, with one fixed record.

        A base in parts needs all processes for it; else the others wait.
        """
        from ophora_model.sampling import Generator, SamplerRecord
        from ophora_model.video import write_video

        prompts: Sequence[str] = self._options.prompts
        if not prompts or not (is_main or self._options.shard):
            return
        folder = self._folder / "validation"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        record = SamplerRecord.of_preset(base.preset, seed=0)
        for number, frames in enumerate(Generator(base).generate(prompts, record), start=1):
            path = folder / f"step-{step:06d}-{number}.mp4"
            if is_main:
                write_video(path, frames, base.preset.fps)
                self._videos.append(path)

    def _write(self, base: Base, adapter: Adapter) -> None:
        from ophora_model.release import write_release

        write_release(
            self._folder / "adapter",
            preset=base.preset.name,
            base_fingerprint=base.fingerprint,
            base_folder=_folder(self._site.settings.model.base_folder),
            adapter=self._spec,
            tensors=adapter.read(),
            stage=self._plan.stage,
            round=1,
            down=adapter.read_frozen() if self._own_factors else None,
        )


def _folder(text: str) -> Path | None:
    return Path(text) if text else None
