"""Leaving the pool by an exception ends what runs in it."""

import time
from multiprocessing import active_children

import pytest

from ophora_curation.process_pool import process_pool


def test_jobs_give_their_results() -> None:
    with process_pool(2) as pool:
        assert list(pool.map(abs, [-3, 4])) == [3, 4]
    assert active_children() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_ends_jobs_that_have_begun_and_those_that_wait(
    error: type[BaseException],
) -> None:
    start_s = time.monotonic()
    with pytest.raises(error):
        _fail_while_it_works(error)
    assert time.monotonic() - start_s < 300
    assert active_children() == []


def _fail_while_it_works(error: type[BaseException]) -> None:
    with process_pool(1) as pool:
        jobs = [pool.submit(time.sleep, 600) for _ in range(3)]
        while not jobs[0].running():
            time.sleep(0.01)
        raise error
