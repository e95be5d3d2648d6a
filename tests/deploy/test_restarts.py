"""What is started again waits longer each time, and not for ever."""

from dataclasses import dataclass

import pytest

from ophora_deploy.errors import FederationFailed
from ophora_deploy.restarts import RestartLimit


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_may_come_at_once_and_the_waits_grow_to_a_minute() -> None:
    clock = Clock()
    limit = RestartLimit(what="rounds", most=10, clock=clock)
    waits = []
    for _ in range(6):
        began = clock.now
        while not limit.is_due():
            clock.now += 1
        waits.append(clock.now - began)
        limit.take("gone")
    assert waits == [0, 5, 10, 20, 40, 60]


def test_it_ends_with_the_reason_unless_a_round_was_finished() -> None:
    limit = RestartLimit(what="rounds", most=2, clock=Clock())
    for _ in range(2):
        limit.take("gone")
    limit.clear()
    assert limit.is_due()
    for _ in range(2):
        limit.take("gone")
    with pytest.raises(FederationFailed, match=r"rounds: started again 2 times .*\(broke off\)"):
        limit.take("broke off")


def test_what_is_long_past_does_not_count() -> None:
    clock = Clock()
    limit = RestartLimit(what="rounds", most=1, within_s=3600, clock=clock)
    limit.take("gone")
    clock.now += 3601
    limit.take("gone")
    with pytest.raises(FederationFailed):
        limit.take("gone")
