"""No more requests are out than asked for, and the coordinator notices nothing of it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fake_rounds import FakeLink, asked_for, constant
from ophora_deploy.simulation.paced_link import PacedLink
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Tensors
from ophora_server.one_round import read_base_facts
from ophora_server.rounds import run_rounds
from ophora_server.site_link import SiteReply
from plans import PRIVACY, TUNING, enrolled


@dataclass
class CountedLink(FakeLink):
    """How many requests were out at once; the bytes are those of what is sent."""

    most: int = 0
    out: set[str] = field(default_factory=set)

    def send(self, node: int, plan: str, tensors: Tensors, **given: object) -> tuple[str, int]:
        request, _ = super().send(node, plan, tensors, **given)  # type: ignore[arg-type]
        self.out.add(request)
        self.most = max(self.most, len(self.out))
        return request, len(plan.encode()) + len(str(given["receipt"]).encode()) + 1000

    def poll(self, request: str) -> SiteReply | None:
        reply = super().poll(request)
        self.out -= {request} if reply is not None else set()
        return reply


def test_rounds_of_many_sites_have_few_requests_out(tmp_path: Path) -> None:
    codes = [f"site-{node}" for node in range(20)]
    run = enrolled(tmp_path, codes)
    settings = asked_for(tpt=2)
    link = CountedLink({node: constant(node / 100) for node in range(20)})
    state = run_rounds(PacedLink(link, at_once=3), run, settings, read_base_facts(settings))
    assert state.round == 2
    assert link.most == 3
    assert len(link.plans) == 40
    assert all(len(entry["sites"]) == 20 for entry in state.history)
    assert all(np.allclose(tensor, 2 * 0.095) for tensor in state.tensors.values())
    assert all(sent > 1000 for entry in state.history for sent in entry["bytes_sent"].values())


def test_bytes_are_those_of_the_request_itself() -> None:
    link = CountedLink({1: None, 2: None})
    paced = PacedLink(link, at_once=1)
    tensors = {"a": np.zeros(3, np.float32)}
    plan = asked_plan()
    first = paced.send(1, plan, tensors, ttl_s=1.0, receipt="four")
    second = paced.send(2, plan, tensors, ttl_s=1.0, receipt="fourteen more")
    assert len(link.out) == 1
    assert (first[1], second[1]) == (len(plan) + 4 + 1000, len(plan) + 13 + 1000)
    assert paced.poll(second[0]) is None


def test_a_new_round_drops_what_the_last_one_never_sent() -> None:
    link = CountedLink({1: None, 2: None})
    paced = PacedLink(link, at_once=1)
    plan = asked_plan()
    last, new = {"a": np.zeros(3, np.float32)}, {"a": np.ones(3, np.float32)}
    paced.send(1, plan, last, ttl_s=1.0)
    late, _ = paced.send(2, plan, last, ttl_s=1.0)
    assert len(link.plans) == 1
    link.answers[1] = constant(1.0)
    asked, _ = paced.send(1, plan, new, ttl_s=1.0)
    assert len(link.plans) == 2
    reply = paced.poll(asked)
    assert reply is not None
    assert reply.request == asked
    assert paced.poll(late) is None
    assert len(link.plans) == 2


def asked_plan() -> str:
    return RoundPlan(
        run_id="run-1",
        stage="tpt",
        round=1,
        preset="tiny",
        base_fingerprint="0" * 64,
        adapter=AdapterSpec(rank=3, alpha=3.0, targets=("to_q",), seed=1),
        tuning=TUNING,
        privacy=PRIVACY.to_dict(),
        code_version="0",
    ).to_json()
