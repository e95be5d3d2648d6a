"""The site's Flower app: unpack, ask the resident trainer, check, pack.

Started afresh by the SuperNode for every message. The site's folder comes from this process'
environment; the message names no path. Whatever goes wrong, what leaves is a code from a closed
list: Flower itself would send the text of an exception.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
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
from ophora_client.trainer_channel import TrainerChannel
from ophora_model.errors import ModelError
from ophora_model.round_plan import RoundPlan
from ophora_model.stacking import trained_shapes

SITE_VARIABLE = "OPHORA_SITE"
_EXCHANGE_S = 600.0
_ATTEMPT = re.compile(r"[0-9a-f]{1,64}")

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round at this site."""
    return _reply(message, "train", _tune)


@app.query("secure_sum")
def secure_sum(message: Message, context: Context) -> Message:
    """One exchange of a secure sum, after the round was tuned."""
    return _reply(message, _exchange_of(message), _exchange)


def _reply(message: Message, asked: str, answer: Callable[[Message], Outgoing]) -> Message:
    """What leaves was noted at the site before; what can't be noted is not sent."""
    try:
        outgoing = _answer(message, answer)
        _note(message, asked, outgoing)
    except Exception as error:  # the process' edge: no text of an error may leave, or be logged
        logging.getLogger("ophora.client").error("round failed: %s", type(error).__name__)
        outgoing = outgoing_decline("internal-error")
        with suppress(Exception):  # a code from a closed list tells nothing of the site
            _note(message, asked, outgoing)
    return Message(pack(outgoing), reply_to=message)


def _note(message: Message, asked: str, outgoing: Outgoing) -> None:
    folder = Path(os.environ[SITE_VARIABLE]) / "logs"
    SentLog(folder).note(asked, _about(message, asked), outgoing)


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


def _answer(message: Message, answer: Callable[[Message], Outgoing]) -> Outgoing:
    try:
        return answer(message)
    except Declined as declined:
        return outgoing_decline(declined.code)


def _tune(message: Message) -> Outgoing:
    site = Path(os.environ[SITE_VARIABLE])
    policy = read_policy(site)
    asked = message.content.config_records["plan"]
    attempt = str(asked["attempt"])
    arrays = message.content.array_records["adapter"]
    start: dict[str, NDArray[np.float32]] = {name: each.numpy() for name, each in arrays.items()}
    with TrainerChannel(site) as trainer:
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


def _exchange(message: Message) -> Outgoing:
    site = Path(os.environ[SITE_VARIABLE])
    asked = message.content.config_records["exchange"]
    exchange = str(asked["exchange"])
    sent = message.content.array_records["message"]["message"].numpy()
    if sent.dtype != np.uint8 or sent.ndim != 1:
        raise Declined("secure-sum", "a message that is no bytes")
    with TrainerChannel(site) as trainer:
        answer = trainer.exchange(
            str(asked["attempt"]), exchange, sent.tobytes(), timeout_s=_EXCHANGE_S
        )
    return outgoing_answer(exchange, answer)
