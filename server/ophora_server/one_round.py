"""One round's messages: what each site is asked, and the mean of what comes back.

Data path: settings, base, place -> the same plan for all but for the dealt timesteps -> `ask` ->
`take`: replies one by one, or the phases of a secure sum -> `Gathered`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.round_plan import RoundPlan, deal_interval
from ophora_model.stacking import trained_shapes
from ophora_model.update import Shapes, Tensors
from ophora_privacy.features import Features
from ophora_privacy.secure_sum import Roster
from ophora_privacy.watch.spans import span
from ophora_server.aggregation import aggregate_of
from ophora_server.federation_settings import FederationSettings, StageSettings
from ophora_server.receipts import ReceiptBook
from ophora_server.replies import Gathered, gather
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import RoundEntry
from ophora_server.secure_rounds import SecureRound, gather_secure, new_attempt
from ophora_server.site_link import SiteLink


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What went out in a round. `attempt` and `roster` are those of its secure sum, if any."""

    requests: Mapping[str, str]
    nodes: Mapping[str, int]
    features: Features
    context: str
    attempt: str
    roster: Roster | None


def ask(
    link: SiteLink,
    settings: FederationSettings,
    base: BaseFacts,
    place: RoundPlace,
    sites: Mapping[int, str],
    start: Tensors,
    roster: Roster | None,
    receipts: ReceiptBook,
    entry: RoundEntry,
) -> Asked:
    """Send every site its plan and the adapter."""
    features = settings.features(roster)
    attempt = new_attempt() if roster is not None else ""
    requests: dict[str, str] = {}
    by_code = sorted(sites.items(), key=lambda site: site[1])
    for dealt, (node, code) in enumerate(by_code):
        plan = _plan(settings, base, place, features, dealt).to_json()
        with span("ask-site", site=code):
            request, num_bytes = link.send(
                node,
                plan,
                start,
                ttl_s=settings.quorum.round_s,
                attempt=attempt,
                receipt=receipts.held(code),
            )
        requests[request] = code
        entry.sent(code, num_bytes)
    return Asked(
        requests=requests,
        nodes={code: node for node, code in sites.items()},
        features=features,
        context=plan_digest(settings, base, place, roster),
        attempt=attempt,
        roster=roster,
    )


def plan_digest(
    settings: FederationSettings, base: BaseFacts, place: RoundPlace, roster: Roster | None
) -> str:
    """Of the round's plan, the same whichever timesteps a site is dealt."""
    return _plan(settings, base, place, settings.features(roster), 0).digest()


def take(
    link: SiteLink,
    run: RunFolder,
    settings: FederationSettings,
    base: BaseFacts,
    place: RoundPlace,
    asked: Asked,
    entry: RoundEntry,
) -> Gathered:
    """The mean of the replies, taken one by one or as a secure sum. Raises QuorumMissed."""
    shapes = trained_shapes(base.shapes, place.adapter)
    if settings.secure_sum is None or asked.roster is None:
        return gather(
            link,
            run,
            entry,
            asked.requests,
            number=place.number,
            quorum=settings.quorum,
            mean=aggregate_of(settings.aggregation, shapes),
            shapes=shapes,
        )
    secure = SecureRound(
        attempt=asked.attempt,
        number=place.number,
        features=asked.features,
        privacy=place.stage.privacy,
        shapes=shapes,
        roster=asked.roster,
        context=asked.context,
        tune_s=settings.quorum.round_s,
        enough=settings.quorum.enough_updates,
        exchange_s=settings.secure_sum.exchange_s,
        max_norm=settings.quorum.max_update_norm,
    )
    return gather_secure(link, run, entry, asked.requests, asked.nodes, secure)


def _plan(
    settings: FederationSettings,
    base: BaseFacts,
    place: RoundPlace,
    features: Features,
    dealt: int,
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
        features=tuple(features.to_list()),
        interval=deal_interval(tuning, round=place.number, place=dealt),
    )
