"""The generator host as a process: the API in this one, the pipeline in a worker of its own.

    DATA/queue.sqlite   jobs        DATA/videos/   finished videos        DATA/host.lock

One host owns a data folder. However it ends, its worker ends with it; what was in progress then
waits again at the next start.
"""

import fcntl
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn

from ophora_server.errors import HostUnavailable
from ophora_server.generator.api import build_api
from ophora_server.generator.caller import is_loopback
from ophora_server.generator.order import Offer
from ophora_server.generator.queue import JobQueue
from ophora_server.generator.store import VideoStore
from ophora_server.generator.supervisor import MAX_FAILED_STARTS, Supervisor
from ophora_server.generator.worker import Pipeline, WorkerPlan, new_owner

SHUTDOWN_TIMEOUT_S = 5
EXIT_TERMINATED = 143


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """What a host serves, from where, to whom. `make_pipeline` is pickled for the worker."""

    offer: Offer
    release_sha256: str
    make_pipeline: Callable[[], Pipeline]
    data: Path
    address: str = "127.0.0.1"
    port: int = 8000


def serve(plan: HostPlan, on_listening: Callable[[str], None]) -> None:
    """Serve until interrupted. `on_listening` gets the URL. Raises HostUnavailable."""
    _check_address(plan.address)
    plan.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _lock(plan.data), _listen(plan) as listener, JobQueue(plan.data / "queue.sqlite") as queue:
        store = VideoStore(plan.data / "videos")
        queue.recover()
        store.sweep(queue.video_ids())
        _run(plan, queue, store, listener, on_listening)


def _run(
    plan: HostPlan,
    queue: JobQueue,
    store: VideoStore,
    listener: socket.socket,
    on_listening: Callable[[str], None],
) -> None:
    def end_server() -> None:
        server.should_exit = True

    supervisor = Supervisor(queue, partial(_plan_worker, plan), on_broken=end_server)
    app = build_api(queue, store, plan.offer, lambda: supervisor.state)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        )
    )
    signal.signal(signal.SIGTERM, _exit_on_signal)  # so that SIGTERM runs the clean-up below too
    supervisor.start()
    try:
        address, port = listener.getsockname()[:2]
        on_listening(f"http://{f'[{address}]' if ':' in address else address}:{port}")
        server.run(sockets=[listener])
        broken = supervisor.state == "broken"
    finally:
        supervisor.stop()
    if broken:
        raise HostUnavailable(
            f"worker stopped {MAX_FAILED_STARTS} times while it loaded the release; its messages"
            " are above"
        )


def _plan_worker(plan: HostPlan) -> WorkerPlan:
    return WorkerPlan(
        owner=new_owner(),
        queue_path=plan.data / "queue.sqlite",
        videos=plan.data / "videos",
        release_sha256=plan.release_sha256,
        make_pipeline=plan.make_pipeline,
    )


def _check_address(address: str) -> None:
    if not is_loopback(address):
        raise HostUnavailable(
            f"host={address}: must be a loopback address, as the API has no sign-in; put a proxy"
            " that has one before it"
        )


@contextmanager
def _lock(data: Path) -> Iterator[None]:
    with (data / "host.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HostUnavailable(
                "data folder: another generator host uses it; stop that one or name another folder"
            ) from error
        yield


@contextmanager
def _listen(plan: HostPlan) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in plan.address else socket.AF_INET
        listener = socket.create_server((plan.address, plan.port), family=family)
    except (OSError, OverflowError) as error:
        raise HostUnavailable(f"port={plan.port}: can't be used ({error}); name another") from error
    with listener:
        yield listener


def _exit_on_signal(_number: int, _frame: FrameType | None) -> None:
    sys.exit(EXIT_TERMINATED)
