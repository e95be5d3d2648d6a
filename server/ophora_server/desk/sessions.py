"""Who is logged in: random tokens in memory that end by themselves, and with the process."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable

SESSION_S = 8 * 3600.0
_MOST = 64


class Sessions:
    """Open sessions by the hash of their token. Safe across threads.

    One lasts `lasts_s` from its login, used or not: a page that refreshes itself is never idle.
    Past `_MOST` of them the oldest ends.
    """

    def __init__(
        self, *, lasts_s: float = SESSION_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lasts_s, self._clock = lasts_s, clock
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def open(self) -> str:
        """The token of a new session."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._forget_ended()
            if len(self._ends) >= _MOST:
                del self._ends[next(iter(self._ends))]
            self._ends[_key(token)] = self._clock() + self._lasts_s
        return token

    def admits(self, token: str) -> bool:
        """Whether it is the token of a session that has not ended."""
        with self._lock:
            self._forget_ended()
            return _key(token) in self._ends

    def close(self, token: str) -> None:
        """End a session; an unknown one is none."""
        with self._lock:
            self._ends.pop(_key(token), None)

    def _forget_ended(self) -> None:
        now = self._clock()
        self._ends = {key: end for key, end in self._ends.items() if end > now}


def _key(token: str) -> str:
    # a look-up by hash: its time tells nothing of a token
    return hashlib.sha256(token.encode()).hexdigest()
