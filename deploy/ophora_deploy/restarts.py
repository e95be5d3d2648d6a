"""How often something is started again before it is given up: waits that grow, and a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ophora_deploy.errors import FederationFailed

_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 60.0


@dataclass(slots=True, kw_only=True)
class RestartLimit:
    """At most `most` restarts within `within_s`; a finished round clears the count.

    The first may come at once; then 5 s pass, and twice as long each time, up to a minute.
    """

    what: str
    most: int
    within_s: float = 3600.0
    clock: Callable[[], float] = time.monotonic
    _taken: list[float] = field(default_factory=list)
    _due: float = 0.0

    def is_due(self) -> bool:
        """Whether the wait since the last one is over."""
        return not self._taken or self.clock() >= self._due

    def take(self, reason: str) -> None:
        """Note a restart that is about to be made. Raises FederationFailed past the bound."""
        now = self.clock()
        self._taken = [taken for taken in self._taken if now - taken < self.within_s]
        if len(self._taken) >= self.most:
            raise FederationFailed(
                f"{self.what}: started again {self.most} times without a finished round"
                f" ({reason}); mend that, then resume"
            )
        self._due = now + min(_FIRST_WAIT_S * 2 ** len(self._taken), _LONGEST_WAIT_S)
        self._taken.append(now)

    def clear(self) -> None:
        """A round was finished: what was started again does its work."""
        self._taken.clear()
