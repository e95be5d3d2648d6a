"""The policy in force, in sentences for somebody who signs for it and not for its syntax."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ophora_client.policy import FederationLimits, read_hours
from ophora_client.site_settings import PrivacyTable, SiteSettings
from ophora_privacy.page.words import duration

_STAGES = {
    "tpt": "tpt (on all clips that passed)",
    "p2ft": "p2ft (on visually clean clips)",
}
_NOISE = {
    "local": "Only noise that this site adds itself is taken.",
    "distributed": "Only noise that several sites add together, under a secure sum, is taken.",
    "both": "Noise of this site's own, or of several sites together under a secure sum, is taken.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that the site agrees to, and the keys that say so."""

    topic: str
    said: str
    keys: tuple[str, ...]


def policy_words(settings: SiteSettings) -> list[Rule]:
    """Every key of policy.toml and of [privacy] in site.toml, in some rule."""
    limits, privacy = settings.federation, settings.privacy
    return [
        Rule(topic="Approval", said=_approval(limits), keys=("approve_runs",)),
        Rule(topic="Stages", said=_stages(limits), keys=("stages",)),
        Rule(topic="Budget for life", said=_budget(privacy), keys=("epsilon_cap", "delta")),
        Rule(topic="One round alone", said=_cost(limits), keys=("max_epsilon_per_round",)),
        Rule(topic="Hours", said=_hours(limits), keys=("hours", "max_round_s")),
        Rule(topic="What leaves", said=_masks(limits), keys=("require_secure_sum", "min_sites")),
        Rule(topic="Losses", said=_losses(privacy), keys=("share_loss",)),
        Rule(
            topic="Noise",
            said=_noise(limits),
            keys=("noise", "min_noise_multiplier", "min_colluding_sites"),
        ),
        Rule(topic="Base", said=_bases(limits), keys=("bases",)),
        Rule(
            topic="Tuning",
            said=_tuning(limits),
            keys=(
                "max_clip_norm",
                "max_steps_per_round",
                "max_learning_rate",
                "max_adapter_rank",
            ),
        ),
    ]


def _approval(limits: FederationLimits) -> str:
    if limits.approve_runs:
        return "A person at this site has to approve each run before it may ask for rounds."
    return "Runs within this policy take part without a person's approval."


def _stages(limits: FederationLimits) -> str:
    named = " and ".join(_STAGES[stage] for stage in limits.stages)
    return f"Takes part in {named}." if named else "Takes part in no stage."


def _budget(privacy: PrivacyTable) -> str:
    if math.isinf(privacy.epsilon_cap):
        return "No cap: no round is declined for what it costs a patient."
    return (
        f"At most epsilon {privacy.epsilon_cap:g} for each patient, for life, at delta "
        f"{privacy.delta:g}. A round that would pass it is declined."
    )


def _cost(limits: FederationLimits) -> str:
    if math.isinf(limits.max_epsilon_per_round):
        return "No bound of its own on what a single round may cost."
    return f"A single round may cost a patient epsilon {limits.max_epsilon_per_round:g} at most."


def _hours(limits: FederationLimits) -> str:
    bound = f"One that takes more than {duration(limits.max_round_s)} is ended."
    if not limits.hours:
        return f"Rounds may begin at any time. {bound}"
    begin, end = read_hours(limits.hours)
    return f"Rounds begin from {begin:%H:%M} to {end:%H:%M}, this machine's time. {bound}"


def _masks(limits: FederationLimits) -> str:
    if limits.require_secure_sum:
        return (
            "An update leaves only masked, into a sum over at least "
            f"{limits.min_sites} sites; nobody sees it alone."
        )
    return (
        "An update may leave unmasked. In a secure sum it takes part only with at least "
        f"{limits.min_sites} sites."
    )


def _losses(privacy: PrivacyTable) -> str:
    if privacy.share_loss:
        return "The mean loss of a round leaves with its update; no noise protects it."
    return "Losses stay at this site."


def _noise(limits: FederationLimits) -> str:
    said = [_NOISE[limits.noise]]
    if limits.min_noise_multiplier > 0:
        said.append(f"The noise multiplier is at least {limits.min_noise_multiplier:g}.")
    else:
        said.append("No least noise is asked for: the budget alone decides.")
    if limits.noise != "local":
        said.append(
            f"The plan must allow for {limits.min_colluding_sites} of the other sites adding none."
        )
    return " ".join(said)


def _bases(limits: FederationLimits) -> str:
    if not limits.bases:
        return "Any base that this site holds may be tuned."
    return f"Only the bases {', '.join(base[:12] for base in limits.bases)} may be tuned."


def _tuning(limits: FederationLimits) -> str:
    return (
        f"Clipping norm up to {limits.max_clip_norm:g}, {limits.max_steps_per_round:,} steps a "
        f"round, learning rate up to {limits.max_learning_rate:g}, adapters up to rank "
        f"{limits.max_adapter_rank}."
    )
