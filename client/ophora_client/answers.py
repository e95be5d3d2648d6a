"""A site's answers to the coordinator's messages: unpack, have the trainer do it, check, pack.

Whatever goes wrong, what leaves is a code from a closed list: Flower itself would send the text of
an exception. The site's folder is named by whoever runs the site; a message names no path.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from ophora_client.egress import (
    EXCHANGES,
    Outgoing,
    outgoing_advert,
    outgoing_answer,
    outgoing_decline,
    outgoing_update,
    pack,
)
from ophora_client.errors import Declined
from ophora_client.sent_log import SentLog
from ophora_client.site_rounds import read_policy
from ophora_client.trainer_channel import TrainerReply
from ophora_model.errors import ModelError
from ophora_model.round_plan import RoundPlan
from ophora_model.stacking import trained_shapes
from ophora_model.update import Tensors
from ophora_privacy.watch.log import Log
from ophora_privacy.watch.spans import span

_EXCHANGE_S = 600.0
_ATTEMPT = re.compile(r"[0-9a-f]{1,64}")
_LOG = Log("client")


class Trainer(Protocol):
    """Who tunes: the resident trainer behind its socket, or one in this process."""

    def tune(
        self,
        plan: str,
        start: Tensors,
        *,
        timeout_s: float,
        attempt: str = "",
        receipt: str = "",
    ) -> TrainerReply:
        """One round. Raises Declined."""
        ...

    def exchange(self, attempt: str, exchange: str, message: bytes, *, timeout_s: float) -> bytes:
        """One exchange of a secure sum. Raises Declined."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAnswers:
    """Answers for the site in `folder`, asked for with each message; nothing here ever raises."""

    folder: Callable[[], Path]
    trainer: Callable[[Path], AbstractContextManager[Trainer]]

    def train(self, message: Message) -> Message:
        """One round at this site."""
        return self._reply(message, "train", self._tune)

    def secure_sum(self, message: Message) -> Message:
        """One exchange of a secure sum, after the round was tuned."""
        return self._reply(message, _exchange_of(message), self._exchange)

    def _reply(
        self, message: Message, asked: str, answer: Callable[[Message], Outgoing]
    ) -> Message:
        """What leaves was noted at the site before; what can't be noted is not sent."""
        with span("round" if asked == "train" else "exchange", **_place(message, asked)):
            try:
                outgoing = _answer(message, answer)
                self._note(message, asked, outgoing)
            except Exception as error:  # the process' edge: no text of an error leaves or is logged
                _LOG.failed("round-failed", error, code="internal-error")
                outgoing = outgoing_decline("internal-error")
                with suppress(Exception):  # a code from a closed list tells nothing of the site
                    self._note(message, asked, outgoing)
            with span("send"):
                _LOG.info("reply-sent", code=outgoing.code)
                return Message(pack(outgoing), reply_to=message)

    def _note(self, message: Message, asked: str, outgoing: Outgoing) -> None:
        SentLog(self.folder() / "logs").note(asked, _about(message, asked), outgoing)

    def _tune(self, message: Message) -> Outgoing:
        site = self.folder()
        policy = read_policy(site)
        asked = message.content.config_records["plan"]
        attempt = str(asked["attempt"])
        arrays = message.content.array_records["adapter"]
        start: dict[str, NDArray[np.float32]] = {n: each.numpy() for n, each in arrays.items()}
        with self.trainer(site) as trainer:
            reply = trainer.tune(
                str(asked["plan"]),
                start,
                timeout_s=policy.limits.max_round_s,
                attempt=attempt,
                receipt=str(asked["receipt"]),
            )
        if attempt:
            return outgoing_advert(
                reply.message, reply.metrics, share_loss=policy.share_loss, receipt=reply.receipt
            )
        plan = RoundPlan.from_json(str(asked["plan"]))
        return outgoing_update(
            reply.tensors,
            reply.metrics,
            announced=trained_shapes({n: v.shape for n, v in start.items()}, plan.adapter),
            share_loss=policy.share_loss,
            receipt=reply.receipt,
        )

    def _exchange(self, message: Message) -> Outgoing:
        asked = message.content.config_records["exchange"]
        exchange = str(asked["exchange"])
        sent = message.content.array_records["message"]["message"].numpy()
        if sent.dtype != np.uint8 or sent.ndim != 1:
            raise Declined("secure-sum", "a message that is no bytes")
        with self.trainer(self.folder()) as trainer:
            answer = trainer.exchange(
                str(asked["attempt"]), exchange, sent.tobytes(), timeout_s=_EXCHANGE_S
            )
        return outgoing_answer(exchange, answer)


def _answer(message: Message, answer: Callable[[Message], Outgoing]) -> Outgoing:
    try:
        return answer(message)
    except Declined as declined:
        return outgoing_decline(declined.code)


def _place(message: Message, asked: str) -> dict[str, Any]:
    """Of the round or exchange, as far as a log line or span may hold it."""
    about = _about(message, asked)
    if "run_id" in about:
        return {"run": about["run_id"], "stage": about["stage"], "round": about["round"]}
    return {"exchange": asked} if asked in EXCHANGES else {}


def _about(message: Message, asked: str) -> dict[str, str | int]:
    """What the message was about, as far as it is well formed: a request is not to be trusted."""
    try:
        if asked == "train":
            plan = RoundPlan.from_json(str(message.content.config_records["plan"]["plan"]))
            return {"run_id": plan.run_id, "stage": plan.stage, "round": plan.round}
        attempt = str(message.content.config_records["exchange"]["attempt"])
    except (ModelError, KeyError, TypeError, ValueError):
        return {}
    return {"attempt": attempt} if _ATTEMPT.fullmatch(attempt) else {}


def _exchange_of(message: Message) -> str:
    try:
        named = message.content.config_records["exchange"]["exchange"]
    except (KeyError, TypeError):
        return "unknown"
    return str(named) if named in EXCHANGES else "unknown"
