"""The site's own record of its rounds: numbers only, kept at the site.

What is in it beyond a log line's listed fields (losses, epsilon, details of a refusal) is in these
files alone.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ophora_client.step_meter import StepMeter
from ophora_client.tuner import Tuned
from ophora_model.round_plan import RoundPlan
from ophora_privacy.accountant import Epsilon
from ophora_privacy.watch.fields import listed_code
from ophora_privacy.watch.log import Log

_PROGRESS = "progress.json"
_PROGRESS_EVERY_S = 0.5
_LOG = Log("rounds")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """The newest step that was noted, and of which round."""

    run_id: str
    stage: str
    round: int
    step: int
    steps: int


def read_step(folder: Path) -> StepTaken | None:
    """The newest step noted in a site's logs, without its loss; None where there is none yet."""
    try:
        noted = json.loads((folder / _PROGRESS).read_text(encoding="utf-8"))
        return StepTaken(
            run_id=str(noted["run_id"]),
            stage=str(noted["stage"]),
            round=int(noted["round"]),
            step=int(noted["step"]),
            steps=int(noted["steps"]),
        )
    except (OSError, ValueError, KeyError, TypeError):  # written anew with the next step
        return None


class RoundLog:
    """The site's own record of its rounds: numbers only, in `folder`.

    `rounds.jsonl` has a line for each round; `progress.json` is the step being taken now. Steps are
    counted by `meter`.
    """

    def __init__(self, folder: Path, meter: StepMeter | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._rounds = folder / "rounds.jsonl"
        self._progress = folder / _PROGRESS
        self._last = 0.0
        self._meter = meter or StepMeter()

    def begun(self, plan: RoundPlan) -> None:
        """The round is reserved and will be tuned."""
        self._meter.begin()
        _LOG.info("round-begun", run=plan.run_id, stage=plan.stage, round=plan.round)

    def step(self, plan: RoundPlan, step: int, steps: int, loss: float) -> None:
        """Note a step; written at most twice a second, and at the end."""
        self._meter.step()
        now = time.monotonic()
        if step < steps and now - self._last < _PROGRESS_EVERY_S:
            return
        self._last = now
        part = self._progress.with_suffix(".part")
        place = {"run_id": plan.run_id, "stage": plan.stage, "round": plan.round}
        shown = loss if math.isfinite(loss) else None
        part.write_text(json.dumps({**place, "step": step, "steps": steps, "loss": shown}))
        part.replace(self._progress)

    def done(self, plan: RoundPlan, tuned: Tuned, epsilon: Epsilon) -> None:
        """Note a finished round."""
        place = {"run": plan.run_id, "stage": plan.stage, "round": plan.round}
        _LOG.info("round-done", **place, steps=tuned.steps, seconds=round(tuned.seconds, 3))
        self._append(
            {
                "run_id": plan.run_id,
                "stage": plan.stage,
                "round": plan.round,
                "steps": tuned.steps,
                "seconds": round(tuned.seconds, 3),
                "losses": [round(loss, 6) for loss in tuned.losses],
                "epsilon": epsilon.value if math.isfinite(epsilon.value) else "inf",
                "epsilon_method": epsilon.method,
            }
        )

    def declined(self, code: str, detail: str) -> None:
        """Note why a round was declined; the detail holds numbers and settings only."""
        _LOG.warning("round-declined", code=listed_code(code))
        self._append({"declined": code, "detail": detail})

    def _append(self, entry: Mapping[str, object]) -> None:
        with self._rounds.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 3), **entry}) + "\n")
