"""Ends every process group of a federation when whoever started them is gone.

The parent keeps the write end of this process' standard input and writes a line `+GROUP` for each
group that it starts and `-GROUP` for each that ended. End of file means that the parent ended,
however it ended: by itself, by Ctrl-C or by SIGKILL. Then each group that is left gets SIGTERM and,
after a grace period, SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

GRACE_S = 5.0


def watch() -> None:
    """Read group ids until the parent closes or dies, then end what still runs."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: list[int] = []
    for line in sys.stdin:
        if line.startswith("-"):
            groups.remove(int(line[1:]))
        else:
            groups.append(int(line[1:]))
    end_groups(groups)


def end_groups(
    groups: list[int], *, grace_s: float = GRACE_S, reap: Callable[[], None] | None = None
) -> None:
    """SIGTERM, last started first; SIGKILL for what is left after `grace_s`.

    A parent passes `reap` to collect its children: one that nobody collected counts as alive.
    """
    for group in reversed(groups):
        _signal(group, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline:
        if reap is not None:
            reap()
        if not any(_is_alive(group) for group in groups):
            return
        time.sleep(0.05)
    for group in groups:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    watch()
