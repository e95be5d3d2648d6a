"""`ophora demo`: a whole federation on this machine, from phantom videos to a generated one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ophora_deploy.demo.report import SiteFigures


def demo(
    out: Annotated[Path, typer.Option(help="Folder; a demo's own is replaced.")] = Path("demo"),
    epsilon: Annotated[
        float | None,
        typer.Option(help="Keep every patient within this epsilon. Default: little noise."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of phantoms, adapters and prompts.")] = 1,
) -> None:
    """Run three sites, a coordinator and a generator here; ends with a report."""
    from rich.console import Console
    from rich.table import Table

    from ophora_deploy.demo.plan import DemoPlan
    from ophora_deploy.demo.run import run_demo

    console = Console(stderr=True)
    findings = run_demo(DemoPlan(seed=seed, epsilon=epsilon), out, console)
    table = Table(title="What came out", title_justify="left")
    for head in ("model", "phase match", "with overlay", "videos"):
        table.add_column(head, justify="left" if head == "model" else "right")
    for name, result in findings.evaluations.items():
        table.add_row(
            name,
            f"{100 * result.phase_match.value:.0f} %",
            f"{100 * result.overlay_rate.value:.0f} %",
            str(result.phase_match.samples),
        )
    console.print(table)
    console.print(_budgets(findings.sites))
    console.print(findings.privacy_words, highlight=False)
    typer.echo(str(out / "report.html"))


def _budgets(sites: Sequence[SiteFigures]) -> Table:
    """What each stage had cost a patient of each site when it was over."""
    from rich.table import Table

    table = Table(title="Epsilon per patient", title_justify="left")
    table.add_column("site")
    for stage in sites[0].epsilon_after:
        table.add_column(f"after {stage.upper()}", justify="right")
    table.add_column("delta", justify="right")
    for site in sites:
        spent = [f"{value:,.1f}" for value in site.epsilon_after.values()]
        table.add_row(site.code, *spent, f"{site.delta:g}")
    return table
