"""The rounds: our own loop over the wire, since Flower's has no resume, quorum or bounded wait.

Data path of a round: wait for sites (bounded) -> plan and adapter to each -> replies one by one,
verified and added up -> quorum -> mean -> checkpoint -> event log -> next round. At the end of each
stage the adapter is written as a release. A start continues after the last good checkpoint; a round
that was interrupted is run again whole. The plan of a round is the same for all sites but for the
part of the timesteps that each is dealt.
"""

from __future__ import annotations

import importlib.metadata
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.release import write_release
from ophora_model.round_plan import RoundPlan, deal_interval
from ophora_model.stacking import stacked_shapes, widened
from ophora_model.update import Shapes, Update
from ophora_server.checkpoint import Checkpoint, last_checkpoint, write_checkpoint
from ophora_server.errors import InvalidFederation, QuorumMissed
from ophora_server.federation_settings import FederationSettings, StageSettings
from ophora_server.replies import gather, stated_cost
from ophora_server.run_folder import RunFolder
from ophora_server.site_link import SiteLink

_POLL_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlace:
    """Where a round is: number over all stages, its adapter, and whether it ends its stage."""

    number: int
    stage: StageSettings
    adapter: AdapterSpec
    is_last_of_stage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """What the coordinator knows of the base: its fingerprint and the adapter's shapes on it.

    They are those of the first stage; `stacked_shapes` makes those of one that stacks.
    """

    fingerprint: str
    shapes: Shapes


def read_base_facts(settings: FederationSettings) -> BaseFacts:
    """From the installed or named base weights; nothing is loaded into memory."""
    from ophora_model.adapter import adapter_shapes
    from ophora_model.base import base_fingerprint, empty_transformer
    from ophora_model.presets import find_preset

    preset = find_preset(settings.preset)
    folder = Path(settings.base_folder) if settings.base_folder else None
    transformer: Any = empty_transformer(preset, folder)  # on the meta device: shapes alone
    return BaseFacts(
        fingerprint=base_fingerprint(preset, folder),
        shapes=adapter_shapes(transformer, settings.adapter),
    )


def run_rounds(
    link: SiteLink, run: RunFolder, settings: FederationSettings, base: BaseFacts
) -> Checkpoint:
    """Run what is left of the run. Raises QuorumMissed or RunBusy; finished rounds are kept."""
    identity = f"{settings.identity()}/{base.fingerprint}"
    with run.only_one():
        checkpoint = _last_checkpoint(run, settings, base, identity)
        places = _places(settings)
        if checkpoint.round > len(places):
            raise InvalidFederation(
                f"stages: {len(places)} rounds in all, but {checkpoint.round} are done"
            )
        _check_stages(places, checkpoint)
        run.record("started", after_round=checkpoint.round, rounds=len(places))
        for place in places:
            if place.number > checkpoint.round:
                checkpoint = _run_round(link, run, settings, base, place, checkpoint)
            if place.is_last_of_stage and place.number == checkpoint.round:
                _release(run, settings, base, place, checkpoint)
        run.record("finished", round=checkpoint.round)
    return checkpoint


def _last_checkpoint(
    run: RunFolder, settings: FederationSettings, base: BaseFacts, identity: str
) -> Checkpoint:
    """The newest of any stage, or the untrained adapter. Ranks are part of the identity."""
    specs = {settings.adapter_of(stage.name) for stage in settings.stages}
    found = [
        last_checkpoint(
            run.checkpoints, shapes=stacked_shapes(base.shapes, spec), identity=identity
        )
        for spec in specs
    ]
    zeros = {name: np.zeros(shape, np.float32) for name, shape in base.shapes.items()}
    untrained = Checkpoint(round=0, stage="", identity=identity, tensors=zeros)
    return max((each or untrained for each in found), key=lambda each: each.round)


def _places(settings: FederationSettings) -> list[RoundPlace]:
    places: list[RoundPlace] = []
    for stage in settings.stages:
        for number in range(1, stage.rounds + 1):
            places.append(
                RoundPlace(
                    number=len(places) + 1,
                    stage=stage,
                    adapter=settings.adapter_of(stage.name),
                    is_last_of_stage=number == stage.rounds,
                )
            )
    return places


