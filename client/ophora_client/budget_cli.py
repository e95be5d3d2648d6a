"""`ophora site budget`: what the ledger says was spent on patients, its proof and its statement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ophora_privacy.accountant import Epsilon
    from ophora_privacy.ledger import Ledger
    from ophora_privacy.ledger_spend import Spend

app = typer.Typer(help="Privacy budget: spent, left, proved.")

SiteFolder = Annotated[Path, typer.Option("--site", help="The site's folder.")]


@app.callback(invoke_without_command=True)
def budget(
    context: typer.Context,
    site: Annotated[Path | None, typer.Option("--site", help="The site's folder.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw epsilon over rounds into this PNG.")
    ] = None,
) -> None:
    """Show what was spent on each patient by run and stage, what is left, and the cap."""
    if context.invoked_subcommand is not None:
        return
    if site is None:
        raise typer.BadParameter("give --site, the site's folder")
    from ophora_client.site import Site

    opened = Site.open(site)
    ledger = opened.open_ledger()
    spends = ledger.spends()
    typer.echo(f"site {opened.settings.site.code}: privacy budget of each patient, for life")
    if spends:
        _show_table(spends, ledger)
    for line in budget_words(ledger.epsilon(), ledger.cap):
        typer.echo(line)
    if plot is not None:
        _write_plot(ledger, spends, plot)
        typer.echo(f"plot: {plot}")


@app.command()
def verify(
    site: SiteFolder,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="What the coordinator holds of this ledger.")
    ] = None,
) -> None:
    """Prove the chain from its first entry to its head; exit 1 with the reason if it is broken."""
    from ophora_client.site import Site
    from ophora_privacy.errors import PrivacyError
    from ophora_privacy.ledger_head import LedgerReceipt

    opened = Site.open(site)
    held = LedgerReceipt.from_json(_read_text(receipt)) if receipt is not None else None
    try:
        ledger = opened.open_ledger()
        found = ledger.receipt()
        if held is not None:
            ledger.check_receipt(held)
    except PrivacyError as error:
        typer.echo(f"the ledger does not hold: {error}")
        raise typer.Exit(1) from error
    typer.echo(f"the chain holds: {found.seq} entries, each following from the one before")
    typer.echo(f"ledger: {found.ledger_id}")
    typer.echo(f"head:   {found.head_hash}")
    if held is not None:
        typer.echo(f"receipt: its entry {held.seq} is in the chain")


@app.command()
def receipt(site: SiteFolder) -> None:
    """Print the ledger's head and epsilon as JSON, for someone else to keep."""
    from ophora_client.site import Site

    typer.echo(Site.open(site).open_ledger().receipt().to_json())


@app.command()
def restore_head(
    site: SiteFolder,
    receipt: Annotated[
        Path, typer.Option("--receipt", help="The newest that the coordinator holds.")
    ],
) -> None:
    """Write a lost ledger.head anew, if the ledger holds what the receipt says."""
    from ophora_client.site import Site
    from ophora_privacy.ledger_chain import LedgerChain
    from ophora_privacy.ledger_head import LedgerReceipt

    held = LedgerReceipt.from_json(_read_text(receipt))
    opened = Site.open(site)
    LedgerChain(opened.ledger_path).restore_head(held.head)
    opened.open_ledger().check_receipt(held)
    typer.echo(f"the ledger holds entry {held.seq} of the receipt; ledger.head is there")


@app.command()
def statement(site: SiteFolder) -> None:
    """Print what the site may say about its patients' privacy, as Markdown, from the ledger."""
    from datetime import UTC, datetime

    from ophora_client.privacy_statement import render_statement
    from ophora_client.site import Site

    opened = Site.open(site)
    text = render_statement(
        opened.open_ledger(), code=opened.settings.site.code, made_on=datetime.now(UTC).date()
    )
    typer.echo(text, nl=False)


@app.command()
def accept_clock(site: SiteFolder) -> None:
    """Record that the clock is right now, after an entry was made with a wrong one."""
    from ophora_client.site import Site

    Site.open(site).open_ledger().accept_clock()
    typer.echo("recorded: times count from now on; what was spent stays spent")


def budget_words(spent: Epsilon, cap: float) -> list[str]:
    """Spent, left and cap in sentences for a clinician."""
    if spent.method == "none":
        lines = ["spent: nothing; no round has trained on this site's patients"]
    else:
        lines = [f"spent: {spent.in_words()}"]
    if math.isinf(cap):
        return [*lines, "left:  no cap is set, so no round is declined for its budget"]
    left = max(0.0, cap - spent.value)
    lines.append(f"left:  {left:.2f} of {cap:g}")
    lines.append(f"cap:   {cap:g}; a round that would pass it is declined, and nothing is refunded")
    return lines


def _show_table(spends: Sequence[Spend], ledger: Ledger) -> None:
    from rich.console import Console
    from rich.table import Table

    from ophora_privacy.accountant import epsilon_of

    table = Table()
    table.add_column("run")
    table.add_column("stage")
    for name in ("rounds", "cut off", "steps", "epsilon alone", "with all before"):
        table.add_column(name, justify="right")
    table.add_column("remark")
    before: list[Any] = []
    for group in _grouped(spends):
        events = [spend.event for spend in group]
        before += events
        table.add_row(
            group[0].run_id,
            group[0].stage,
            str(len(group)),
            str(sum(not spend.settled for spend in group)),
            str(sum(event.steps for event in events)),
            _figure(epsilon_of(events, ledger.delta).value),
            _figure(epsilon_of(before, ledger.delta).value),
            _remark(group[0]),
        )
    Console().print(table)


def _grouped(spends: Sequence[Spend]) -> list[list[Spend]]:
    """By run, stage and remark, in the order of their first rounds."""
    groups: dict[tuple[str, ...], list[Spend]] = {}
    for spend in spends:
        groups.setdefault((spend.run_id, spend.stage, _remark(spend)), []).append(spend)
    return list(groups.values())


def _remark(spend: Spend) -> str:
    assumes = f"assumes {spend.assumes}" if spend.assumes else ""
    return ", ".join(part for part in (spend.note, assumes) if part)


def _write_plot(ledger: Ledger, spends: Sequence[Spend], path: Path) -> None:
    from rich.progress import Progress

    from ophora_client.budget_plot import draw_budget, epsilon_over_rounds
    from ophora_client.errors import SiteInvalid

    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise SiteInvalid("--plot: needs the package matplotlib; install it") from error
    with Progress(transient=True) as bar:
        task = bar.add_task("epsilon after each round", total=None)
        places, values = epsilon_over_rounds(
            spends, ledger.delta, lambda done, total: bar.update(task, completed=done, total=total)
        )
    stages = [spends[place - 1].stage for place in places]
    path.write_bytes(draw_budget(places, values, stages, cap=ledger.cap))


def _read_text(path: Path) -> str:
    from ophora_client.errors import SiteInvalid

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SiteInvalid(f"--receipt: can't be read ({type(error).__name__})") from error


def _figure(value: float) -> str:
    if math.isinf(value):
        return "infinite"
    return f"{value:.2f}" if value < 1000 else f"{value:.3g}"
