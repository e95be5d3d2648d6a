"""The site's record of what was spent on its patients. It never resets and never under-counts.

Data path: privacy plan -> `reserve` (projected epsilon against the cap, entry on disk) ->
training -> `settle`. An entry is written and synced before the first gradient and stays spent if
the process dies. Entries are chained by hash in one append-only SQLite table; epsilon is
computed anew from all of them, never carried forward.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ophora_privacy.accountant import Epsilon, epsilon_of
from ophora_privacy.errors import BudgetExceeded, InvalidPlan, LedgerCorrupt, LedgerUnavailable
from ophora_privacy.plan import GaussianEvent, PrivacyPlan

_Body = dict[str, Any]  # one entry as JSON holds it; its hash was checked
_GENESIS = "0" * 64
_WAIT_S = 30.0  # for another writer
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A round that may now train: its entry in the ledger and the epsilon including it."""

    seq: int
    epsilon: Epsilon


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """One reserved round as the ledger holds it."""

    seq: int
    run_id: str
    stage: str
    round: int
    event: GaussianEvent
    settled: bool


class Ledger:
    """One site's ledger file.

    `cap` is the epsilon that the site grants per patient for life at `delta`; infinity grants any.
    Raises InvalidPlan on a bad cap or delta, LedgerCorrupt when the chain doesn't hold, and, with
    `must_exist`, LedgerUnavailable where there is no file: a new one would forget what was spent.
    """

    def __init__(self, path: Path, *, cap: float, delta: float, must_exist: bool = False) -> None:
        if not cap > 0:
            raise InvalidPlan(f"epsilon_cap={cap!r}: must be > 0")
        if not 0 < delta < 1:
            raise InvalidPlan(f"delta={delta!r}: must be in (0, 1)")
        if must_exist and not path.is_file():
            raise LedgerUnavailable(f"{path.name}: not there; put the site's newest copy back")
        self.path = path
        self.cap = cap
        self.delta = delta
        with self._connection() as connection:
            connection.executescript(_SCHEMA)
            _read_chain(connection)

    def reserve(self, plan: PrivacyPlan, *, run_id: str, stage: str, round: int) -> Reservation:
        """Spend one round's budget before it trains.

        A second reservation of the same round spends again: its noise is drawn again. Raises
        BudgetExceeded, with nothing written, when the projected epsilon passes the cap.
        """
        body = {
            "kind": "reserve",
            "run_id": run_id,
            "stage": stage,
            "round": round,
            "plan": plan.to_dict(),
        }
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")  # one writer: nobody reserves in between
            events = [*(_event(entry) for entry in _reserves(connection)), plan.event()]
            projected = epsilon_of(events, self.delta)
            if not projected.value <= self.cap:
                raise BudgetExceeded(
                    f"epsilon={_short(projected.value)} after this round: the site's cap is "
                    f"{_short(self.cap)}; decline it, add noise or plan fewer steps"
                )
            seq = _append(connection, body)
            connection.commit()
        return Reservation(seq=seq, epsilon=projected)

    def settle(self, reservation: Reservation, *, steps: int) -> None:
        """Note that the round ended after `steps`. Nothing is given back."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            _append(connection, {"kind": "settle", "seq": reservation.seq, "steps": steps})
            connection.commit()

    def epsilon(self) -> Epsilon:
        """The epsilon of everything that was ever reserved."""
        return epsilon_of([spend.event for spend in self.spends()], self.delta)

    def spends(self) -> list[Spend]:
        """Every reservation ever, oldest first."""
        with self._connection() as connection:
            entries = _read_chain(connection)
        settled = {body["seq"] for _, body in entries if body["kind"] == "settle"}
        return [
            Spend(
                seq=seq,
                run_id=body["run_id"],
                stage=body["stage"],
                round=body["round"],
                event=_event(body),
                settled=seq in settled,
            )
            for seq, body in entries
            if body["kind"] == "reserve"
        ]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise LedgerUnavailable(f"{self.path.name}: {error}") from error
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            yield connection
        except sqlite3.OperationalError as error:  # locked, disk full, read-only
            raise LedgerUnavailable(
                f"{self.path.name}: {error}; mend that and try again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise LedgerCorrupt(f"{self.path.name}: {error}; restore it from a backup") from error
        finally:
            connection.close()


def _append(connection: sqlite3.Connection, body: _Body) -> int:
    last = connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = (last[0] + 1, last[1]) if last else (1, _GENESIS)
    text = json.dumps(body, sort_keys=True)
    row = (seq, text, previous, _hash(seq, previous, text))
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", row)
    return int(seq)


def _read_chain(connection: sqlite3.Connection) -> list[tuple[int, _Body]]:
    """All entries, after the chain was checked from its start."""
    entries: list[tuple[int, _Body]] = []
    expected = _GENESIS
    rows = connection.execute("SELECT seq, body, previous, hash FROM entries ORDER BY seq")
    for place, (seq, text, previous, digest) in enumerate(rows, start=1):
        if seq != place or previous != expected or digest != _hash(seq, previous, text):
            raise LedgerCorrupt(f"entry {place}: its hash doesn't follow; restore from a backup")
        entries.append((seq, json.loads(text)))
        expected = digest
    return entries


def _reserves(connection: sqlite3.Connection) -> list[_Body]:
    return [body for _, body in _read_chain(connection) if body["kind"] == "reserve"]


def _event(body: _Body) -> GaussianEvent:
    return PrivacyPlan.from_dict(body["plan"]).event()


def _hash(seq: int, previous: str, text: str) -> str:
    return hashlib.sha256(f"{seq}\n{previous}\n{text}".encode()).hexdigest()


def _short(value: float) -> str:
    return "unlimited" if math.isinf(value) else f"{value:.2f}"
