"""The rounds: our own loop over the wire, since Flower's has no resume, quorum or bounded wait.

Data path of a round: wait for sites (bounded) -> plan and adapter to each -> replies one by one,
verified and added up -> quorum -> mean -> checkpoint -> event log -> next round. At the end of each
stage the adapter is written as a release. A start continues after the last good checkpoint; a round
that was interrupted is run again whole.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ophora_model.release import write_release
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Shapes, Update
from ophora_server.aggregation import RunningMean, verify_update
from ophora_server.checkpoint import Checkpoint, last_checkpoint, write_checkpoint
from ophora_server.errors import InvalidFederation, QuorumMissed, UpdateRejected
from ophora_server.federation_settings import FederationSettings, StageSettings
from ophora_server.run_folder import RunFolder
from ophora_server.site_link import SiteLink, SiteReply

_POLL_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlace:
    """Where a round is: its number over all stages, and whether it ends its stage."""

    number: int
    stage: StageSettings
    is_last_of_stage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """What the coordinator knows of the base: its fingerprint and the adapter's shapes on it."""

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
        checkpoint = last_checkpoint(run.checkpoints, shapes=base.shapes, identity=identity)
        if checkpoint is None:
            zeros = {name: np.zeros(shape, np.float32) for name, shape in base.shapes.items()}
            checkpoint = Checkpoint(round=0, stage="", identity=identity, tensors=zeros)
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


def _places(settings: FederationSettings) -> list[RoundPlace]:
    places: list[RoundPlace] = []
    for stage in settings.stages:
        for number in range(1, stage.rounds + 1):
            is_last = number == stage.rounds
            places.append(RoundPlace(number=len(places) + 1, stage=stage, is_last_of_stage=is_last))
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
    plan = _plan(settings, base, place).to_json()
    requests: dict[str, str] = {}
    bytes_sent: dict[str, int] = {}
    for node, code in sites.items():
        request, num_bytes = link.send(node, plan, before.tensors, ttl_s=settings.quorum.round_s)
        requests[request], bytes_sent[code] = code, num_bytes
    gathered = _gather(link, run, settings, base, place, requests)
    if gathered.mean.num_updates < settings.quorum.min_sites:
        raise QuorumMissed(
            f"round {place.number}: {gathered.mean.num_updates} updates of "
            f"{settings.quorum.min_sites} needed; resume when the sites are back"
        )
    after = Update(tensors=before.tensors) + gathered.mean.mean()
    entry = {
        "round": place.number,
        "stage": stage,
        "sites": gathered.accepted,
        "seconds": round(time.monotonic() - began, 3),
        "bytes_sent": bytes_sent,
        "bytes_received": gathered.bytes_received,
        "update_norm": gathered.mean.mean().l2_norm(),
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


def _plan(settings: FederationSettings, base: BaseFacts, place: RoundPlace) -> RoundPlan:
    return RoundPlan(
        run_id=settings.run_id,
        stage=place.stage.name,  # type: ignore[arg-type]  # checked by StageSettings
        round=place.number,
        preset=settings.preset,
        base_fingerprint=base.fingerprint,
        adapter=settings.adapter,
        tuning=place.stage.tuning,
        privacy=place.stage.privacy.to_dict(),
        code_version=importlib.metadata.version("ophora-federated"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    mean: RunningMean
    accepted: list[str]
    bytes_received: dict[str, int]


def _gather(
    link: SiteLink,
    run: RunFolder,
    settings: FederationSettings,
    base: BaseFacts,
    place: RoundPlace,
    requests: Mapping[str, str],
) -> _Gathered:
    """Take replies as they come until all are there or the round's time is over."""
    gathered = _Gathered(mean=RunningMean(base.shapes), accepted=[], bytes_received={})
    pending = dict(requests)
    deadline = time.monotonic() + settings.quorum.round_s
    while pending and time.monotonic() < deadline:
        for request in list(pending):
            reply = link.poll(request)
            if reply is None:
                continue
            site = pending.pop(request)
            gathered.bytes_received[site] = reply.num_bytes
            values = _take(reply, gathered, settings, base.shapes)
            if values["code"] == "ok":
                gathered.accepted.append(site)
            run.record("reply", round=place.number, site=site, bytes=reply.num_bytes, **values)
        if pending:
            time.sleep(_POLL_S)
    for site in pending.values():
        run.record("reply", round=place.number, site=site, bytes=0, code="late")
    gathered.accepted.sort()
    return gathered


def _take(
    reply: SiteReply, gathered: _Gathered, settings: FederationSettings, shapes: Shapes
) -> dict[str, Any]:
    """Verify and add one reply; what is wrong with it costs this site's update alone."""
    if reply.code != "ok":
        return {"code": reply.code}
    try:
        verified = verify_update(
            reply.tensors, shapes=shapes, max_norm=settings.quorum.max_update_norm
        )
    except UpdateRejected:
        return {"code": "rejected"}  # the reason may hold names that the site chose
    gathered.mean.add(verified)
    return {"code": "ok", "update_norm": verified.l2_norm, **reply.metrics}


def _release(
    run: RunFolder,
    settings: FederationSettings,
    base: BaseFacts,
    place: RoundPlace,
    checkpoint: Checkpoint,
) -> None:
    stage = place.stage.name
    write_release(
        run.releases / stage,
        preset=settings.preset,
        base_fingerprint=base.fingerprint,
        adapter=settings.adapter,
        tensors=checkpoint.tensors,
        stage=stage,
        round=checkpoint.round,
        history=checkpoint.history,
        contributors=sorted({site for entry in checkpoint.history for site in entry["sites"]}),
        base_folder=Path(settings.base_folder) if settings.base_folder else None,
    )
    run.record("release", stage=stage, round=checkpoint.round)
