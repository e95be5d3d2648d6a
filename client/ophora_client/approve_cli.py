"""`ophora site approve`: a person at the site reads a release's evidence, then signs for the site.

Beside the figures stand the thresholds that the coordinator signed. The site says approve or
reject; one rejection holds the release.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ophora_client.approval import Candidate


def approve(
    release: Annotated[Path, typer.Argument(help="Release with evidence.json and policy.json.")],
    site: Annotated[Path, typer.Option("--site", help="The site's folder.")],
    reject: Annotated[bool, typer.Option("--reject", help="Reject it; this holds it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without being asked.")] = False,
) -> None:
    """Show what was measured about a release and sign the site's approval or rejection."""
    from rich.console import Console

    from ophora_client.approval import Candidate, IdentityKey, sign_approval, write_approval
    from ophora_client.site import Site

    opened = Site.open(site)
    code = opened.settings.site.code
    candidate = Candidate.read(release)
    console = Console()
    console.print(_figures(candidate), _thresholds(candidate))
    console.print(_privacy(candidate), highlight=False)
    word = "reject" if reject else "approve"
    if not yes and not typer.confirm(f"Sign as site {code}: {word} this release?"):
        typer.echo("nothing was signed")
        raise typer.Exit(1)
    key = IdentityKey.open(opened.folder)
    record = sign_approval(candidate, site=code, word=word, key=key)  # type: ignore[arg-type]
    written = write_approval(release, code, record)
    typer.echo(f"{word}: signed in approvals/{written.name}; give it to the coordinator")
    typer.echo(f"public key for the coordinator's roster: {key.public_key}")


def _figures(candidate: "Candidate") -> "Table":
    from rich.table import Table

    table = Table("kind", "figure", "value", "interval", "samples", title="measured")
    for figure in candidate.figures:
        low, high = figure.get("low"), figure.get("high")
        interval = "" if low is None else f"{_show(low)} to {_show(high)}"
        shown = ("kind", "name", "value")
        table.add_row(
            *(_show(figure.get(key)) for key in shown), interval, _show(figure.get("samples"))
        )
    return table


def _thresholds(candidate: "Candidate") -> "Table":
    from rich.table import Table

    table = Table("threshold", "value", title="what the coordinator asks for")
    for key, value in candidate.thresholds.items():
        table.add_row(_show(key), _show(value))
    return table


def _privacy(candidate: "Candidate") -> str:
    card = candidate.release.card
    sites = f"{len(card.contributors)} sites, round {card.round}, stage {card.stage}"
    if card.epsilon is None:
        return f"{sites}; no epsilon is stated"
    return f"{sites}; epsilon {card.epsilon:g} at delta {card.delta:g} per patient"


def _show(value: Any) -> str:
    """Plain and short, whatever a foreign file holds; no markup of the terminal's."""
    from rich.markup import escape

    match value:
        case None:
            return "-"
        case float():
            return f"{value:.4g}"
        case dict():
            return ", ".join(f"{_show(key)} {_show(each)}" for key, each in value.items())
        case list():
            return ", ".join(map(_show, value))
    text = "".join(letter if letter.isprintable() else "?" for letter in str(value))
    return escape(text[:80])
