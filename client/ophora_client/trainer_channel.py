"""The thin app's side of the trainer's socket: start a round, wait with a bound, take the result.

Whatever the trainer does or fails to do ends here as a reply or as a code.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]

from ophora_client.errors import Declined, TrainerUnavailable
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
    socket_path,
)
from ophora_model.update import Tensors
from ophora_privacy.watch.spans import carried

_CONNECT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerReply:
    """The update and scalars as the trainer gave them; egress has not seen them yet.

    In a round with secure aggregation there is no update, and `message` holds the site's keys.
    """

    tensors: Tensors
    metrics: dict[str, float]
    message: bytes = b""
    receipt: str = ""


class TrainerChannel:
    """One connection to a site's trainer. Use it in a `with`."""

    def __init__(self, site: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket_path(site)}", options=OPTIONS)

    def __enter__(self) -> TrainerChannel:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Raises TrainerUnavailable when nobody answers in time."""
        try:
            grpc.channel_ready_future(self._channel).result(timeout=timeout_s)
        except grpc.FutureTimeoutError as error:
            raise TrainerUnavailable(
                f"no trainer answers in {timeout_s:g} s: start it and read its log"
            ) from error

    def now(self, timeout_s: float) -> Mapping[str, Any]:
        """`state`, and of a round being tuned `run_id`, `stage` and `round`.

        Raises TrainerUnavailable, at once where nobody listens.
        """
        try:
            return self._call(NOW, Frame(header={}), timeout_s).header
        except grpc.RpcError as error:
            raise TrainerUnavailable(f"no answer ({error.code().name}): start it anew") from error

    def tune(
        self,
        plan: str,
        start: Tensors,
        *,
        timeout_s: float,
        attempt: str = "",
        receipt: str = "",
    ) -> TrainerReply:
        """Have one round tuned. Raises Declined, also on a timeout or a trainer that went away.

        `attempt` names the attempt at the secure sum that the round has, if it has one. `receipt`
        is what the coordinator holds of the site's ledger.
        """
        try:
            self.wait_ready(min(_CONNECT_S, timeout_s))
            deadline = time.monotonic() + timeout_s
            header = {"plan": plan, "receipt": receipt, "trace": carried()}
            asked = Frame(header=header, tensors=start)
            job = self._call(START, asked, timeout_s)
            self._wait(job, deadline)
            wanted = Frame(header={**job.header, "attempt": attempt})
            reply = self._call(RESULT, wanted, _CONNECT_S)
        except TrainerUnavailable as error:
            raise Declined("trainer-unavailable", str(error)) from error
        except grpc.RpcError as error:
            raise Declined("trainer-unavailable", str(error.code())) from error
        _require_ok(reply)
        return TrainerReply(
            tensors={} if attempt else reply.tensors,
            metrics=dict(reply.header["metrics"]),
            message=reply.message if attempt else b"",
            receipt=str(reply.header["receipt"]),
        )

    def exchange(self, attempt: str, exchange: str, message: bytes, *, timeout_s: float) -> bytes:
        """One exchange of a secure sum. Raises Declined."""
        frame = Frame.of_message(message, attempt=attempt, exchange=exchange)
        try:
            self.wait_ready(min(_CONNECT_S, timeout_s))
            reply = self._call(EXCHANGE, frame, timeout_s)
        except TrainerUnavailable as error:
            raise Declined("trainer-unavailable", str(error)) from error
        except grpc.RpcError as error:
            raise Declined("trainer-unavailable", str(error.code())) from error
        _require_ok(reply)
        return reply.message

    def _wait(self, job: Frame, deadline: float) -> None:
        left_s = max(0.1, deadline - time.monotonic())
        try:
            for sign in self._stream(PROGRESS, job, left_s):
                if sign.header["finished"]:
                    return
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            self._call(CANCEL, job, _CONNECT_S)
            raise Declined("timeout", "the round took longer than the site's bound") from error

    def _call(self, name: str, frame: Frame, timeout_s: float) -> Frame:
        call: Any = self._channel.unary_unary(
            f"/{SERVICE}/{name}", Frame.to_bytes, Frame.from_bytes
        )
        reply: Frame = call(frame, timeout=timeout_s)
        return reply

    def _stream(self, name: str, frame: Frame, timeout_s: float) -> Any:
        call: Any = self._channel.unary_stream(
            f"/{SERVICE}/{name}", Frame.to_bytes, Frame.from_bytes
        )
        return call(frame, timeout=timeout_s)


def _require_ok(reply: Frame) -> None:
    if reply.header["code"] != "ok":
        raise Declined(str(reply.header["code"]), "declined by the trainer")
