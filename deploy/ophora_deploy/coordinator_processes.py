"""The coordinator's three processes, kept running: what ends or freezes is started again.

SuperLink and front are asked for a sign of life over TLS; one that gives none for two minutes is
ended and started again. A SuperLink that is back within a minute loses nothing: its state is on the
disk, and sites, executor and rounds go on trying. The executor is the parent of the rounds' own
process, which ends with it.
"""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from ophora_deploy.processes import ProcessSet, Running
from ophora_deploy.restarts import RestartLimit

_MOST = 10
_ASK_EVERY_S = 15.0
_ANSWER_S = 5.0
_FROZEN_S = 120.0


@dataclass(slots=True)
class _Door:
    """A process that answers on a port, and when it last did."""

    running: Running
    address: str
    answered: float = field(default_factory=time.monotonic)


class CoordinatorProcesses:
    """SuperLink, executor and front; addresses are HOST:PORT with certificates of `authority`."""

    def __init__(
        self,
        processes: ProcessSet,
        *,
        link: Running,
        link_address: str,
        executor: Running,
        front: Running,
        front_address: str,
        authority: Path,
    ) -> None:
        self._processes = processes
        self._link = _Door(link, link_address)
        self._front = _Door(front, front_address)
        self._executor = executor
        # whose certificate it is counts; under which name it is reached here does not
        self._trusted = ssl.create_default_context(cafile=str(authority))
        self._trusted.check_hostname = False
        self._limit = RestartLimit(what="coordinator", most=_MOST)
        self._ask_at = 0.0

    def restart_ended(self) -> list[str]:
        """Start again what has ended or is frozen; the names of those.

        Raises FederationFailed where that was done ten times without a finished round.
        """
        if time.monotonic() >= self._ask_at:
            self._ask()
            self._ask_at = time.monotonic() + _ASK_EVERY_S
        doors = [door for door in (self._link, self._front) if _is_over(door)]
        executor_ended = self._executor.process.poll() is not None
        names = [door.running.name for door in doors]
        names += [self._executor.name] * executor_ended
        if not names or not self._limit.is_due():
            return []
        self._limit.take(f"{', '.join(names)} ended or froze")
        for door in doors:
            door.running = self._processes.start_again(door.running)
            door.answered = time.monotonic()
        if executor_ended:
            self.restart_executor()
        return names

    def restart_executor(self) -> None:
        """End the executor, and with it the process of the rounds; start another one."""
        self._executor = self._processes.start_again(self._executor)

    def link_answers(self) -> bool:
        """Whether the SuperLink answers now."""
        return self._answers(self._link)

    def round_finished(self) -> None:
        """What was started again until now doesn't count any more."""
        self._limit.clear()

    def _ask(self) -> None:
        for door in (self._link, self._front):
            if self._answers(door):
                door.answered = time.monotonic()

    def _answers(self, door: _Door) -> bool:
        request = f"https://{door.address}/health"
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_S, context=self._trusted):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return True  # the front's own word, where the SuperLink gives none
        except (OSError, ValueError):
            return False


def _is_over(door: _Door) -> bool:
    frozen = time.monotonic() - door.answered > _FROZEN_S
    return frozen or door.running.process.poll() is not None
