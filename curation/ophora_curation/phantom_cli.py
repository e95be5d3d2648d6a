"""`ophora phantom`: simulated surgery videos for demos, tests and measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Simulated, narrated surgery videos. Never real data.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Simulated, narrated surgery videos. Never real data."""


@app.command()
def make(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    patients: Annotated[int, typer.Option(help="How many patients.")] = 4,
    seed: Annotated[int, typer.Option(help="Same seed, same videos.")] = 0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT.")] = "192x128",
    fps: Annotated[int, typer.Option(help="Frames per second.")] = 8,
    phases: Annotated[str, typer.Option(help="Only these, comma-separated.")] = "",
    weights: Annotated[str, typer.Option(help="How often, as phase=weight,...")] = "",
    speech_share: Annotated[float, typer.Option(help="Videos without subtitles.")] = 0.2,
    overlay_share: Annotated[float, typer.Option(help="Segments with a read-out or logo.")] = 0.25,
    personal_overlay_share: Annotated[float, typer.Option(help="Segments with a name.")] = 0.06,
    fault_share: Annotated[float, typer.Option(help="Segments that are spoilt.")] = 0.1,
    cases_per_patient: Annotated[int, typer.Option(help="Videos of each patient.")] = 1,
    voice: Annotated[bool, typer.Option(help="A spoken audio track.")] = True,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    identities: Annotated[
        str, typer.Option(help="plain, or full: all kinds, everywhere.")
    ] = "plain",
    elderly_share: Annotated[float, typer.Option(help="Patients over 89.")] = 0.0,
    blend_share: Annotated[float, typer.Option(help="Dissolves instead of cuts.")] = 0.0,
    copy_share: Annotated[float, typer.Option(help="Videos with a re-encoded copy.")] = 0.0,
    field: Annotated[str, typer.Option(help="full, or circle: round, on black.")] = "full",
    rotation: Annotated[int, typer.Option(help="Flag for players, degrees.")] = 0,
    variable_rate: Annotated[bool, typer.Option(help="Leave out and repeat frames.")] = False,
) -> None:
    """Write simulated videos with subtitles and ground truth, one folder per patient."""
    from rich.console import Console
    from rich.progress import Progress

    from ophora_curation.phantom.make import make_phantoms
    from ophora_curation.phantom.request import PhantomRequest
    from ophora_curation.phases import PHASES

    request = PhantomRequest(
        out=out,
        patients=patients,
        seed=seed,
        size=_read_size(size),
        fps=fps,
        phases=tuple(part.strip() for part in phases.split(",")) if phases else PHASES,
        weights=_read_weights(weights),
        speech_share=speech_share,
        overlay_share=overlay_share,
        personal_overlay_share=personal_overlay_share,
        fault_share=fault_share,
        cases_per_patient=cases_per_patient,
        voice=voice,
        workers=workers,
        identities=identities,
        elderly_share=elderly_share,
        blend_share=blend_share,
        copy_share=copy_share,
        field=field,
        rotation=rotation,
        variable_rate=variable_rate,
    )
    console = Console(stderr=True)
    with Progress(console=console) as bar:
        task = bar.add_task("Drawing simulated patients", total=patients)
        paths = make_phantoms(request, lambda done, _total: bar.update(task, completed=done))
    console.print(f"{len(paths)} simulated videos of {patients} invented patients")


def _read_size(text: str) -> tuple[int, int]:
    from ophora_curation.phantom.errors import InvalidRequest

    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InvalidRequest(f"size={text!r}: must be WIDTHxHEIGHT, as 720x480")
    return int(width), int(height)


def _read_weights(text: str) -> dict[str, float]:
    from ophora_curation.phantom.errors import InvalidRequest

    weights: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        phase, _, number = part.partition("=")
        try:
            weights[phase.strip()] = float(number)
        except ValueError as error:
            raise InvalidRequest(f"weights={part!r}: must be phase=number") from error
    return weights
