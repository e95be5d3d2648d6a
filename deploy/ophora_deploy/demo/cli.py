"""`ophora demo`: a whole federation on this machine, from phantom videos to a generated one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    console.print(findings.privacy_words, highlight=False)
    typer.echo(str(out / "report.html"))
