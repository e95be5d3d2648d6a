"""The site's Flower app: unpack, ask the resident trainer, check, pack.

Started afresh by the SuperNode for every message. The site's folder comes from this process'
environment; the message names no path. Whatever goes wrong, what leaves is a code from a closed
list: Flower itself would send the text of an exception.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from ophora_client.egress import Outgoing, outgoing_decline, outgoing_update, pack
from ophora_client.errors import Declined
from ophora_client.site_rounds import read_policy
from ophora_client.trainer_channel import TrainerChannel

SITE_VARIABLE = "OPHORA_SITE"

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round at this site."""
    try:
        outgoing = _answer(message)
    except Exception as error:  # the process' edge: no text of an error may leave, or be logged
        logging.getLogger("ophora.client").error("round failed: %s", type(error).__name__)
        outgoing = outgoing_decline("internal-error")
    return Message(pack(outgoing), reply_to=message)


def _answer(message: Message) -> Outgoing:
    try:
        return _tune(message)
    except Declined as declined:
        return outgoing_decline(declined.code)


def _tune(message: Message) -> Outgoing:
    site = Path(os.environ[SITE_VARIABLE])
    policy = read_policy(site)
    plan = message.content.config_records["plan"]["plan"]
    arrays = message.content.array_records["adapter"]
    start: dict[str, NDArray[np.float32]] = {name: each.numpy() for name, each in arrays.items()}
    with TrainerChannel(site) as trainer:
        reply = trainer.tune(str(plan), start, timeout_s=policy.limits.max_round_s)
    return outgoing_update(
        reply.tensors,
        reply.metrics,
        announced={name: value.shape for name, value in start.items()},
        share_loss=policy.share_loss,
    )
