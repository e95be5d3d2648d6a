"""The rounds: our own loop over the wire, since Flower's has no resume, quorum or bounded wait.

Data path of a round: wait for sites (bounded) -> plan and adapter to each -> replies one by one,
verified, entered and added up, or summed under masks -> quorum -> mean -> one transaction of the
registry -> event log -> next round. At the end of each stage the adapter is written as a release. A
start continues after the last finished round; one that was interrupted is run again whole, as a new
attempt. The plan of a round is the same for all sites but for the part of the timesteps that each
is dealt.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ophora_model.release import read_release, write_release
from ophora_model.stacking import whole_columns, widened
from ophora_model.update import Update
from ophora_privacy.watch.spans import span
from ophora_server.errors import QuorumMissed
from ophora_server.federation_settings import FederationSettings
from ophora_server.live_sites import WatchedLink
from ophora_server.one_round import BaseFacts, RoundPlace, ask, plan_digest, take
from ophora_server.receipts import ReceiptBook
from ophora_server.replies import stated_cost
from ophora_server.roster import read_roster
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import RunRecord, RunState, admit_sites, open_registry
from ophora_server.server_optimizer import ServerOptimizer
from ophora_server.site_link import SiteLink

_POLL_S = 0.25


def run_rounds(
    link: SiteLink, run: RunFolder, settings: FederationSettings, base: BaseFacts
) -> RunState:
    """Run what is left of the run. Raises QuorumMissed or RunBusy; finished rounds are kept.

    Raises EntryRefused where the run was begun with another base, adapter or order of stages.
    """
    with run.only_one(), open_registry(run) as registry:
        record = RunRecord.open(registry, settings, identity=base.fingerprint)
        admit_sites(registry, run)
        untrained = {name: np.zeros(shape, np.float32) for name, shape in base.shapes.items()}
        state = record.state(untrained)
        places = _places(settings)
        link = WatchedLink(link, run.path)
        run.record("started", after_round=state.round, rounds=len(places))
        for place in places:
            if place.number > state.round:
                with span("round", run=settings.run_id, round=place.number, stage=place.stage.name):
                    _run_round(link, run, settings, base, place, state, record)
                    state = record.state(untrained)
                    run.record("round-finished", **state.history[-1])
            if place.is_last_of_stage and place.number == state.round:
                _release(run, settings, base, place, state, record)
        run.record("finished", round=state.round)
    return state


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


def _run_round(
    link: SiteLink,
    run: RunFolder,
    settings: FederationSettings,
    base: BaseFacts,
    place: RoundPlace,
    before: RunState,
    record: RunRecord,
) -> None:
    sites = _wait_for_sites(link, settings)
    stage = place.stage.name
    run.record("round-started", round=place.number, stage=stage, sites=sorted(sites.values()))
    start = widened(before.tensors, place.adapter)
    roster = read_roster(run.roster_file) if settings.secure_sum is not None else None
    receipts = ReceiptBook(folder=run.receipts)
    entry = record.begin(place.number, stage, plan_digest(settings, base, place, roster))
    try:
        asked = ask(link, settings, base, place, sites, start, roster, receipts, entry)
        with span("gather"):
            gathered = take(link, run, settings, base, place, asked, entry)
    except QuorumMissed:
        entry.abandon("quorum")
        raise
    held = before.server_state if before.stage == stage else None
    with span("aggregate"):
        optimizer = ServerOptimizer(settings.server_optimizer, held)
        moved = whole_columns(optimizer.step(gathered.mean.tensors), place.adapter)
        after = Update(tensors=start) + Update(tensors=moved)
    with span("commit"):
        entry.finish(after.tensors, gathered.mean.l2_norm(), optimizer.state())


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
    state: RunState,
    record: RunRecord,
) -> None:
    stage = place.stage.name
    epsilon, delta = stated_cost(state.history)
    folder = write_release(
        run.releases / stage,
        preset=settings.preset,
        base_fingerprint=base.fingerprint,
        adapter=place.adapter,
        tensors=state.tensors,
        stage=stage,
        round=state.round,
        history=state.history,
        contributors=sorted({site for entry in state.history for site in entry["sites"]}),
        base_folder=Path(settings.base_folder) if settings.base_folder else None,
        epsilon=epsilon,
        delta=delta,
    )
    record.released(state.round, read_release(folder).sha256)
    run.record("release", stage=stage, round=state.round)
