"""The live round: where it stands, who has answered with which code, who is still awaited.

The registry has the round and the answers; whom it was sent to is in the run's event log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ophora_server.registry.receipts import OK

Progress = Literal["never", "waiting", "open", "stopped", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of asking a site in this attempt."""

    site: str
    code: str
    seconds: float
    num_bytes: int

    @property
    def is_ok(self) -> bool:
        """Whether it is an update."""
        return self.code == OK


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRound:
    """The round that a run is at. `since` is the start of an attempt that is open, else None.

    `progress` is "never" before the first start, "waiting" between rounds, "open" within one,
    "stopped" after a failure and "done" after the last.
    """

    progress: Progress
    num_rounds: int = 0
    num_finished: int = 0
    number: int = 0
    stage: str = ""
    attempt: int = 0
    since: float | None = None
    replies: tuple[Reply, ...] = ()
    awaited: tuple[str, ...] = ()

    @property
    def num_updates(self) -> int:
        """Replies that are updates."""
        return sum(reply.is_ok for reply in self.replies)


def current_round(rounds: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first that is not finished, of every planned round by number."""
    return next((each for each in rounds if each["state"] != "finished"), None)


def live_round(
    rounds: Sequence[Mapping[str, Any]],
    record: Mapping[str, Any] | None,
    events: Sequence[Mapping[str, Any]],
) -> LiveRound:
    """From the planned rounds, the current one's record with its receipts, and the events."""
    counts = {
        "num_rounds": len(rounds),
        "num_finished": sum(each["state"] == "finished" for each in rounds),
    }
    if record is None:
        return LiveRound(progress="done" if rounds else "never", **counts)
    is_open = record["state"] == "open"
    replies = _replies(record)
    heard = {reply.site for reply in replies}
    asked = _asked(record["number"], events) if is_open else []
    return LiveRound(
        progress=_progress(rounds, is_open, events),
        number=record["number"],
        stage=record["stage"],
        attempt=record["attempt"],
        since=record["started"] if is_open else None,
        replies=replies,
        awaited=tuple(site for site in asked if site not in heard),
        **counts,
    )


def _progress(
    rounds: Sequence[Mapping[str, Any]], is_open: bool, events: Sequence[Mapping[str, Any]]
) -> Progress:
    known = ("started", "finished", "failed")
    last = next((e["event"] for e in reversed(events) if e["event"] in known), "")
    if last == "failed":
        return "stopped"
    if is_open:
        return "open"
    was_begun = bool(last) or any(each["attempt"] for each in rounds)
    return "waiting" if was_begun else "never"


def _replies(record: Mapping[str, Any]) -> tuple[Reply, ...]:
    names = ("site", "code", "seconds", "num_bytes")
    return tuple(
        Reply(**{name: receipt[name] for name in names})
        for receipt in record["receipts"]
        if receipt["attempt"] == record["attempt"]
    )


def _asked(number: int, events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sites of the newest attempt; none where the log doesn't say."""
    starts = (e for e in reversed(events) if e["event"] == "round-started" and e["round"] == number)
    return list(next(starts, {"sites": []})["sites"])
