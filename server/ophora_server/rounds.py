"""The rounds: our own loop over the wire, since Flower's has no resume, quorum or bounded wait.

Data path of a round: wait for sites (bounded) -> plan and adapter to each -> replies one by one,
verified and added up, or summed under masks -> quorum -> mean -> checkpoint -> event log -> next
round. At the end of each stage the adapter is written as a release. A start continues after the
last good checkpoint; a round that was interrupted is run again whole. The plan of a round is the
same for all sites but for the part of the timesteps that each is dealt.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ophora_model.release import write_release
from ophora_model.stacking import stacked_shapes, whole_columns, widened
from ophora_model.update import Update
from ophora_server.checkpoint import Checkpoint, last_checkpoint, write_checkpoint
from ophora_server.errors import InvalidFederation, QuorumMissed
from ophora_server.federation_settings import FederationSettings
from ophora_server.one_round import BaseFacts, RoundPlace, ask, take
from ophora_server.receipts import ReceiptBook
from ophora_server.replies import stated_cost
from ophora_server.roster import read_roster
from ophora_server.run_folder import RunFolder
from ophora_server.site_link import SiteLink

_POLL_S = 0.25


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
    roster = read_roster(run.roster_file) if settings.secure_sum is not None else None
    receipts = ReceiptBook(folder=run.receipts)
    asked = ask(link, settings, base, place, sites, start, roster, receipts)
    gathered = take(link, run, settings, base, place, asked)
    moved = whole_columns(gathered.mean.tensors, place.adapter)
    after = Update(tensors=start) + Update(tensors=moved)
    entry = {
        "round": place.number,
        "stage": stage,
        "sites": gathered.accepted,
        "seconds": round(time.monotonic() - began, 3),
        "bytes_sent": {
            code: sent + gathered.bytes_sent.get(code, 0) for code, sent in asked.bytes_sent.items()
        },
        "bytes_received": gathered.bytes_received,
        "update_norm": gathered.mean.l2_norm(),
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
