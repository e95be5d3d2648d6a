"""The resident trainer: one long-lived process at a site that holds the base.

Flower starts a fresh process for every message; reloading a base of gigabytes each time would cost
more than the round. So the thin Flower app asks this process over the site's Unix socket: start,
progress stream, result, cancel, and the exchanges of a secure sum, whose secrets live here. Another
round replaces the one that runs. The same round asked for again (a coordinator that resumed) gets
the same result: nothing is trained, nothing is spent; unless its contribution has left masked: the
others can unmask that sum, and a second one with the same contribution might take it apart.

`trainer_process` starts it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import grpc  # type: ignore[import-untyped]

from ophora_client.errors import Declined
from ophora_client.local_round import LocalResult, LocalRounds
from ophora_client.secure_half import CODE as SECURE_SUM
from ophora_client.secure_half import SecureHalf
from ophora_client.trainer_wire import (
    CANCEL,
    EXCHANGE,
    NOW,
    OPTIONS,
    PROGRESS,
    RESULT,
    SERVICE,
    START,
    Frame,
)
from ophora_model.errors import ModelError
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Tensors
from ophora_privacy.secure_sum import RingVector
from ophora_privacy.watch.log import Log
from ophora_privacy.watch.spans import span

_STOP_GRACE_S = 2.0
_PROGRESS_S = 1.0
_LOG = Log("trainer")


@dataclass(slots=True)
class _Job:
    """One round being trained, or its outcome, and the secure sum that it takes part in."""

    key: str
    plan: str = ""
    start: Tensors = field(default_factory=dict)
    receipt: str = ""
    trace: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    result: LocalResult | None = None
    code: str = ""
    half: SecureHalf | None = None

    def is_worth_keeping(self) -> bool:
        """Whether asking again can be answered with this job instead of spending anew."""
        running = not self.finished.is_set() and not self.cancelled.is_set()
        given = self.result.contribution if self.result is not None else None
        return running or (self.result is not None and not (given is not None and given.spent))


class TrainerService:
    """Runs one job at a time in a thread of its own and answers for it."""

    def __init__(self, rounds: LocalRounds) -> None:
        self._rounds = rounds
        self._lock = threading.Lock()
        self._job: _Job | None = None

    def state(self) -> str:
        """ "tuning" while a round is being worked on, else "idle"."""
        job = self._job
        return "idle" if job is None or job.finished.is_set() else "tuning"

    def now(self, frame: Frame) -> Frame:
        """The state, and run, stage and round of what is being worked on; nothing is changed."""
        job, state = self._job, self.state()
        place = _place(job.plan) if job is not None and state == "tuning" else {}
        return Frame(header={"state": state, **place})

    def start(self, frame: Frame) -> Frame:
        """Start a round, or find the one that was asked for before; the job's key."""
        plan = str(frame.header["plan"])
        key = _key(plan, frame.tensors)
        with self._lock:
            job = self._job
            if job is not None and job.key == key and self._is_kept(job):
                return Frame(header={"job": key})
            if job is not None:
                job.cancelled.set()
                job.finished.wait()
            self._job = job = _Job(
                key=key,
                plan=plan,
                start=frame.tensors,
                receipt=str(frame.header.get("receipt", "")),
                trace=str(frame.header.get("trace", "")),
            )
            worker = threading.Thread(target=self._work, args=(job,))
            worker.start()
        return Frame(header={"job": key})

    def progress(self, frame: Frame) -> Iterator[Frame]:
        """A sign of life until the job is finished."""
        job = self._find(frame)
        while not job.finished.wait(_PROGRESS_S):
            yield Frame(header={"finished": False})
        yield Frame(header={"finished": True})

    def result(self, frame: Frame) -> Frame:
        """The update, or this site's keys for an attempt at the secure sum, and the scalars.

        The code of the refusal where there is none.
        """
        job = self._find(frame)
        job.finished.wait()
        if job.result is None:
            return Frame(header={"code": job.code})
        header = {
            "code": "ok",
            "metrics": dict(job.result.metrics),
            "receipt": job.result.receipt,
        }
        attempt = str(frame.header.get("attempt", ""))
        given = job.result.contribution
        if given is None and not attempt:
            return Frame(header=header, tensors=job.result.update)
        try:
            if given is None or not attempt:
                raise Declined(SECURE_SUM, "the plan and the request differ on the secure sum")
            advert = self._join(job, attempt, given).advert()
        except Declined as declined:
            return self._refused(declined)
        return Frame.of_message(advert, **header)

    def exchange(self, frame: Frame) -> Frame:
        """One exchange of the attempt that runs: the answer, or a code."""
        job = self._job
        try:
            if job is None or job.half is None or job.half.attempt != frame.header["attempt"]:
                raise Declined(SECURE_SUM, "of an attempt that this site is not in")
            with self._lock:
                answer = job.half.answer(str(frame.header["exchange"]), frame.message)
        except Declined as declined:
            return self._refused(declined)
        return Frame.of_message(answer, code="ok")

    def cancel(self, frame: Frame) -> Frame:
        """Stop between two steps; what was reserved stays spent."""
        self._find(frame).cancelled.set()
        return Frame(header={})

    def close(self) -> None:
        """Cancel what runs."""
        job = self._job
        if job is not None:
            job.cancelled.set()
            job.finished.wait(_STOP_GRACE_S)

    def _find(self, frame: Frame) -> _Job:
        job = self._job
        if job is None or job.key != frame.header["job"]:
            gone = _Job(key="", code="cancelled")
            gone.finished.set()
            return gone
        return job

    def _is_kept(self, job: _Job) -> bool:
        """Whether asking again gets this job; a finished one only while the site still agrees."""
        if not job.is_worth_keeping():
            return False
        return not job.finished.is_set() or self._rounds.still_agrees(job.plan, job.start)

    def _join(self, job: _Job, attempt: str, contribution: RingVector) -> SecureHalf:
        """This site's half of the attempt: the one there is, or a new one with new secrets."""
        with self._lock:
            if job.half is None or job.half.attempt != attempt:
                if contribution.spent:
                    raise Declined(SECURE_SUM, "the contribution has left in another attempt")
                job.half = self._rounds.join(job.plan, job.start, attempt, contribution)
            return job.half

    def _refused(self, declined: Declined) -> Frame:
        self._rounds.declined(declined)
        return Frame(header={"code": declined.code})

    def _work(self, job: _Job) -> None:
        try:
            with span("train", parent=job.trace):
                job.result = self._rounds.run(
                    job.plan, job.start, receipt=job.receipt, cancelled=job.cancelled.is_set
                )
        except Declined as declined:
            job.code = declined.code
        except Exception as error:  # the thread's edge: the caller must get an answer
            job.code = "internal-error"
            _LOG.failed("round-failed", error, code=job.code)
        finally:
            job.finished.set()


