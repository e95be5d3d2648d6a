"""Spans: named parts of the work, whose fields go to the log lines in them and to traces.

    span(name, fields) -> `allowed` -> bound to the lines inside -> OpenTelemetry, where it is on

OPHORA_OTEL turns traces on: 1, or the address of a collector; so does the usual
OTEL_EXPORTER_OTLP_ENDPOINT, unless OPHORA_OTEL=0. While they are off nothing of OpenTelemetry is
imported and a span costs a dictionary.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Protocol

from ophora_privacy.errors import FieldRefused, WatchRefused
from ophora_privacy.watch.fields import WITHHELD, Value, allowed, is_strict

TRACES_VARIABLE = "OPHORA_OTEL"
_STANDARD = "OTEL_EXPORTER_OTLP_ENDPOINT"
_DEFAULT = "http://127.0.0.1:4318"
_PATH = "/v1/traces"
_PARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

SPANS: Mapping[str, str] = {
    "round": "coordinator and site: one round, from its start to its end",
    "ask-site": "coordinator: a site's plan and adapter are handed over",
    "gather": "coordinator: replies are awaited, verified and added up",
    "aggregate": "coordinator: the mean moves the adapter",
    "commit": "coordinator: the round's transaction",
    "exchange": "site: one exchange of a secure sum",
    "train": "site: the trainer works on the round",
    "reserve": "site: the budget is reserved in the ledger",
    "tune": "site: the adapter is tuned",
    "send": "site: what leaves is noted and packed",
}

_NOTHING: Mapping[str, Value] = MappingProxyType({})
_BOUND: ContextVar[Mapping[str, Value]] = ContextVar("ophora_bound_fields", default=_NOTHING)


class Traces(Protocol):
    """Where spans go while traces are on."""

    def open(
        self, name: str, fields: Mapping[str, Value], parent: str
    ) -> AbstractContextManager[None]:
        """A span around the block."""
        ...

    def carried(self) -> str:
        """The span that is open now, as another process' parent."""
        ...

    def close(self) -> None:
        """Hand over what is left."""
        ...


_traces: Traces | None = None


@contextmanager
def span(name: str, *, parent: str = "", **fields: object) -> Iterator[None]:
    """A part of the work. `parent` is what `carried` gave in the process that asked for it.

    Raises FieldRefused in strict mode. What the block raises goes through; of an error a trace
    keeps the class alone.
    """
    if name not in SPANS:
        if is_strict():
            raise FieldRefused("span: must be one of SPANS")
        name = WITHHELD
    told = allowed(fields)
    held = _BOUND.set({**_BOUND.get(), **told})
    try:
        if _traces is None:
            yield
        else:
            with _traces.open(name, told, parent if _PARENT.fullmatch(parent) else ""):
                yield
    finally:
        _BOUND.reset(held)


def bound_fields() -> Mapping[str, Value]:
    """The fields of every span around this place."""
    return _BOUND.get()


def carried() -> str:
    """The open span, for a process on this machine that goes on with the work; "" while off."""
    return "" if _traces is None else _traces.carried()


def trace_address() -> str:
    """The collector that the environment names, with its path; "" while traces are off."""
    asked = os.environ.get(TRACES_VARIABLE, "").strip()
    standard = os.environ.get(_STANDARD, "").strip()
    if asked == "0" or not (asked or standard):
        return ""
    if asked in ("", "1"):
        asked = standard or _DEFAULT
    if not asked.startswith(("http://", "https://")):
        raise WatchRefused(f"{TRACES_VARIABLE}: must be 0, 1 or an address like {_DEFAULT}")
    trimmed = asked.rstrip("/")
    return trimmed if trimmed.endswith(_PATH) else trimmed + _PATH


def start_traces(service: str, check: Callable[[str], str] | None = None) -> bool:
    """Turn traces on where the environment asks for them; whether they are.

    `check` is given the collector's address and gives back the one to use, or raises. For a
    process' edge alone. Raises WatchRefused on an address that is none; without the packages of
    the extra "otel" a line says so and there are no traces.
    """
    address = trace_address()
    if not address:
        return False
    if check is not None:
        address = check(address)
    try:
        from ophora_privacy.watch.otel import exporting_to
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        from ophora_privacy.watch.log import Log

        Log("watch").warning("traces-off", code="package-missing")
        return False
    use_traces(exporting_to(address, service))
    return True


def use_traces(traces: Traces | None) -> None:
    """Send spans there from now on; None turns traces off."""
    global _traces
    _traces = traces


def stop_traces() -> None:
    """Hand over what is left and turn traces off."""
    if _traces is not None:
        _traces.close()
    use_traces(None)
