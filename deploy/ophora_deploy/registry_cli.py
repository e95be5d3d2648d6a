"""What the registry tells: `ophora federation status | rounds | show | export | verify-log`.

`withdraw-round` is the one command here that changes something: it takes back a last round whose
adapter is lost, so that it is run once more.
"""

import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ophora_server.registry.registry import Registry

RunPath = Annotated[Path, typer.Option("--run", help="Folder of the run, with federation.toml.")]
RunId = Annotated[str, typer.Option("--run-id", help="Default: that of federation.toml.")]


@contextmanager
def _opened(folder: Path) -> "Iterator[Registry]":
    from ophora_server.errors import InvalidFederation
    from ophora_server.run_folder import RunFolder
    from ophora_server.run_record import has_registry, open_registry

    run = RunFolder(path=folder)
    if not has_registry(run):
        raise InvalidFederation(f"{folder}: no registry yet; name a run that was started")
    with open_registry(run) as registry:
        yield registry


def _run_id(folder: Path, named: str) -> str:
    from ophora_server.federation_settings import FederationSettings
    from ophora_server.run_folder import RunFolder

    return named or FederationSettings.read(RunFolder(path=folder).settings_file).run_id


def status(folder: RunPath) -> None:
    """Show where each run stands, what its rounds cost and how the last start ended."""
    from rich.console import Console
    from rich.table import Table

    from ophora_server.registry.reports import history, status
    from ophora_server.run_folder import RunFolder

    console = Console()
    with _opened(folder) as registry:
        found = status(registry)
        for run in found["runs"]:
            table = Table("round", "stage", "sites", "seconds", "sent", "received")
            for entry in history(registry, run["run"]):
                table.add_row(
                    str(entry["round"]),
                    entry["stage"],
                    " ".join(entry["sites"]),
                    f"{entry['seconds']:.0f}",
                    f"{sum(entry['bytes_sent'].values()):,}",
                    f"{sum(entry['bytes_received'].values()):,}",
                )
            console.print(f"run {run['run']}: {run['finished']} of {run['rounds']} rounds")
            console.print(table)
            if run["current"] is not None:
                console.print(_at(run["current"]))
    sites = found["sites"]
    console.print(
        f"sites: {sites['approved'] - sites['revoked']} may take part, {sites['revoked']} revoked;"
        f" audit log: {found['audit_entries']} entries"
    )
    console.print(_last_start(RunFolder(path=folder)))


def _at(current: Mapping[str, Any]) -> str:
    said = f"next: round {current['round']} ({current['stage']}), {current['state']}"
    if current["state"] == "open":
        heard = f"{current['ok']} updates in, {current['not_ok']} without"
        said += f" since {_time(current['started'])}, attempt {current['attempt']}: {heard}"
    return said


def _last_start(opened: Any) -> str:
    events = [e for e in opened.events() if e["event"] in ("started", "finished", "failed")]
    if not events:
        return "not started"
    last = events[-1]
    releases = sorted(path.name for path in opened.releases.glob("*") if path.is_dir())
    words = {
        "started": "running, or stopped without a word",
        "finished": "finished",
        "failed": f"failed: {last.get('reason')}",
    }
    return f"{words[last['event']]}; releases: {' '.join(releases) or 'none'}"


def rounds(folder: RunPath, run_id: RunId = "") -> None:
    """Show every planned round, with what it came to."""
    from rich.console import Console
    from rich.table import Table

    from ophora_server.registry.reports import rounds

    table = Table("round", "stage", "state", "attempts", "updates", "finished", "norm", "adapter")
    with _opened(folder) as registry:
        for row in rounds(registry, _run_id(folder, run_id)):
            table.add_row(
                str(row["number"]),
                row["stage"],
                row["state"],
                str(row["attempt"]),
                _or_none(row["participants"]),
                _time(row["finished"]),
                "" if row["update_norm"] is None else f"{row['update_norm']:.3g}",
                (row["adapter_digest"] or "")[:12],
            )
    Console().print(table)


def show(
    number: Annotated[int, typer.Argument(help="Number of the round, over all stages.")],
    folder: RunPath,
    run_id: RunId = "",
) -> None:
    """Show one round with what came of asking each site, in every attempt."""
    from rich.console import Console
    from rich.table import Table

    from ophora_server.registry.reports import show

    with _opened(folder) as registry:
        found = show(registry, _run_id(folder, run_id), number)
    console = Console()
    console.print(f"round {number} ({found['stage']}): {found['state']}")
    for name in ("plan_digest", "adapter_digest"):
        console.print(f"{name.replace('_', ' ')}: {found[name] or 'none'}", highlight=False)
    table = Table("attempt", "site", "code", "counted", "seconds", "sent", "received", "epsilon")
    for receipt in found["receipts"]:
        epsilon = receipt["metrics"].get("epsilon")
        table.add_row(
            str(receipt["attempt"]),
            receipt["site"],
            receipt["code"],
            "yes" if receipt["counted"] else "no",
            f"{receipt['seconds']:.0f}",
            f"{receipt['bytes_sent']:,}",
            f"{receipt['num_bytes']:,}",
            "" if epsilon is None else f"{epsilon:.3g}",
        )
    console.print(table)


def export(
    folder: RunPath,
    out: Annotated[Path, typer.Option("--out", help="File of JSON lines to write.")],
) -> None:
    """Write the registry without its adapters as JSON lines."""
    from ophora_model.draft import write_whole
    from ophora_server.registry.export import export

    with _opened(folder) as registry:
        lines = list(export(registry))
    write_whole(out, "".join(f"{line}\n" for line in lines).encode())
    typer.echo(f"{out}: {len(lines)} lines")


def verify_log(folder: RunPath) -> None:
    """Check the audit log, every round and every adapter; exit 1 where one does not hold."""
    from ophora_server.registry.verification import verify

    with _opened(folder) as registry:
        found = verify(registry)
    for fault in found.faults:
        typer.echo(f"fault: {fault}")
    typer.echo(f"{found.num_entries} entries, {found.num_rounds} finished rounds")
    if not found.holds:
        raise typer.Exit(1)
    typer.echo("the log is what was written")


def withdraw_round(
    number: Annotated[int, typer.Argument(help="Number of the last finished round.")],
    folder: RunPath,
    run_id: RunId = "",
    reason: Annotated[str, typer.Option(help="One word for the audit log.")] = "operator",
) -> None:
    """Take the last round back, so that it is run again; what sites spent on it stays spent."""
    from ophora_server.registry.finished import withdraw_round
    from ophora_server.run_folder import RunFolder

    with RunFolder(path=folder).only_one(), _opened(folder) as registry:
        withdraw_round(registry, _run_id(folder, run_id), number, reason=reason)
    typer.echo(f"round {number}: withdrawn; `ophora federation run --resume` runs it again")


def _or_none(value: object) -> str:
    return "" if value is None else str(value)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
