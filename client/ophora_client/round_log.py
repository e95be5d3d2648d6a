"""The site's own record of its rounds: numbers only, kept at the site."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

from ophora_client.tuner import Tuned
from ophora_model.round_plan import RoundPlan
from ophora_privacy.accountant import Epsilon

_PROGRESS_EVERY_S = 0.5


class RoundLog:
    """The site's own record of its rounds: numbers only, in `folder`.

    `rounds.jsonl` has a line for each round; `progress.json` is the step being taken now.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._rounds = folder / "rounds.jsonl"
        self._progress = folder / "progress.json"
        self._last = 0.0

    def step(self, plan: RoundPlan, step: int, steps: int, loss: float) -> None:
        """Note a step; written at most twice a second, and at the end."""
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
        self._append({"declined": code, "detail": detail})

    def _append(self, entry: Mapping[str, object]) -> None:
        with self._rounds.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 3), **entry}) + "\n")
