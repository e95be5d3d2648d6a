"""The run's events as log lines: of each, the fields that a line may hold.

RunFolder.record -> rounds.jsonl (all of it) -> `tell_event` -> a line of `Log`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ophora_privacy.watch.fields import listed_code
from ophora_privacy.watch.log import Log

_LOG = Log("rounds")
_SHOWN = {
    "started": ("rounds",),
    "round-started": ("round", "stage"),
    "reply": ("round", "site", "code", "bytes"),
    "dropped": ("round", "site", "exchange", "code"),
    "round-finished": ("round", "stage", "seconds"),
    "release": ("round", "stage"),
    "finished": ("round",),
}


def tell_event(event: str, values: Mapping[str, Any]) -> None:
    """A line for an event of the run's log; none for an event that has its own elsewhere."""
    if event not in _SHOWN:
        return
    told = {name: values[name] for name in _SHOWN[event] if name in values}
    if "code" in told:  # which a site chose
        told["code"] = listed_code(str(told["code"]))
    if event == "round-started":
        told["sites"] = len(values["sites"])
    went_well = told.get("code", "ok") == "ok"
    (_LOG.info if went_well else _LOG.warning)(event, **told)
