"""A pool of fresh processes that ends at once when its owner is interrupted.

The standard pool hands a worker's KeyboardInterrupt back as the result of one job and goes on with
the next, and leaving its `with` block waits for every job that has begun: Ctrl-C in a terminal,
which reaches parent and workers alike, would be felt only minutes later.
"""

import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context


@contextmanager
def process_pool(number: int) -> Iterator[ProcessPoolExecutor]:
    """Spawn `number` processes; an exception in the block kills them, whatever they do."""
    before = set(active_children())
    with ProcessPoolExecutor(
        number, mp_context=get_context("spawn"), initializer=_leave_interrupts_to_the_parent
    ) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            workers = set(active_children()) - before
            for worker in workers:
                worker.kill()
            for worker in workers:
                worker.join()
            raise


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
