"""`ophora federation simulate`: many simulated sites on this machine, for studies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ophora_deploy.simulation.plan import SimulationPlan
    from ophora_server.federation_settings import FederationSettings


def simulate(
    out: Annotated[Path, typer.Option(help="Folder of the simulated run; made, or gone on with.")],
    sites: Annotated[int, typer.Option(help="Number of sites.")] = 10,
    partition: Annotated[str, typer.Option(help="iid, by-phase or by-size.")] = "iid",
    alpha: Annotated[
        float, typer.Option(help="Dirichlet concentration of by-phase and by-size; small: unequal.")
    ] = 0.5,
    rounds: Annotated[int | None, typer.Option(help="Rounds of TPT. [default: 3]")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="A federation.toml with the rounds to run.")
    ] = None,
    patients: Annotated[int, typer.Option(help="Patients of a site, or their mean.")] = 4,
    clips: Annotated[int, typer.Option(help="Clips of a patient.")] = 4,
    seed: Annotated[int, typer.Option(help="Of adapter, partition, clips and draws.")] = 1,
    workers: Annotated[int, typer.Option(help="Processes that tune, one base each.")] = 2,
    no_tuning: Annotated[
        bool, typer.Option("--no-tuning", help="Sites answer with a random update.")
    ] = False,
) -> None:
    """Run the rounds with simulated sites on Ray; writes a registry, rounds.json and rounds.png."""
    from rich.console import Console

    from ophora_deploy.errors import SimulationRefused
    from ophora_deploy.simulation.plan import SimulationPlan
    from ophora_deploy.simulation.report import JSON_FILE, PICTURE, read_rows, table, write_report
    from ophora_deploy.simulation.run import check_installed
    from ophora_deploy.simulation.settings import default_settings, read_settings

    check_installed()
    plan = SimulationPlan(
        sites=sites,
        partition=partition,
        alpha=alpha,
        patients=patients,
        clips_each=clips,
        seed=seed,
        tuning=not no_tuning,
    )
    if settings is not None and rounds is not None:
        raise SimulationRefused(f"--rounds {rounds}: leave it out, {settings} has its own")
    if settings is None:
        asked = default_settings(plan, 3 if rounds is None else rounds)
    else:
        asked = read_settings(settings, plan)
    _run(plan, asked, out, workers)
    rows = read_rows(_opened(out), asked)
    write_report(rows, plan, out)
    Console().print(table(rows))
    typer.echo(f"{out / JSON_FILE}, {out / PICTURE}; ophora federation status --run {out}")


def _opened(out: Path) -> Any:
    from ophora_server.run_folder import RunFolder

    return RunFolder(path=out)


def _run(plan: SimulationPlan, settings: FederationSettings, out: Path, workers: int) -> None:
    from rich.console import Console

    from ophora_deploy.demo.show import Show
    from ophora_deploy.simulation.run import num_rounds, simulate
    from ophora_server.run_record import rounds_done

    done = rounds_done(_opened(out), settings)
    total = (num_rounds(settings) - done) * plan.sites
    answers, place = 0, "starting"
    with Show(Console(stderr=True)).part(f"Simulating {plan.sites} sites", total) as move:

        def show(event: Mapping[str, Any]) -> None:
            nonlocal answers, place
            if event["event"] == "round-started":
                place = f"round {event['round']} of {num_rounds(settings)}"
            answers += event["event"] == "reply"
            move(answers, place)

        simulate(plan, settings, out, workers=workers, on_event=show)
