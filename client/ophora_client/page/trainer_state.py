"""Whether the resident trainer answers, and which round and step it is at.

its socket (state, round), logs/progress.json (step) -> TrainerView
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ophora_client.errors import TrainerUnavailable
from ophora_client.page.trouble import Trouble
from ophora_client.round_log import read_step
from ophora_client.trainer_channel import TrainerChannel
from ophora_client.trainer_wire import socket_path

_ANSWER_S = 3.0
_START = "`ophora site serve --site SITE` starts it. While it loads the base it doesn't answer yet."


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerView:
    """What the trainer does now. Round and steps are None where they are not known."""

    is_tuning: bool
    run_id: str = ""
    stage: str = ""
    round: int | None = None
    step: int | None = None
    steps: int | None = None


def look_at_trainer(
    site: Path, logs: Path, *, timeout_s: float = _ANSWER_S
) -> TrainerView | Trouble:
    """Asks on the site's socket; what it works on goes on undisturbed."""
    try:
        if not socket_path(site).exists():
            return Trouble(said="The trainer is not running.", remedy=_START)
        with TrainerChannel(site) as trainer:
            now = trainer.now(timeout_s)
    except TrainerUnavailable:
        return Trouble(
            said="The trainer doesn't answer, though it was started once.",
            remedy=f"Look into logs/trainer.log, end what is left of it, and start it. {_START}",
        )
    if now["state"] != "tuning":
        return TrainerView(is_tuning=False)
    place = (str(now.get("run_id", "")), str(now.get("stage", "")), now.get("round"))
    taken = read_step(logs)
    if taken is None or (taken.run_id, taken.stage, taken.round) != place:
        return TrainerView(is_tuning=True, run_id=place[0], stage=place[1], round=place[2])
    return TrainerView(
        is_tuning=True,
        run_id=place[0],
        stage=place[1],
        round=place[2],
        step=taken.step,
        steps=taken.steps,
    )
