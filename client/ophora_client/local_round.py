"""One round at the site, in its fixed order: plan, policy, clips, budget, tuning, update.

Data path: plan and adapter from the coordinator -> `check_plan` -> ledger reservation on disk ->
`Tuner` -> update and scalars, for `egress` to check; or, in a round with secure aggregation, a
contribution that leaves this process masked only (`secure_half`). A plan that the site doesn't
agree to raises Declined before anything is spent; after the reservation the budget stays spent
whatever happens. Losses go to the site's own log and nowhere else.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ophora_client.errors import Declined, SiteInvalid
from ophora_client.policy import SitePolicy, check_plan
from ophora_client.roster import Membership
from ophora_client.round_log import RoundLog
from ophora_client.secure_half import SecureHalf
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
from ophora_model.stacking import trained_columns
from ophora_model.update import Tensors, check_tensors
from ophora_privacy.distributed_noise import PatientTotal
from ophora_privacy.errors import (
    BudgetExceeded,
    InvalidPlan,
    LedgerClock,
    LedgerCorrupt,
    LedgerForeign,
    LedgerRolledBack,
    LedgerTruncated,
    LedgerUnavailable,
    NonFiniteGradient,
    PrivacyError,
)
from ophora_privacy.features import DistributedNoise, Features, LocalNoise
from ophora_privacy.ledger import Ledger, Reservation
from ophora_privacy.ledger_head import LedgerReceipt
from ophora_privacy.plan import PrivacyPlan
from ophora_privacy.secure_sum import Layout, RingVector, SecureSumPlan
from ophora_privacy.watch.spans import span

_LEDGER_ERRORS = (
    LedgerClock,
    LedgerCorrupt,
    LedgerForeign,
    LedgerRolledBack,
    LedgerTruncated,
    LedgerUnavailable,
)
_FOR_THE_GRID = "grid"  # the attempt of a plan that only says on which grid a contribution lies


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalResult:
    """What a round gave: the update, and scalars of which egress lets the allowed ones pass.

    In a round with secure aggregation the update is empty and `contribution` holds what goes into
    the secure sum.
    """

    update: Tensors
    metrics: Mapping[str, float]
    receipt: str
    contribution: RingVector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Agreed:
    """A plan that the site takes part in."""

    plan: RoundPlan
    privacy: PrivacyPlan
    features: Features
    share_loss: bool = False
    cap: float = 0.0  # which grants nothing, until the policy has been read


class LocalRounds:
    """Runs rounds at one site. One round at a time.

    `policy` and `membership` are asked for in every round: the hospital may have changed them.
    """

    def __init__(
        self,
        policy: Callable[[], SitePolicy],
        ledger: Ledger,
        tuner: Tuner,
        log: RoundLog,
        membership: Callable[[], Membership | None] = lambda: None,
    ) -> None:
        self._policy = policy
        self._ledger = ledger
        self._tuner = tuner
        self._log = log
        self._membership = membership

    def run(
        self,
        plan_json: str,
        start: Tensors,
        *,
        cancelled: Callable[[], bool],
        receipt: str = "",
    ) -> LocalResult:
        """Run one round. Raises Declined, with a code that may leave the site.

        `receipt` is what the coordinator holds of this site's ledger: a ledger that lacks its entry
        is an old copy, and nothing is spent from it.
        """
        try:
            self._check_receipt(receipt)
            return self._train(self._agree(plan_json, start), start, cancelled)
        except Declined as declined:
            self._log.declined(declined.code, str(declined))
            raise

    def still_agrees(self, plan_json: str, start: Tensors) -> bool:
        """Whether a round that was run would be run again; nothing is spent or noted."""
        try:
            self._agree(plan_json, start)
        except Declined:
            return False
        return True

    def join(
        self, plan_json: str, start: Tensors, attempt: str, contribution: RingVector
    ) -> SecureHalf:
        """This site's half of one attempt at the round's secure sum. Raises Declined."""
        agreed = self._read(plan_json)
        secure, membership = agreed.features.secure, self._member()
        if secure is None or membership is None:
            raise Declined("secure-sum", "the round plan or the site is without it")
        try:
            plan = self._secure_plan(agreed, start, attempt)
            half = secure.site_half(plan, membership.identity, membership.roster)
        except InvalidPlan as error:
            raise Declined("secure-sum", str(error)) from error
        return SecureHalf(attempt, half, contribution)

    def declined(self, declined: Declined) -> None:
        """Note what was declined after the tuning."""
        self._log.declined(declined.code, str(declined))

    def _read(self, plan_json: str) -> _Agreed:
        try:
            plan = RoundPlan.from_json(plan_json)
            privacy = PrivacyPlan.from_dict(plan.privacy)
            features = Features.from_list(plan.features)
        except (ModelError, PrivacyError, TypeError, KeyError) as error:
            raise Declined("bad-plan", f"{type(error).__name__}") from error
        return _Agreed(plan=plan, privacy=privacy, features=features)

    def _agree(self, plan_json: str, start: Tensors) -> _Agreed:
        agreed = self._read(plan_json)
        plan = agreed.plan
        member = self._member() if agreed.features.secure is not None else None
        policy = self._read_policy()
        check_plan(
            plan,
            agreed.privacy,
            policy,
            features=agreed.features,
            roster=member.roster if member is not None else None,
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
        return replace(agreed, share_loss=policy.share_loss, cap=policy.epsilon_cap)

    def _read_policy(self) -> SitePolicy:
        try:
            return self._policy()
        except SiteInvalid as error:
            raise Declined("internal-error", str(error)) from error

    def _member(self) -> Membership | None:
        try:
            return self._membership()
        except SiteInvalid as error:
            raise Declined("secure-sum", str(error)) from error

    def _train(self, agreed: _Agreed, start: Tensors, cancelled: Callable[[], bool]) -> LocalResult:
        plan, privacy = agreed.plan, agreed.privacy

        def on_step(step: int, steps: int, loss: float) -> None:
            self._log.step(plan, step, steps, loss)

        watched: dict[str, Any] = {"on_step": on_step, "cancelled": cancelled}
        try:
            secure_plan = self._grid_plan(agreed, start)
            total = _patient_total(agreed, secure_plan)  # before anything is spent: it may not fit
            with span("reserve"):
                reservation = self._ledger.reserve(
                    privacy,
                    run_id=plan.run_id,
                    stage=plan.stage,
                    round=plan.round,
                    shared=agreed.features.accounted(privacy),
                    cap=agreed.cap,
                )
            self._log.begun(plan)
            with span("tune", run=plan.run_id, stage=plan.stage, round=plan.round):
                tuned, contribution = self._tune(agreed, start, secure_plan, total, watched)
        except InvalidPlan as error:
            raise Declined("bad-plan", str(error)) from error
        except BudgetExceeded as error:
            raise Declined("budget", str(error)) from error
        except _LEDGER_ERRORS as error:
            raise Declined("ledger", str(error)) from error
        except (NonFiniteLoss, NonFiniteGradient) as error:
            raise Declined("non-finite", str(error)) from error
        except Cancelled as error:
            raise Declined("cancelled", str(error)) from error
        self._ledger.settle(reservation, steps=tuned.steps)
        self._log.done(plan, tuned, reservation.epsilon)
        return LocalResult(
            update={} if contribution is not None else tuned.update,
            metrics=self._metrics(agreed, tuned, reservation),
            receipt=self._ledger.receipt().to_json(),
            contribution=contribution,
        )

    def _check_receipt(self, receipt: str) -> None:
        if not receipt:
            return
        try:
            self._ledger.check_receipt(LedgerReceipt.from_json(receipt))
        except (InvalidPlan, *_LEDGER_ERRORS) as error:
            raise Declined("ledger", str(error)) from error

    def _tune(
        self,
        agreed: _Agreed,
        start: Tensors,
        secure_plan: SecureSumPlan | None,
        total: PatientTotal | None,
        watched: Mapping[str, Any],
    ) -> tuple[Tuned, RingVector | None]:
        plan, privacy = agreed.plan, agreed.privacy
        match agreed.features.noise:
            case DistributedNoise() as noise:
                assert total is not None  # made for this noise
                tuned = self._tuner.tune_patients(
                    plan, privacy, start, total.add, steps=noise.steps_per_patient, **watched
                )
                return tuned, total.noisy_input()
            case LocalNoise() as noise:
                tuned = self._tuner.tune(plan, privacy, start, **watched)
                if secure_plan is None:
                    return tuned, None
                return tuned, noise.site_half(secure_plan, dict(tuned.update))

    def _grid_plan(self, agreed: _Agreed, start: Tensors) -> SecureSumPlan | None:
        if agreed.features.secure is None:
            return None
        return self._secure_plan(agreed, start, _FOR_THE_GRID)

    def _secure_plan(self, agreed: _Agreed, start: Tensors, attempt: str) -> SecureSumPlan:
        secure = agreed.features.secure
        assert secure is not None
        return secure.plan(
            agreed.features.noise,
            agreed.privacy,
            attempt=attempt,
            layout=Layout.of(trained_columns(start, agreed.plan.adapter)),
            context=agreed.plan.digest(),
        )

    def _metrics(self, agreed: _Agreed, tuned: Tuned, reservation: Reservation) -> dict[str, float]:
        metrics = {
            "steps": tuned.steps,
            "epsilon": reservation.epsilon.value,
            "delta": self._ledger.delta,
        }
        if not isinstance(agreed.features.noise, DistributedNoise):
            # rounded up: the exact time tells how many patients were drawn, and where each is
            # tuned by itself the rounded one does too
            metrics["seconds"] = float(math.ceil(tuned.seconds))
        if agreed.share_loss and tuned.losses:
            metrics["loss"] = sum(tuned.losses) / len(tuned.losses)
        return metrics


def _patient_total(agreed: _Agreed, plan: SecureSumPlan | None) -> PatientTotal | None:
    """The empty sum over patients of a round with distributed noise. Raises InvalidPlan."""
    noise = agreed.features.noise
    if not isinstance(noise, DistributedNoise) or plan is None:
        return None
    return noise.site_half(plan, agreed.privacy)
