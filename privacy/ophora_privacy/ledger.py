"""The site's record of what was spent on its patients. It never resets and never under-counts.

Data path: privacy plan -> `reserve` (projected epsilon against the cap, entry on disk) ->
training -> `settle`. An entry is written and synced before the first gradient and stays spent if
the process dies; epsilon is computed anew from all entries, never carried forward. The first entry
binds the ledger to its site; a head beside the file and a receipt with the coordinator tell an old
copy from the newest (`ledger_chain`, `ledger_head`).
"""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from ophora_privacy.accountant import Epsilon, epsilon_of
from ophora_privacy.errors import (
    BudgetExceeded,
    InvalidPlan,
    LedgerClock,
    LedgerForeign,
    LedgerRolledBack,
    LedgerUnavailable,
)
from ophora_privacy.ledger_chain import Body, Entry, LedgerChain, check_head
from ophora_privacy.ledger_head import LedgerReceipt, head_path
from ophora_privacy.ledger_spend import Spend, event_of, read_spends
from ophora_privacy.plan import PrivacyPlan, SharedNoise

Note = Literal["trial", "re-run", "audit"]  # of a reservation that is no round of a plain run

_CLOCK_TOLERANCE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A round that may now train: its entry in the ledger and the epsilon including it."""

    seq: int
    epsilon: Epsilon


class Ledger:
    """One site's ledger file.

    `site` is the site's code; `cap` is the epsilon that the site grants per patient for life at
    `delta`, and infinity grants any. A file of before 0.2 is bound to the site when it is opened.
    Raises InvalidPlan on a bad cap, delta or site and LedgerForeign for another site's ledger;
    LedgerUnavailable, with `must_exist` or a head left over, where there is no file: a new one
    would forget what was spent. Every method raises LedgerUnavailable, LedgerCorrupt,
    LedgerTruncated or LedgerRolledBack where the file is not what it was.
    """

    def __init__(
        self,
        path: Path,
        *,
        site: str,
        cap: float,
        delta: float,
        must_exist: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not cap > 0:
            raise InvalidPlan(f"epsilon_cap={cap!r}: must be > 0")
        if not 0 < delta < 1:
            raise InvalidPlan(f"delta={delta!r}: must be in (0, 1)")
        if not site:
            raise InvalidPlan("site='': must be the site's code")
        if (must_exist or head_path(path).exists()) and not path.is_file():
            raise LedgerUnavailable(f"{path.name}: not there; put the site's newest copy back")
        self.path = path
        self.cap = cap
        self.delta = delta
        self._clock = clock
        self._chain = LedgerChain(path)
        self._bind(hashlib.sha256(f"ophora ledger of site {site}".encode()).hexdigest())

    def reserve(
        self,
        plan: PrivacyPlan,
        *,
        run_id: str,
        stage: str,
        round: int,
        shared: SharedNoise | None = None,
        note: Note | None = None,
        cap: float | None = None,
    ) -> Reservation:
        """Spend one round's budget before it trains.

        `cap` replaces the ledger's own, for a site that has changed it since the ledger was opened.

        A second reservation of the same round spends again: its noise is drawn again. With
        `shared`, the noise accounted for is that of the secure sum, and the entry says what it
        assumes. Raises BudgetExceeded when the projected epsilon passes the cap and LedgerClock
        when the clock is behind the last entry, both with nothing written.
        """
        if note is not None and note not in get_args(Note):
            raise InvalidPlan(f"note={note!r}: must be one of {', '.join(get_args(Note))}")
        limit = self.cap if cap is None else cap
        if not limit > 0:
            raise InvalidPlan(f"epsilon_cap={limit!r}: must be > 0")
        body: Body = {
            "kind": "reserve",
            "run_id": run_id,
            "stage": stage,
            "round": round,
            "plan": plan.to_dict(),
            "time": self._now(),
        }
        if shared is not None:
            body["shared"] = asdict(shared)
        if note is not None:
            body["note"] = note
        with self._chain.appending() as chain:
            self._check_clock(chain.entries)
            events = [*(spend.event for spend in read_spends(chain.entries)), event_of(body)]
            projected = epsilon_of(events, self.delta)
            if not projected.value <= limit:
                raise BudgetExceeded(
                    f"epsilon={_short(projected.value)} after this round: the site's cap is "
                    f"{_short(limit)}; decline it, add noise or plan fewer steps"
                )
            entry = chain.append(body)
        return Reservation(seq=entry.seq, epsilon=projected)

    def settle(self, reservation: Reservation, *, steps: int) -> None:
        """Note that the round ended after `steps`. Nothing is given back."""
        with self._chain.appending() as chain:
            if not _is_reservation(chain.entries, reservation.seq):
                raise LedgerRolledBack(f"entry {reservation.seq}: no longer a reservation")
            body = {"kind": "settle", "seq": reservation.seq, "steps": steps, "time": self._now()}
            chain.append(body)

    def epsilon(self) -> Epsilon:
        """The epsilon of everything that was ever reserved."""
        return epsilon_of([spend.event for spend in self.spends()], self.delta)

    def spends(self) -> list[Spend]:
        """Every reservation ever, oldest first."""
        return read_spends(self._entries())

    def receipt(self) -> LedgerReceipt:
        """What the coordinator may hold: the head and the epsilon as they are now."""
        entries = self._entries()
        events = [spend.event for spend in read_spends(entries)]
        return LedgerReceipt(
            ledger_id=_opening(entries)["ledger_id"],
            seq=entries[-1].seq,
            head_hash=entries[-1].hash,
            epsilon=float(epsilon_of(events, self.delta).value),
            delta=float(self.delta),
        )

    def check_receipt(self, receipt: LedgerReceipt) -> None:
        """Raises LedgerRolledBack where the chain doesn't hold the receipt's head at its place."""
        check_head(self._entries(), receipt.head, "the receipt")

    def accept_clock(self) -> None:
        """Take the clock's time from here on, after a wrong one made an entry; it is recorded."""
        with self._chain.appending() as chain:
            chain.append({"kind": "clock", "time": self._now()})

    def _bind(self, site_hash: str) -> None:
        """Check whose ledger it is; bind a new one, and bring the head up after a crash."""
        if not any(entry.body["kind"] == "open" for entry in self._chain.entries()):
            with self._chain.appending() as chain:
                if not any(entry.body["kind"] == "open" for entry in chain.entries):
                    chain.append(
                        {
                            "kind": "open",
                            "ledger_id": secrets.token_hex(16),
                            "site": site_hash,
                            "time": self._now(),
                        }
                    )
        if _opening(self._entries())["site"] != site_hash:
            raise LedgerForeign(f"{self.path.name}: another site's; put this site's own back")
        self._chain.mend_head()

    def _entries(self) -> list[Entry]:
        return self._chain.entries()

    def _now(self) -> int:
        return math.floor(self._clock())

    def _check_clock(self, entries: list[Entry]) -> None:
        latest = 0
        for entry in entries:  # a recorded correction starts over
            noted = entry.body.get("time", 0)
            latest = noted if entry.body["kind"] == "clock" else max(latest, noted)
        behind = latest - self._now()
        if behind > _CLOCK_TOLERANCE_S:
            raise LedgerClock(
                f"the clock is {behind} s behind the ledger's last entry: set it right, or, if the "
                "entry's was wrong, run `ophora site budget accept-clock`"
            )


def _is_reservation(entries: list[Entry], seq: int) -> bool:
    return 1 <= seq <= len(entries) and entries[seq - 1].body["kind"] == "reserve"


def _opening(entries: list[Entry]) -> Body:
    return next(entry.body for entry in entries if entry.body["kind"] == "open")


def _short(value: float) -> str:
    return "unlimited" if math.isinf(value) else f"{value:.2f}"
