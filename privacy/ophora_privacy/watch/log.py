"""One log line an event: its time, level, event and allow-listed fields, as words or as JSON.

    Log.info(event, fields) -> `allowed` -> Told -> handler of the logger "ophora" -> one line

The handler writes what is `Told` and nothing else: a record that came by another way, with a text
of its own, is written as the event "withheld" and the line of code that made it. OPHORA_LOG=json
asks for JSON. An error is told by its class and the line of our code that it came through; by its
text only where its class is in SAFE_ERRORS.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from ophora_privacy.errors import (
    BudgetExceeded,
    FieldRefused,
    LedgerClock,
    LedgerForeign,
    LedgerRolledBack,
    LedgerTruncated,
    WatchRefused,
)
from ophora_privacy.watch.events import EVENTS
from ophora_privacy.watch.fields import WITHHELD, Value, allowed, is_strict
from ophora_privacy.watch.spans import bound_fields

FORMAT_VARIABLE = "OPHORA_LOG"
# Their texts are words of ours and numbers. No subclass counts: it may say more.
SAFE_ERRORS: tuple[type[Exception], ...] = (
    BudgetExceeded,
    LedgerClock,
    LedgerForeign,
    LedgerRolledBack,
    LedgerTruncated,
)
LogFormat = Literal["plain", "json"]

_ROOT = "ophora"
_MODULE = re.compile(r"(ophora_[a-z_]+(?:/[a-z0-9_]+)*?)(?:/__init__)?\.py$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event whose fields passed `allowed`; only `Log` makes it."""

    event: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    detail: str = ""  # of an error in SAFE_ERRORS

    def to_dict(self) -> dict[str, Value]:
        """In the order of a line."""
        detail = {"detail": self.detail} if self.detail else {}
        return {"event": self.event, **self.fields, **detail}

    def words(self) -> str:
        """For a person."""
        told = [f"{name}={value}" for name, value in self.fields.items()]
        return " ".join([self.event, *told, *([f"({self.detail})"] if self.detail else [])])


class Log:
    """Tells events of one part. Fields of the spans around it are added to each line."""

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"{_ROOT}.{part}")

    def info(self, event: str, **fields: object) -> None:
        """What was expected. Raises FieldRefused in strict mode."""
        self._tell(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What somebody should look at."""
        self._tell(logging.WARNING, event, fields)

    def failed(self, event: str, error: BaseException, **fields: object) -> None:
        """An error: its class and place; its text where the class is one of SAFE_ERRORS."""
        detail = str(error) if type(error) in SAFE_ERRORS else ""
        self._tell(logging.ERROR, event, {**fields, **_about(error)}, detail)

    def _tell(self, level: int, event: str, fields: Mapping[str, object], detail: str = "") -> None:
        if event not in EVENTS:
            if is_strict():
                raise FieldRefused("event: must be one of EVENTS")
            event = WITHHELD
        told = Told(event=event, fields={**bound_fields(), **allowed(fields)}, detail=detail)
        # the text is made here of what was allowed, for handlers that are not ours
        self._logger.log(level, "%s", told.words(), extra={"told": told})


class Lines(logging.Formatter):
    """Writes what is Told, and of anything else only where it came from."""

    def __init__(self, kind: LogFormat) -> None:
        super().__init__()
        self._kind = kind

    def format(self, record: logging.LogRecord) -> str:
        """One line; neither message, arguments, extras nor trace of the record are looked at."""
        told: Any = getattr(record, "told", None)
        if type(told) is not Told:
            told = _withheld(record)
        level = record.levelname.lower()
        if self._kind == "plain":
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
            return f"{stamp} {level} {told.words()}"
        line = {"time": round(record.created, 3), "level": level, **told.to_dict()}
        return json.dumps(line, allow_nan=False)


class _Handler(logging.Handler):
    """Ours, to be told from others; without a stream it takes standard error as it is then."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """A line that can't be written is lost: nothing stops for want of it."""
        stream = self._stream or sys.stderr
        with suppress(OSError, ValueError):
            stream.write(f"{self.format(record)}\n")
            stream.flush()


def log_format() -> LogFormat:
    """As OPHORA_LOG has it. Raises WatchRefused."""
    named = os.environ.get(FORMAT_VARIABLE) or "plain"
    if named not in ("plain", "json"):
        raise WatchRefused(f"{FORMAT_VARIABLE}={named!r}: must be plain or json")
    return named  # type: ignore[return-value]  # checked above


def start_logging(stream: TextIO | None = None) -> None:
    """Write the lines of this process to `stream`, standard error by default; the last call counts.

    Warnings and errors of libraries that nobody else handles become "withheld" too: their texts
    quote what they were given. For a process' edge alone. Raises WatchRefused.
    """
    handler, last = _Handler(stream), _Handler(stream)
    for each in (handler, last):
        each.setFormatter(Lines(log_format()))
    last.setLevel(logging.WARNING)
    logging.lastResort = last
    logger = logging.getLogger(_ROOT)
    for held in [each for each in logger.handlers if isinstance(each, _Handler)]:
        logger.removeHandler(held)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _withheld(record: logging.LogRecord) -> Told:
    """Where a record of another way came from: its error's class and place, else its own place."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        place = _module_line(record.pathname, record.lineno)
        return Told(event=WITHHELD, fields=allowed({"where": place}) if place else {})
    return Told(event=WITHHELD, fields=allowed(_about(error)))


def _about(error: BaseException) -> dict[str, object]:
    place = _place(traceback.extract_tb(error.__traceback__))
    return {"error": type(error).__name__, **({"where": place} if place else {})}


def _place(stack: traceback.StackSummary) -> str:
    """The innermost line of ours; empty where the error never passed one."""
    places = (_module_line(frame.filename, frame.lineno or 0) for frame in reversed(stack))
    return next((place for place in places if place), "")


def _module_line(path: str, line: int) -> str:
    found = _MODULE.search(path)
    return f"{found[1].replace('/', '.')}:{line}" if found else ""
