"""`ophora site tune --local`: a stage on the site's own clips, with progress and a table."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer

_PROMPTS = (
    "Incision: make a clear corneal incision with the keratome.",
    "Phacoemulsification: sculpt and remove the nucleus with the phaco tip.",
)


def tune(
    site: Annotated[Path, typer.Option("--site", help="The site's folder.")],
    local: Annotated[
        bool, typer.Option("--local", help="Without a federation; nothing of it leaves the site.")
    ] = False,
    stage: Annotated[str, typer.Option(help="tpt (all clips) or p2ft (clean clips only).")] = "tpt",
    steps: Annotated[int | None, typer.Option(help="Default: the stage's at this preset.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Of all processes together.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At its highest.")] = None,
    accumulation: Annotated[int | None, typer.Option(help="Passes in a step.")] = None,
    intervals: Annotated[int | None, typer.Option(help="Parts of the timesteps.")] = None,
    timestep_sampler: Annotated[
        str | None, typer.Option(help="uniform, logit-normal or high-noise.")
    ] = None,
    ema_decay: Annotated[float | None, typer.Option(help="Of a moving average; 0: none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of order, noise and frozen factors.")] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="A release's folder to train on from.")
    ] = None,
    stack: Annotated[
        Path | None, typer.Option(help="A release that stays as it is; a second is put on top.")
    ] = None,
    stack_rank: Annotated[
        int | None, typer.Option(help="Of the second one; that of the release by default.")
    ] = None,
    shard: Annotated[
        bool, typer.Option("--shard", help="Spread the base over the processes of the launch.")
    ] = False,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps.")] = 100,
    validate_every: Annotated[int, typer.Option(min=0, help="Steps; 0: at the end.")] = 0,
    prompt: Annotated[list[str] | None, typer.Option(help="Of a validation video.")] = None,
    track: Annotated[str, typer.Option(help="none, tensorboard or mlflow.")] = "none",
) -> None:
    """Train an adapter on this site's clips; stop with Ctrl-C, run again to go on."""
    from ophora_client.errors import SiteInvalid
    from ophora_client.local_processes import TRACKERS
    from ophora_client.local_tuning import LocalOptions, LocalTuning
    from ophora_client.site import Site
    from ophora_model.presets import find_preset
    from ophora_model.training_plan import TrainingPlan

    if not local:
        message = "tune without --local: rounds of a federation are run by `ophora site serve`"
        raise SiteInvalid(message)
    if track not in TRACKERS:
        raise SiteInvalid(f"--track {track}: must be one of {', '.join(TRACKERS)}")
    opened = Site.open(site)
    given = {
        "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate,
        "accumulation": accumulation, "intervals": intervals,
        "timestep_sampler": timestep_sampler, "ema_decay": ema_decay, "seed": seed,
    }  # fmt: skip
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    preset = find_preset(opened.settings.model.preset)
    plan = TrainingPlan.of_stage(preset, stage, **changed)  # type: ignore[arg-type]
    options = LocalOptions(
        start=start,
        stack=stack,
        stack_rank=stack_rank,
        shard=shard,
        checkpoint_every=checkpoint_every,
        validate_every=validate_every,
        prompts=tuple(prompt) if prompt else _PROMPTS,
        track=track,
    )
    with _progress() as (on_clip, on_step), _stopped() as stopped:
        made = LocalTuning(opened, plan, options).run(
            on_clip=on_clip, on_step=on_step, cancelled=stopped.is_set
        )
    if not made.is_main:
        return
    typer.echo(f"{stage}: {made.steps} steps on {made.num_clips} clips, last loss {made.loss:.3f}")
    typer.echo(f"adapter: {made.adapter}")
    for path in made.videos:
        typer.echo(f"video: {path}")
    typer.echo("no noise protects patients in this adapter: it must not leave the site")


@contextmanager
def _progress() -> Iterator[tuple[Any, Any]]:
    """A bar for the clips that are encoded, then one for the steps with loss and time left."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # of the processes of a launch
    with Progress(*columns, disable=not first) as bars:
        clips = bars.add_task("latents", total=None)
        steps = bars.add_task("steps", total=None, start=False)

        def on_clip(done: int, total: int) -> None:
            bars.update(clips, completed=done, total=total)

        def on_step(report: Any) -> None:
            bars.start_task(steps)
            bars.update(
                steps,
                completed=report.step,
                total=report.steps,
                description=f"steps, loss {report.loss:.3f}",
            )

        yield on_clip, on_step


@contextmanager
def _stopped() -> Iterator[Event]:
    """Set by the first Ctrl-C, so that a checkpoint is written; the second one ends at once."""
    event = Event()
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        event.set()

    signal.signal(signal.SIGINT, stop)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
