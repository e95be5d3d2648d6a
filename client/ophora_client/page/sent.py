"""What left the site, from its chained log: messages as rows, and the runs that wait for a word.

logs/sent.jsonl -> the chain is checked from its start -> Sent, newest first
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ophora_client.errors import SentLogBroken
from ophora_client.page.kinds import Kind, kind_of
from ophora_client.page.trouble import Trouble
from ophora_client.sent_log import SentLog, SentMessage

NONE_YET = Trouble(
    said="Nothing has left this site.",
    remedy="Once a coordinator has asked for a round, the answer is noted here before it goes out.",
    is_fault=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One message; `about` is its stage and round, or the attempt at a secure sum."""

    message: SentMessage
    kind: Kind
    run_id: str
    about: str

    @property
    def numbers(self) -> tuple[tuple[str, str], ...]:
        """The scalars in it, as a person reads them."""
        return tuple((name, _short(value)) for name, value in sorted(self.message.metrics.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Messages, newest first, of a chain that verifies."""

    rows: Sequence[Row]
    num_bytes: int

    def before(self, seq: int, most: int) -> Sequence[Row]:
        """At most so many of those with a lower number."""
        return [row for row in self.rows if row.message.seq < seq][:most]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A run that was declined for want of approval, and has not been approved since."""

    run_id: str
    stage: str
    round: int
    last_asked: float
    times: int


def read_sent(logs: Path) -> Sent | Trouble:
    """All messages, or why they can't be believed."""
    if not logs.is_dir():  # opening the log would make it
        return NONE_YET
    try:
        messages = SentLog(logs).messages()
    except SentLogBroken as error:
        return Trouble(
            said=f"The record of what was sent is not what was written. {error}.",
            remedy=(
                "Nothing leaves until logs/sent.jsonl and logs/sent.head are the newest copies"
                " again. Ask who else can write to the site's folder."
            ),
        )
    if not messages:
        return NONE_YET
    rows = [_row(message) for message in reversed(messages)]
    return Sent(rows=rows, num_bytes=sum(message.num_bytes for message in messages))


def waiting_runs(sent: Sent, approved: Collection[str]) -> list[Waiting]:
    """Those that asked last first."""
    found: dict[str, Waiting] = {}
    for row in reversed(sent.rows):
        if row.message.code != "approval" or not row.run_id or row.run_id in approved:
            continue
        before = found.pop(row.run_id, None)
        found[row.run_id] = Waiting(
            run_id=row.run_id,
            stage=str(row.message.about.get("stage", "")),
            round=int(row.message.about.get("round", 0)),
            last_asked=row.message.time,
            times=1 if before is None else before.times + 1,
        )
    return list(found.values())[::-1]


def _row(message: SentMessage) -> Row:
    about = message.about
    place = f"{about['stage']}, round {about['round']}" if {"stage", "round"} <= set(about) else ""
    if "attempt" in about:
        place = f"attempt {str(about['attempt'])[:8]}"
    return Row(
        message=message,
        kind=kind_of(message),
        run_id=str(about.get("run_id", "")),
        about=place,
    )


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
