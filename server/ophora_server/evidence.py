"""Evidence: what was measured about one adapter, each figure with all it takes to measure it again.

    audits -> Figure (kind, name, value, interval, samples, command, seed) -> evidence.json -> gate

Evidence names the SHA-256 of the adapter file that it is about. It states figures and judges none;
`release_gate` does. Every record of the gate has one form in bytes (`canonical_bytes`): what is
signed, hashed and written is the same.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ophora_model.draft import write_whole
from ophora_model.errors import ModelError, PlanInvalid
from ophora_model.strict import check_keys, check_number, check_whole
from ophora_privacy.signed_record import canonical_bytes
from ophora_server.errors import RecordInvalid

MOST_RECORD_BYTES = 2**24
HASH = re.compile(r"[0-9a-f]{64}")
KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}(?:\.[a-z0-9][a-z0-9_-]{0,31}){0,5}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_COMMAND = re.compile(r"[ -~]{1,400}")
_ABSOLUTE = re.compile(r"(?:^|[\s=:'\"])(?:/|~|[A-Za-z]:\\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number.

    `kind` is the audit ("membership"), `name` what was measured, parts joined by dots; the last is
    the measure that the gate looks for ("site-a.pia.auc" -> "auc"). `value` is None where the audit
    could give none, which no gate passes. `low` and `high` bound it in 95 %, both or neither.
    `samples` is the number of independent units (patients, canaries, videos). `command` is one
    line without absolute paths; with `parameters`, `seed` and `code_version` it gives the figure
    again. `made_on` is a date, 2026-01-31. Raises `PlanInvalid`.
    """

    kind: str
    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    samples: int
    command: str
    parameters: Mapping[str, bool | int | float | str]
    seed: int | None
    code_version: str
    made_on: str

    def __post_init__(self) -> None:
        _check_text("kind", self.kind, KIND, "1 to 32 of a-z 0-9 _ -, a letter first")
        _check_text("name", self.name, _NAME, "up to 6 words of a-z 0-9 _ - joined by dots")
        self._check_values()
        check_whole("samples", self.samples, low=0)
        _check_text("command", self.command, _COMMAND, "one line of printable ASCII, 400 at most")
        if _ABSOLUTE.search(self.command):
            raise PlanInvalid("command: holds an absolute path; name it by its part in the command")
        _check_parameters(self.parameters)
        if self.seed is not None:
            check_whole("seed", self.seed, low=0, high=2**63)
        _check_text("code_version", self.code_version, _WORD, "1 to 64 letters, digits or . _ + -")
        check_date("made_on", self.made_on)

    @property
    def measure(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "parameters": dict(self.parameters)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Figure:
        """The reverse of `to_dict`. Raises `PlanInvalid`."""
        check_keys("figure", given, tuple(field.name for field in fields(cls)))
        return cls(**given)

    def _check_values(self) -> None:
        if (self.low is None) != (self.high is None):
            raise PlanInvalid(f"low={self.low!r}, high={self.high!r}: give both or neither")
        for name in ("value", "low", "high"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), low=-math.inf)
        if self.low is not None and self.high is not None and self.low > self.high:
            raise PlanInvalid(f"low={self.low!r}: must be <= high={self.high!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All figures about the adapter file of this SHA-256; a kind's name comes once."""

    adapter_sha256: str
    figures: tuple[Figure, ...]

    def __post_init__(self) -> None:
        _check_text("adapter_sha256", self.adapter_sha256, HASH, "64 hexadecimal digits")
        seen: set[tuple[str, str]] = set()
        for figure in self.figures:
            key = (figure.kind, figure.name)
            if key in seen:
                raise PlanInvalid(f"figure {figure.kind} {figure.name}: given twice; keep one")
            seen.add(key)

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds that at least one figure is of."""
        return frozenset(figure.kind for figure in self.figures)

    @property
    def sha256(self) -> str:
        """Hash of the record, which approvals are about."""
        return hash_of(self.to_dict())

    def figures_of(self, kind: str, measure: str) -> tuple[Figure, ...]:
        """Every figure of this kind whose name ends in this measure: by site, by attack."""
        return tuple(
            figure for figure in self.figures if (figure.kind, figure.measure) == (kind, measure)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; figures by kind and name, so that their order changes no hash."""
        ordered = sorted(self.figures, key=lambda figure: (figure.kind, figure.name))
        return {
            "adapter_sha256": self.adapter_sha256,
            "figures": [figure.to_dict() for figure in ordered],
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Evidence:
        """The reverse of `to_dict`. Raises `PlanInvalid`."""
        check_keys("evidence", given, ("adapter_sha256", "figures"))
        if not isinstance(given["figures"], list):
            raise PlanInvalid(f"figures={given['figures']!r}: must be a list")
        figures = tuple(Figure.from_dict(figure) for figure in given["figures"])
        return cls(adapter_sha256=given["adapter_sha256"], figures=figures)

    @classmethod
    def read(cls, path: Path) -> Evidence:
        """From a file that `write` wrote. Raises `RecordInvalid`."""
        given = parse_record(path.name, read_record(path))
        try:
            return cls.from_dict(given)
        except ModelError as error:
            raise RecordInvalid(f"{path.name}: {error}") from error

    def write(self, path: Path) -> None:
        """Writes the record whole, or leaves the earlier one."""
        write_whole(path, canonical_bytes(self.to_dict()))


def join_evidence(parts: Iterable[Evidence]) -> Evidence:
    """One record of several audits. Raises `PlanInvalid` unless all are of one adapter."""
    held = tuple(parts)
    adapters = sorted({part.adapter_sha256 for part in held})
    if len(adapters) != 1:
        raise PlanInvalid(f"evidence of {len(adapters)} adapters: must be of one; audit it alone")
    figures = tuple(figure for part in held for figure in part.figures)
    return Evidence(adapter_sha256=adapters[0], figures=figures)


def hash_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical_bytes(document)).hexdigest()


def parse_record(name: str, payload: bytes) -> dict[str, Any]:
    """The JSON object in canonical bytes; any other form of it is refused with `RecordInvalid`.

    So a key given twice, a changed blank and another spelling of a number are refused too.
    """
    try:
        given = json.loads(payload)
        same = isinstance(given, dict) and canonical_bytes(given) == payload
    except (ValueError, TypeError, RecursionError) as error:
        raise RecordInvalid(f"{name}: is not JSON without NaN; make it again") from error
    if not same:
        raise RecordInvalid(f"{name}: not as it was written; make it again, don't edit it")
    return dict(given)


def read_record(path: Path) -> bytes:
    """A record's bytes. Raises `RecordInvalid` where there is none, or one beyond all measure."""
    try:
        if path.stat().st_size > MOST_RECORD_BYTES:
            raise RecordInvalid(f"{path.name}: above {MOST_RECORD_BYTES} bytes; make it again")
        return path.read_bytes()
    except OSError as error:
        raise RecordInvalid(
            f"{path.name}: can't be read ({type(error).__name__}); put it there first"
        ) from error


def check_date(name: str, value: object) -> None:
    """Raises `PlanInvalid` unless it is a date such as 2026-01-31."""
    try:
        same = isinstance(value, str) and datetime.date.fromisoformat(value).isoformat() == value
    except ValueError:
        same = False
    if not same:
        raise PlanInvalid(f"{name}={value!r}: must be a date as 2026-01-31")


def _check_text(name: str, value: object, pattern: re.Pattern[str], allowed: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise PlanInvalid(f"{name}={value!r}: must be {allowed}")


def _check_parameters(parameters: object) -> None:
    if not isinstance(parameters, Mapping):
        raise PlanInvalid(f"parameters={parameters!r}: must be a table")
    for key, value in parameters.items():
        _check_text("parameters", key, _WORD, "a key of letters, digits or . _ + -")
        if isinstance(value, str):
            _check_text(f"parameters.{key}", value, _WORD, "a word of letters, digits or . _ + -")
        elif not isinstance(value, bool):
            check_number(f"parameters.{key}", value, low=-math.inf)