def _check_stages(places: list[RoundPlace], checkpoint: Checkpoint) -> None:
    """A stage that is over gets no more rounds: its release is out, the next was tuned upon it."""
    for place, entry in zip(places, checkpoint.history, strict=False):
        if place.stage.name != entry["stage"]:
            raise InvalidFederation(
                f"stages: round {place.number} would be {place.stage.name!r} but was run as"
                f" {entry['stage']!r}; put the rounds of the stages that are over back"
            )


def _run_round(
    link: SiteLink,
    run: RunFolder,
    settings: FederationSettings,
    base: BaseFacts,
    place: RoundPlace,
    before: Checkpoint,
) -> Checkpoint:
    began = time.monotonic()
    sites = _wait_for_sites(link, settings)
    stage = place.stage.name
    run.record("round-started", round=place.number, stage=stage, sites=sorted(sites.values()))
    start = widened(before.tensors, place.adapter)
    requests: dict[str, str] = {}
    bytes_sent: dict[str, int] = {}
    by_code = sorted(sites.items(), key=lambda site: site[1])
    for dealt, (node, code) in enumerate(by_code):
        plan = _plan(settings, base, place, dealt).to_json()
        request, num_bytes = link.send(node, plan, start, ttl_s=settings.quorum.round_s)
        requests[request], bytes_sent[code] = code, num_bytes
    gathered = gather(
        link,
        run,
        requests,
        number=place.number,
        quorum=settings.quorum,
        shapes=stacked_shapes(base.shapes, place.adapter),
        adapter=place.adapter,
    )
    if gathered.mean.num_updates < settings.quorum.min_sites:
        raise QuorumMissed(
            f"round {place.number}: {gathered.mean.num_updates} updates of "
            f"{settings.quorum.min_sites} needed; resume when the sites are back"
        )
    after = Update(tensors=start) + gathered.mean.mean()
    entry = {
        "round": place.number,
        "stage": stage,
        "sites": gathered.accepted,
        "seconds": round(time.monotonic() - began, 3),
        "bytes_sent": bytes_sent,
        "bytes_received": gathered.bytes_received,
        "update_norm": gathered.mean.mean().l2_norm(),
        "stated": gathered.stated,
    }
    checkpoint = replace(
        before,
        round=place.number,
        stage=stage,
        tensors=after.tensors,
        history=(*before.history, entry),
    )
    folder = write_checkpoint(run.checkpoints, checkpoint)
    run.record("round-finished", checkpoint=folder.name, **entry)
    return checkpoint


def _wait_for_sites(link: SiteLink, settings: FederationSettings) -> dict[int, str]:
    quorum = settings.quorum
    deadline = time.monotonic() + quorum.wait_s
    while True:
        sites = link.sites()
        if len(sites) >= quorum.expected_sites:
            return sites
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_S)
    if len(sites) < quorum.min_sites:
        raise QuorumMissed(
            f"{len(sites)} sites after {quorum.wait_s:g} s: {quorum.min_sites} needed; "
            "resume when they are back"
        )
    return sites


def _plan(
    settings: FederationSettings, base: BaseFacts, place: RoundPlace, dealt: int
) -> RoundPlan:
    """The plan of the site at place `dealt` among those of the round."""
    tuning = place.stage.tuning
    return RoundPlan(
        run_id=settings.run_id,
        stage=place.stage.name,  # type: ignore[arg-type]  # checked by StageSettings
        round=place.number,
        preset=settings.preset,
        base_fingerprint=base.fingerprint,
        adapter=place.adapter,
        tuning=tuning,
        privacy=place.stage.privacy.to_dict(),
        code_version=importlib.metadata.version("ophora-federated"),
        interval=deal_interval(tuning, round=place.number, place=dealt),
    )


def _release(
    run: RunFolder,
    settings: FederationSettings,
    base: BaseFacts,
    place: RoundPlace,
    checkpoint: Checkpoint,
) -> None:
    stage = place.stage.name
    epsilon, delta = stated_cost(checkpoint.history)
    write_release(
        run.releases / stage,
        preset=settings.preset,
        base_fingerprint=base.fingerprint,
        adapter=place.adapter,
        tensors=checkpoint.tensors,
        stage=stage,
        round=checkpoint.round,
        history=checkpoint.history,
        contributors=sorted({site for entry in checkpoint.history for site in entry["sites"]}),
        base_folder=Path(settings.base_folder) if settings.base_folder else None,
        epsilon=epsilon,
        delta=delta,
    )
    run.record("release", stage=stage, round=checkpoint.round)
