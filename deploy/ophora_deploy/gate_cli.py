"""`ophora federation policy | gate | publish | verify`: from a release to one that others may use.

    policy sign -> policy.json beside the release -> sites approve -> gate -> publish -> verify

`gate` shows every threshold and changes nothing; its exit code is 1 where one does not hold.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ophora_server.release_gate import Decision
    from ophora_server.release_policy import ReleasePolicy

policy_app = typer.Typer(no_args_is_help=True)

PolicyFile = Annotated[Path, typer.Argument(help="policy.json, signed.")]
ReleaseFolder = Annotated[
    Path, typer.Argument(help="Release with evidence.json, policy.json and approvals/.")
]
RosterFile = Annotated[
    Path, typer.Option("--roster", help="TOML: [sites], then CODE = the site's public key.")
]
KeyFile = Annotated[Path, typer.Option("--key", help="The coordinator's private key.")]
Trusted = Annotated[
    list[Path],
    typer.Option("--trust", help="File with a coordinator's public key; repeatable."),
]


@policy_app.command()
def sign(
    policy: Annotated[Path, typer.Argument(help="TOML with the thresholds.")],
    key: KeyFile,
    out: Annotated[Path, typer.Option("--out", help="policy.json to write.")],
) -> None:
    """Sign the thresholds; the key is made at its first use, its public half beside it."""
    from ophora_model.draft import write_whole
    from ophora_server.release_policy import CoordinatorKey, ReleasePolicy, sign_policy

    parsed = ReleasePolicy.read(policy)
    opened = CoordinatorKey.make(key)
    write_whole(out, sign_policy(parsed, opened))
    typer.echo(f"{out.name}: signed; sha256 of the thresholds {parsed.sha256}")
    typer.echo(f"public key of the coordinator: {opened.public_key}")


@policy_app.command()
def show(policy: PolicyFile, trust: Trusted) -> None:
    """Show the thresholds of a policy that a trusted key signed."""
    from rich.console import Console

    from ophora_server.release_policy import read_policy

    Console().print(_thresholds(read_policy(policy, _trusted(trust))))


def gate(release: ReleaseFolder, roster: RosterFile, trust: Trusted) -> None:
    """Hold a release against its policy: a row a threshold; exit code 1 where one does not hold."""
    from rich.console import Console

    from ophora_server.published_release import judge
    from ophora_server.release_policy import Roster

    judged = judge(release, roster=Roster.read(roster), trusted=_trusted(trust))
    console = Console()
    console.print(_rows(judged.decision))
    console.print(_outcome(judged.decision), highlight=False)
    if not judged.decision.holds:
        raise typer.Exit(1)


def publish(
    release: ReleaseFolder,
    out: Annotated[Path, typer.Argument(help="New folder of the published release.")],
    key: KeyFile,
    roster: RosterFile,
) -> None:
    """Write a release that holds the gate, with all its records, and sign it."""
    from ophora_server import published_release
    from ophora_server.release_policy import CoordinatorKey, Roster

    opened = CoordinatorKey.open(key)
    judged = published_release.publish(release, out, key=opened, roster=Roster.read(roster))
    typer.echo(f"{out}: {_outcome(judged.decision)}")
    typer.echo(f"signed with {opened.public_key}")


def verify(
    release: Annotated[Path, typer.Argument(help="Folder of a published release.")],
    trust: Trusted,
    roster: Annotated[
        Path | None, typer.Option("--roster", help="Sites' public keys that you know of yourself.")
    ] = None,
) -> None:
    """Check signature, files, records and approvals, and take the gate's decision again."""
    from ophora_server.published_release import verify_release_folder
    from ophora_server.release_policy import Roster

    known = None if roster is None else Roster.read(roster)
    judged = verify_release_folder(release, _trusted(trust), roster=known)
    card = judged.release.card
    typer.echo(f"{card.preset}, stage {card.stage}, round {card.round}: {judged.release.sha256}")
    typer.echo(f"signed and unchanged; {_outcome(judged.decision)}")
    if known is None:
        typer.echo(
            "the sites' keys are those that the coordinator recorded; --roster compares them"
        )


def _trusted(paths: list[Path]) -> list[str]:
    from ophora_server.release_policy import read_public_key

    return [read_public_key(path) for path in paths]


def _outcome(decision: "Decision") -> str:
    held = len(decision.rows) - len(decision.failing)
    word = "the gate holds" if decision.holds else "the gate does not hold"
    approved = ", ".join(decision.approved) or "nobody"
    return f"{word}: {held} of {len(decision.rows)} thresholds; approved by {approved}"


def _rows(decision: "Decision") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from ophora_server.model_card import figure_interval, figure_value

    table = Table("threshold", "measured", "interval", "must be", "holds", "why")
    table.columns[1].justify = "right"
    for row in decision.rows:
        limit = "" if row.limit is None else f"{row.relation} {row.limit:g}"
        table.add_row(
            row.name,
            figure_value(row.measured),
            figure_interval(row.low, row.high),
            limit,
            "[green]yes[/green]" if row.holds else "[red]no[/red]",
            escape("; ".join(part for part in (row.why, row.figure if row.why else "") if part)),
        )
    return table


def _thresholds(policy: "ReleasePolicy") -> "Table":
    from rich.table import Table

    table = Table("threshold", "value", title=f"policy {policy.sha256[:12]}")
    for key, value in policy.to_dict().items():
        if isinstance(value, dict):
            value = ", ".join(f"{kind} {number}" for kind, number in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        table.add_row(key, "-" if value is None else str(value))
    return table