def listen(service: TrainerService, socket: Path) -> grpc.Server:
    """Answer on `socket`, which this user alone can open, until the server is stopped."""
    socket.unlink(missing_ok=True)
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=OPTIONS)
    server.add_generic_rpc_handlers((_handlers(service),))
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{socket}")
    finally:
        os.umask(before)
    server.start()
    return server


def serve(service: TrainerService, socket: Path) -> None:
    """Answer until SIGTERM or SIGINT."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    server = listen(service, socket)
    stop.wait()
    service.close()
    server.stop(_STOP_GRACE_S).wait()
    socket.unlink(missing_ok=True)


def _handlers(service: TrainerService) -> Any:
    serialize = {
        "request_deserializer": Frame.from_bytes,
        "response_serializer": Frame.to_bytes,
    }

    def unary(call: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: call(request), **serialize
        )

    def stream(call: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(
            lambda request, context: call(request), **serialize
        )

    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            START: unary(service.start),
            PROGRESS: stream(service.progress),
            RESULT: unary(service.result),
            CANCEL: unary(service.cancel),
            EXCHANGE: unary(service.exchange),
            NOW: unary(service.now),
        },
    )


def _place(plan: str) -> dict[str, str | int]:
    """Which round it is; nothing for a plan that is none, which the round itself declines."""
    try:
        read = RoundPlan.from_json(plan)
    except (ModelError, TypeError, ValueError, KeyError):
        return {}
    return {"run_id": read.run_id, "stage": read.stage, "round": read.round}


def _key(plan: str, tensors: Tensors) -> str:
    digest = hashlib.sha256(plan.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"\n{name} {value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
