"""One round at the site, in its fixed order: plan, policy, clips, budget, tuning, update.

Data path: plan and adapter from the coordinator -> `check_plan` -> ledger reservation on disk ->
`Tuner.tune` -> update and scalars, for `egress` to check. A plan that the site doesn't agree to
raises Declined before anything is spent; after the reservation the budget stays spent whatever
happens. Losses go to the site's own log and nowhere else.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ophora_client.errors import Declined
from ophora_client.policy import SitePolicy, check_plan
from ophora_client.tuner import Tuned, Tuner
from ophora_model.errors import (
    AdapterMismatch,
    CacheUnreadable,
    Cancelled,
    ModelError,
    NonFiniteLoss,
    VideoUnreadable,
)
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Tensors, check_tensors
from ophora_privacy.accountant import Epsilon
from ophora_privacy.errors import BudgetExceeded, NonFiniteGradient, PrivacyError
from ophora_privacy.ledger import Ledger
from ophora_privacy.plan import PrivacyPlan

_PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalResult:
    """What a round gave: the update, and scalars of which egress lets the allowed ones pass."""

    update: Tensors
    metrics: Mapping[str, float]


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


class LocalRounds:
    """Runs rounds at one site. One round at a time."""

    def __init__(self, policy: SitePolicy, ledger: Ledger, tuner: Tuner, log: RoundLog) -> None:
        self._policy = policy
        self._ledger = ledger
        self._tuner = tuner
        self._log = log

    def run(self, plan_json: str, start: Tensors, *, cancelled: Callable[[], bool]) -> LocalResult:
        """Run one round. Raises Declined, with a code that may leave the site."""
        try:
            plan, privacy = self._agree(plan_json, start)
            return self._train(plan, privacy, start, cancelled)
        except Declined as declined:
            self._log.declined(declined.code, str(declined))
            raise

    def _agree(self, plan_json: str, start: Tensors) -> tuple[RoundPlan, PrivacyPlan]:
        try:
            plan = RoundPlan.from_json(plan_json)
            privacy = PrivacyPlan.from_dict(plan.privacy)
        except (ModelError, PrivacyError, TypeError, KeyError) as error:
            raise Declined("bad-plan", f"{type(error).__name__}") from error
        check_plan(
            plan,
            privacy,
            self._policy,
            base_fingerprint=self._tuner.base_fingerprint,
            code_version=importlib.metadata.version("ophora-federated"),
        )
        try:
            check_tensors(start, self._tuner.shapes(plan.adapter))
        except AdapterMismatch as error:
            raise Declined("adapter", "the tensors sent don't fit the announced adapter") from error
        try:
            num_clips = self._tuner.num_clips(plan.stage)
        except (VideoUnreadable, CacheUnreadable) as error:
            raise Declined("internal-error", str(error)) from error
        if num_clips == 0:
            raise Declined("no-clips", f"no clip for stage {plan.stage}")
        return plan, privacy

    def _train(
        self, plan: RoundPlan, privacy: PrivacyPlan, start: Tensors, cancelled: Callable[[], bool]
    ) -> LocalResult:
        def on_step(step: int, steps: int, loss: float) -> None:
            self._log.step(plan, step, steps, loss)

        try:
            reservation = self._ledger.reserve(
                privacy, run_id=plan.run_id, stage=plan.stage, round=plan.round
            )
            tuned = self._tuner.tune(plan, privacy, start, on_step=on_step, cancelled=cancelled)
        except BudgetExceeded as error:
            raise Declined("budget", str(error)) from error
        except (NonFiniteLoss, NonFiniteGradient) as error:
            raise Declined("non-finite", str(error)) from error
        except Cancelled as error:
            raise Declined("cancelled", str(error)) from error
        self._ledger.settle(reservation, steps=tuned.steps)
        self._log.done(plan, tuned, reservation.epsilon)
        metrics = {
            "steps": tuned.steps,
            # rounded up: the exact time tells how many patients were drawn
            "seconds": float(math.ceil(tuned.seconds)),
            "epsilon": reservation.epsilon.value,
            "delta": self._ledger.delta,
        }
        if self._policy.share_loss and tuned.losses:
            metrics["loss"] = sum(tuned.losses) / len(tuned.losses)
        return LocalResult(update=tuned.update, metrics=metrics)
