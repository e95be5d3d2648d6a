"""`ophora generate` and `ophora generator serve`: videos from a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Release = Annotated[Path, typer.Option(help="Folder of a release.")]
BaseFolder = Annotated[
    Path | None, typer.Option(help="Folder of the base's weights, where it isn't a shipped one.")
]


@app.callback()
def _group() -> None:
    """Serve videos from a release."""


@app.command()
def serve(
    release: Release,
    data: Annotated[Path, typer.Option(help="Folder for the queue and the finished videos.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="A loopback address.")] = "127.0.0.1",
    base_folder: BaseFolder = None,
) -> None:
    """Serve the OpenAI videos API and a page to try it, until Ctrl-C."""
    from functools import partial

    from ophora_server.generator import host as generator_host
    from ophora_server.generator.pipeline import load_pipeline, read_offer
    from ophora_server.generator.provenance import hash_release

    offer = read_offer(release)
    plan = generator_host.HostPlan(
        offer=offer,
        release_sha256=hash_release(release),
        make_pipeline=partial(load_pipeline, release.resolve(), base_folder),
        data=data,
        address=host,
        port=port,
    )
    generator_host.serve(
        plan, lambda url: typer.echo(f"{offer.model} at {url} (page and /v1/videos); Ctrl-C ends")
    )


def generate(
    prompt: Annotated[str, typer.Argument(help="What the video shows.")],
    release: Release,
    out: Annotated[Path, typer.Option("--out", "-o", help="The MP4 to write.")],
    seed: Annotated[int | None, typer.Option(help="At random if not given.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance.")] = None,
    base_folder: BaseFolder = None,
) -> None:
    """Make one video from a release, with its provenance beside it."""
    from rich.console import Console
    from rich.progress import Progress

    from ophora_server.errors import InvalidRequest
    from ophora_server.generator.order import read_order
    from ophora_server.generator.pipeline import load_pipeline, read_offer
    from ophora_server.generator.provenance import hash_release, provenance_of, write_provenance

    if out.suffix != ".mp4":
        raise InvalidRequest("out", f"out={out.name!r}: must end in .mp4")
    wanted = {"prompt": prompt, "seed": seed, "steps": steps, "guidance": guidance}
    order = read_order(wanted, read_offer(release))
    out.parent.mkdir(parents=True, exist_ok=True)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("loading", total=None)
        pipeline = load_pipeline(release, base_folder)
        progress.update(task, description="sampling", total=order.steps)
        sampler = pipeline.render(
            order,
            out,
            on_step=lambda done, _total: progress.update(task, completed=done),
            cancelled=lambda: False,
        )
    record = provenance_of(
        out,
        video_id=out.stem,
        order=order,
        release_sha256=hash_release(release),
        sampler=sampler,
    )
    write_provenance(out.with_suffix(".json"), record)
    typer.echo(f"{out} (seed {order.seed}; provenance in {out.with_suffix('.json').name})")
