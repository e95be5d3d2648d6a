"""The demo's rounds: its plan as federation settings, and what the run left behind, as figures."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from ophora_deploy.demo.plan import DELTA, DemoPlan, StagePlan
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.presets import find_preset
from ophora_model.round_plan import TuningPlan
from ophora_privacy.accountant import Epsilon, epsilon_of, noise_for
from ophora_privacy.ledger import Ledger
from ophora_privacy.plan import PrivacyPlan
from ophora_server.federation_settings import (
    FederationSettings,
    QuorumSettings,
    SecureSumSettings,
    StageSettings,
)
from ophora_server.run_folder import RunFolder

RUN_ID = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes of the payloads of all updates and of what the coordinator sent, and their number."""

    sent_by_sites: int
    sent_to_sites: int
    updates: int


def noise_multiplier(plan: DemoPlan) -> float:
    """Little noise by default; with a target, what keeps both stages together within it."""
    if plan.epsilon is None:
        return plan.little_noise
    steps = sum(stage.rounds * stage.steps for stage in (plan.tpt, plan.p2ft))
    return noise_for(plan.epsilon, DELTA, plan.sampling_rate, steps)


def federation_settings(plan: DemoPlan, sites: int) -> FederationSettings:
    """Rounds of TPT, then of P2FT, equal for all sites, which all have to answer.

    Clipping, noise and secure aggregation are on: the coordinator learns sums over all sites only.
    """
    noise = noise_multiplier(plan)
    return FederationSettings(
        run_id=RUN_ID,
        preset="tiny",
        base_folder="",
        adapter=AdapterSpec.of_preset(find_preset("tiny"), seed=plan.seed),
        quorum=QuorumSettings(
            expected_sites=sites,
            min_sites=sites,
            wait_s=120.0,
            round_s=600.0,
            max_update_norm=1e4,
        ),
        stages=(_stage("tpt", plan, plan.tpt, noise), _stage("p2ft", plan, plan.p2ft, noise)),
        secure_sum=SecureSumSettings(),
    )


def read_traffic(run: RunFolder) -> Traffic:
    """Adds up what the coordinator's log says of every finished round."""
    rounds = [event for event in run.events() if event["event"] == "round-finished"]
    return Traffic(
        sent_by_sites=sum(sum(event["bytes_received"].values()) for event in rounds),
        sent_to_sites=sum(sum(event["bytes_sent"].values()) for event in rounds),
        updates=sum(len(event["sites"]) for event in rounds),
    )


def read_losses(site: Path) -> tuple[list[float], list[int]]:
    """Every step's loss from the site's own log, and at which step each round began."""
    losses: list[float] = []
    marks: list[int] = []
    for line in (site / "logs" / "rounds.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "losses" in entry:
            marks.append(len(losses))
            losses.extend(float(loss) for loss in entry["losses"])
    return losses, marks


def epsilon_by_stage(ledger: Ledger) -> dict[str, Epsilon]:
    """What a patient of this site has spent once each stage was over."""
    spends = ledger.spends()
    spent: dict[str, Epsilon] = {}
    for last, spend in enumerate(spends, start=1):
        events = [each.event for each in spends[:last]]
        if last == len(spends) or spends[last].stage != spend.stage:
            spent[spend.stage] = epsilon_of(events, ledger.delta)
    return spent


def privacy_words(plan: DemoPlan, spent: Epsilon, patients: int) -> str:
    """What the epsilon of this run means, for a person."""
    noise, cost = noise_multiplier(plan), spent.in_words()
    masked = (
        "Updates left the sites masked: the coordinator could read their sum over all sites and"
        " none of them alone."
    )
    if plan.epsilon is None:
        return (
            f"This run added little noise (multiplier {noise:g}), because {patients} patients a"
            f" site can't have a small epsilon and learn anything. It cost each patient {cost}."
            f" {masked} That, and that nothing else left a site, is what protects a patient here,"
            " not differential privacy. `make demo EPSILON=8` shows what a real bound costs."
        )
    return (
        f"This run was asked to keep every patient within epsilon {plan.epsilon:g}, which takes a"
        f" noise multiplier of {noise:.2f} with {patients} patients a site. It cost {cost}."
        f" {masked} With so few patients that much noise drowns what there is to learn: compare"
        " the videos and the phase match with those of a plain `make demo`."
    )


def _stage(name: str, plan: DemoPlan, stage: StagePlan, noise: float) -> StageSettings:
    return StageSettings(
        name=name,
        rounds=stage.rounds,
        tuning=TuningPlan(
            learning_rate=stage.learning_rate,
            warmup_steps=4,
            beta1=0.9,
            beta2=0.95,
            weight_decay=1e-3,
            caption_dropout=0.1,
            gradient_checkpointing=False,
        ),
        privacy=PrivacyPlan(
            clip_norm=plan.clip_norm,
            noise_multiplier=noise,
            sampling_rate=plan.sampling_rate,
            steps_per_round=stage.steps,
            delta=DELTA,
            clips_per_patient=plan.clips_per_patient,
            normaliser=math.ceil(plan.sampling_rate * plan.patients_per_site),
        ),
    )
