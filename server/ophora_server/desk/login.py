"""Logging in: one guess at a time, and after each wrong one from an address a longer wait."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ophora_privacy.watch.log import Log
from ophora_server.desk.password import PasswordHash

LONGEST_WAIT_S = 300.0
_FORGOTTEN_S = 3600.0
_MOST_ADDRESSES = 4096
_LOG = Log("desk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether the password was right; else after how many seconds the next guess is looked at."""

    is_right: bool
    wait_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Failures:
    number: int
    last: float


class Login:
    """Checks guesses at the password. Safe across threads."""

    def __init__(
        self, password: PasswordHash, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._password, self._clock = password, clock
        self._failures: dict[str, _Failures] = {}
        self._lock = threading.Lock()  # held while hashing: guesses at once gain nothing

    def attempt(self, password: str, address: str) -> Answer:
        """Look at a guess; one that comes too early is refused unseen."""
        source = _source(address)
        with self._lock:
            wait_s = self._wait_s(source)
            if wait_s > 0:
                return Answer(is_right=False, wait_s=wait_s)
            if self._password.matches(password):
                self._failures.pop(source, None)
                return Answer(is_right=True)
            return Answer(is_right=False, wait_s=self._note_failure(source))

    def _wait_s(self, source: str) -> float:
        failures = self._failures.get(source)
        if failures is None:
            return 0.0
        return failures.last + _delay_s(failures.number) - self._clock()

    def _note_failure(self, source: str) -> float:
        now = self._clock()
        held = self._failures.items()
        self._failures = {key: one for key, one in held if now - one.last < _FORGOTTEN_S}
        if source not in self._failures and len(self._failures) >= _MOST_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        failures = self._failures.setdefault(source, _Failures(number=0, last=now))
        failures.number, failures.last = failures.number + 1, now
        _LOG.warning("page-login-refused", failures=failures.number)
        return _delay_s(failures.number)


def _delay_s(number: int) -> float:
    """1, 2, 4 ... seconds."""
    return float(min(2.0 ** min(number - 1, 30), LONGEST_WAIT_S))


def _source(address: str) -> str:
    """An IPv6 caller has a whole /64 to call from."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
