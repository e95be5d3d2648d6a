"""A run's rounds over a wire of fakes: sites as functions, and the settings that ask them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import plans
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Tensors
from ophora_server.federation_settings import FederationSettings
from ophora_server.run_folder import RunFolder
from ophora_server.site_link import SiteReply

PRIVACY = replace(plans.PRIVACY, noise_multiplier=0.1, steps_per_round=3)


def asked_for(**rounds: int) -> FederationSettings:
    stages = [plans.make_stage(name, count, PRIVACY) for name, count in rounds.items()]
    return plans.make_federation(*stages, wait_s=0.3, round_s=5.0, max_update_norm=1000.0)


Answer = Callable[[RoundPlan, Tensors], tuple[str, Mapping[str, object]]]


def constant(value: float) -> Answer:
    """A site whose update is `value` everywhere."""

    def answer(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        return "ok", {name: np.full_like(tensor, value) for name, tensor in start.items()}

    return answer


def halfway(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    """A site that pulls the adapter half the way towards 1: the start matters."""
    return "ok", {name: (1 - tensor) / 2 for name, tensor in start.items()}


@dataclass
class FakeLink:
    """Sites as functions; None answers never."""

    answers: dict[int, Answer | None]
    epsilons: dict[int, float] = field(default_factory=dict)  # of one round; missing: infinite
    receipts: dict[int, str] = field(default_factory=dict)  # missing: of a ledger that grows
    held: list[str] = field(default_factory=list)  # what the coordinator sent back
    plans: list[RoundPlan] = field(default_factory=list)
    replies: dict[str, SiteReply] = field(default_factory=dict)

    def sites(self) -> dict[int, str]:
        return {node: f"site-{node}" for node in self.answers}

    def send(
        self,
        node: int,
        plan: str,
        tensors: Tensors,
        *,
        ttl_s: float,
        attempt: str = "",
        receipt: str = "",
    ) -> tuple[str, int]:
        self.held.append(receipt)
        self.plans.append(RoundPlan.from_json(plan))
        request = f"request-{len(self.plans)}"
        answer = self.answers[node]
        if answer is not None:
            code, update = answer(self.plans[-1], tensors)
            self.replies[request] = SiteReply(
                request=request,
                code=code,
                tensors=update,  # type: ignore[arg-type]
                metrics={
                    "steps": 3.0,
                    "epsilon": self.epsilons.get(node, float("inf")) * self.plans[-1].round,
                    "delta": 1e-3 * node,
                },
                num_bytes=10,
                receipt=self.receipts.get(node, plans.make_receipt(self.plans[-1].round, node)),
            )
        return request, 100

    def exchange(
        self, node: int, attempt: str, exchange: str, message: bytes, *, ttl_s: float
    ) -> tuple[str, int]:
        raise AssertionError("no secure sum was asked for")

    def poll(self, request: str) -> SiteReply | None:
        return self.replies.pop(request, None)


def run_folder(path: Path) -> RunFolder:
    return plans.enrolled(path, [f"site-{node}" for node in range(1, 4)])


def not_a_number(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    return "ok", {name: np.full_like(tensor, np.nan) for name, tensor in start.items()}
