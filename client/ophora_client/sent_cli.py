"""`ophora site sent`: every message that left this site, for its privacy officer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

_ABOUT = ("run_id", "stage", "round", "attempt")


def sent(
    site: Annotated[Path, typer.Option("--site", help="The site's folder.")],
    last: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="All of them as JSON lines.")] = False,
) -> None:
    """Show what left, checked from the first message to the last; exit 1 where it was changed.

    The digest of an update is the one in the coordinator's registry, so both can show which one
    was counted.
    """
    from rich.console import Console
    from rich.table import Table

    from ophora_client.sent_log import SentLog, SentMessage
    from ophora_client.site import Site

    messages = SentLog(Site.open(site).logs_dir).messages()
    if as_json:
        for message in messages:
            typer.echo(json.dumps(message.to_dict(), sort_keys=True))
        return

    def row(message: SentMessage) -> list[str]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(message.time))
        numbers = " ".join(f"{k}={_short(v)}" for k, v in sorted(message.metrics.items()))
        fields = [f"{message.tensors} tensors"] if message.tensors else []
        fields += ["numbers"] if message.metrics else []
        fields += ["ledger receipt"] if message.has_receipt else []
        about = " ".join(str(message.about[key]) for key in _ABOUT if key in message.about)
        what = ", ".join(fields) or ("masked or sealed bytes" if message.num_bytes else "code only")
        size = f"{message.num_bytes:,}"
        named = [str(message.seq), when, message.asked, about[:28], message.code]
        return [*named, what, numbers, size]

    table = Table("", "sent", "answers", "about", "code", "what", "numbers", "bytes")
    for message in messages[-last:]:
        table.add_row(*row(message))
    console = Console()
    console.print(table)
    total = sum(message.num_bytes for message in messages)
    console.print(f"{len(messages)} messages, {total:,} bytes; the log is what was written")


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
