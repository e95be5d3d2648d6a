"""The site's Flower app: each message to the site's answers, with the resident trainer behind them.

Started afresh by the SuperNode for every message. The site's folder comes from this process'
environment.
"""

from __future__ import annotations

import os
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from ophora_client.answers import SiteAnswers
from ophora_client.trainer_channel import TrainerChannel

SITE_VARIABLE = "OPHORA_SITE"

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round at this site."""
    return _answers().train(message)


@app.query("secure_sum")
def secure_sum(message: Message, context: Context) -> Message:
    """One exchange of a secure sum, after the round was tuned."""
    return _answers().secure_sum(message)


def _answers() -> SiteAnswers:
    return SiteAnswers(folder=lambda: Path(os.environ[SITE_VARIABLE]), trainer=TrainerChannel)
