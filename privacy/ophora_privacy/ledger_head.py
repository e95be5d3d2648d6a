"""The last entry of a ledger, kept a second time: beside the file, and with the coordinator.

Data path: ledger entry committed -> `write_head` beside the file; `LedgerReceipt` -> coordinator.
An old copy of the ledger has a chain that holds, so only a head kept elsewhere tells that it is
old. The one beside the file is written after the commit: after a crash it is behind, never ahead.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ophora_privacy.errors import InvalidPlan, LedgerCorrupt, LedgerUnavailable

_ID = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """Which ledger, how many entries, and the last one's hash. Raises InvalidPlan."""

    ledger_id: str
    seq: int
    head_hash: str

    def __post_init__(self) -> None:
        for name, pattern in (("ledger_id", _ID), ("head_hash", _HASH)):
            value = getattr(self, name)
            if not (isinstance(value, str) and pattern.fullmatch(value)):
                raise InvalidPlan(f"{name}: must be a lower-case hexadecimal number")
        if type(self.seq) is not int or self.seq < 1:
            raise InvalidPlan(f"seq={self.seq!r}: must be a whole number >= 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReceipt:
    """What the coordinator keeps of a site's ledger: its head and epsilon, and no plan.

    Raises InvalidPlan.
    """

    ledger_id: str
    seq: int
    head_hash: str
    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        self.head  # noqa: B018  # its checks
        if not (isinstance(self.epsilon, float) and self.epsilon >= 0):
            raise InvalidPlan(f"epsilon={self.epsilon!r}: must be >= 0")
        if not (isinstance(self.delta, float) and 0 < self.delta < 1):
            raise InvalidPlan(f"delta={self.delta!r}: must be in (0, 1)")

    @property
    def head(self) -> LedgerHead:
        """The receipt without what was spent."""
        return LedgerHead(ledger_id=self.ledger_id, seq=self.seq, head_hash=self.head_hash)

    def to_json(self) -> str:
        """A line of JSON; an infinite epsilon is the text "inf"."""
        epsilon = "inf" if self.epsilon == float("inf") else self.epsilon
        return json.dumps({**asdict(self), "epsilon": epsilon}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> LedgerReceipt:
        """The inverse of `to_json`. Raises InvalidPlan on anything else."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise InvalidPlan("receipt: must be JSON as `to_json` writes it") from error
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != names:
            raise InvalidPlan(f"receipt: must have the keys {', '.join(sorted(names))}")
        if values["epsilon"] == "inf":
            values["epsilon"] = float("inf")
        return cls(**values)


def head_path(ledger: Path) -> Path:
    """Where the head of a ledger file lies."""
    return ledger.with_suffix(".head")


def read_head(ledger: Path) -> LedgerHead | None:
    """The head beside the ledger; None where there is none.

    Raises LedgerUnavailable when it can't be read, LedgerCorrupt when it is no head.
    """
    path = head_path(ledger)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return LedgerHead(**values) if isinstance(values, Mapping) else _refuse(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerUnavailable(f"{path.name}: {error.strerror}; mend that") from error
    except (ValueError, TypeError, InvalidPlan):
        return _refuse(path)


def write_head(ledger: Path, head: LedgerHead) -> None:
    """Replace the head, whole and synced. Raises LedgerUnavailable when it can't be written."""
    path = head_path(ledger)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(head)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise LedgerUnavailable(f"{path.name}: {error.strerror}; mend that") from error


def _refuse(path: Path) -> LedgerHead:
    raise LedgerCorrupt(
        f"{path.name}: holds no head; put the newest copy of the ledger and its head back"
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
