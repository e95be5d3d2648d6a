"""What a site agrees to, and the comparison of a round plan with it, before anything is spent.

The limits are the site's own `policy.toml`, which the hospital keeps; the coordinator can't change
them. A plan outside them is declined with a code; the details stay in the site's log.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

from ophora_client.errors import Declined, SiteInvalid
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.round_plan import STAGES, RoundPlan
from ophora_privacy.features import DistributedNoise, Features, LocalNoise
from ophora_privacy.plan import PrivacyPlan
from ophora_privacy.secure_sum import Roster

_BASE = re.compile(r"[0-9a-f]{8,64}")
_HOURS = re.compile(r"\d\d:\d\d-\d\d:\d\d")
NOISES = ("local", "distributed", "both")
_POSITIVE = (
    "max_clip_norm",
    "max_steps_per_round",
    "max_learning_rate",
    "max_adapter_rank",
    "max_round_s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationLimits:
    """Bounds on what a coordinator may ask. `max_round_s` ends a round that doesn't come back.

    `noise` is how it may come in: this site's own on its update ("local"), shares of it that only
    the sum over several sites carries ("distributed"), or either ("both"). With distributed noise
    the plan must count on at least `min_colluding_sites` of the others adding none. With
    `require_secure_sum` no update leaves but masked, into a sum over at least `min_sites`.

    `bases` are the first digits of allowed base fingerprints, none for any that the site holds.
    `max_epsilon_per_round` bounds a round by itself, beside the cap for life. `hours` is when
    rounds may begin, as "20:00-06:00" in the site's time, "" for always. With `approve_runs` a
    person at the site names each run that may take part (`ophora site approve-run`).
    """

    stages: tuple[str, ...] = ("tpt", "p2ft")
    min_noise_multiplier: float = 0.0
    max_clip_norm: float = 10.0
    max_steps_per_round: int = 10_000
    max_learning_rate: float = 0.1
    max_adapter_rank: int = 256
    max_round_s: float = 6 * 3600.0
    noise: str = "local"
    min_colluding_sites: int = 1
    require_secure_sum: bool = False
    min_sites: int = 3
    bases: tuple[str, ...] = ()
    max_epsilon_per_round: float = math.inf
    hours: str = ""
    approve_runs: bool = False

    def __post_init__(self) -> None:
        for stage in self.stages:
            if stage not in STAGES:
                raise SiteInvalid(f'stages: "{stage}": must be one of {", ".join(STAGES)}')
        if not 0 <= self.min_noise_multiplier < math.inf:
            raise SiteInvalid(f"min_noise_multiplier={self.min_noise_multiplier}: must be >= 0")
        if self.noise not in NOISES:
            raise SiteInvalid(f'noise="{self.noise}": must be one of {", ".join(NOISES)}')
        if self.min_colluding_sites < 0 or self.min_sites < 3:
            raise SiteInvalid(
                f"min_colluding_sites={self.min_colluding_sites}, min_sites={self.min_sites}:"
                " must be >= 0 and >= 3"
            )
        if not self.max_epsilon_per_round > 0:
            raise SiteInvalid(
                f"max_epsilon_per_round={self.max_epsilon_per_round}: must be > 0, or inf for none"
            )
        for base in self.bases:
            if not _BASE.fullmatch(base):
                raise SiteInvalid(
                    f'bases: "{base}": must be 8 to 64 hexadecimal digits of a base fingerprint;'
                    " `ophora model check` shows it"
                )
        if self.hours:
            read_hours(self.hours)
        for name in _POSITIVE:
            if not 0 < getattr(self, name) < math.inf:
                raise SiteInvalid(f"{name}={getattr(self, name)}: must be > 0 and finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePolicy:
    """Everything at this site that a round plan is held against.

    `approved_runs` are those that a person at the site has named.
    """

    site: str
    preset: str
    base_folder: Path | None
    epsilon_cap: float
    delta: float
    share_loss: bool
    limits: FederationLimits
    approved_runs: frozenset[str] = frozenset()


def read_hours(text: str) -> tuple[datetime.time, datetime.time]:
    """Begin and end of "20:00-06:00". Raises SiteInvalid."""
    try:
        if not _HOURS.fullmatch(text):
            raise ValueError
        begin, end = (datetime.time.fromisoformat(part) for part in text.split("-"))
    except ValueError as error:
        raise SiteInvalid(f'hours="{text}": must be as "20:00-06:00", or "" for always') from error
    return begin, end


def is_within(hours: str, now: datetime.time) -> bool:
    """Whether `now` is in `hours`, which may pass midnight; always for "" and for equal ends."""
    if not hours:
        return True
    begin, end = read_hours(hours)
    if begin < end:
        return begin <= now < end
    return now >= begin or now < end


def check_plan(
    plan: RoundPlan,
    privacy: PrivacyPlan,
    policy: SitePolicy,
    *,
    features: Features,
    roster: Roster | None,
    base_fingerprint: str,
    code_version: str,
) -> None:
    """Raises Declined with the code of the first thing that the site doesn't agree to.

    `roster` is the one that the site has pinned, None where it has none.
    """
    limits = policy.limits
    if plan.code_version != code_version:
        raise Declined("version", f"plan {plan.code_version}, site {code_version}")
    if limits.approve_runs and plan.run_id not in policy.approved_runs:
        raise Declined("approval", f"run {plan.run_id}: `ophora site approve-run` lets it in")
    if not is_within(limits.hours, datetime.datetime.now().time()):
        raise Declined("hours", f"rounds begin in {limits.hours} only")
    if plan.preset != policy.preset:
        raise Declined("preset", f"plan {plan.preset}, site {policy.preset}")
    if plan.base_fingerprint != base_fingerprint:
        raise Declined("base", "the plan names other base weights than the site holds")
    if limits.bases and not plan.base_fingerprint.startswith(limits.bases):
        raise Declined("base", "the base is not one of those in policy.toml")
    if plan.stage not in limits.stages:
        raise Declined("stage", f"{plan.stage}: the site takes part in {', '.join(limits.stages)}")
    _check_adapter(plan.adapter, limits)
    if plan.tuning.learning_rate > limits.max_learning_rate:
        raise Declined("tuning", f"learning_rate={plan.tuning.learning_rate}")
    _check_privacy(privacy, policy)
    _check_cost(features, privacy, policy)
    _check_noise(features, limits)
    _check_secure_sum(features, limits, roster)


def _check_adapter(spec: AdapterSpec, limits: FederationLimits) -> None:
    if spec.rank > limits.max_adapter_rank:
        raise Declined("adapter", f"rank={spec.rank}: at most {limits.max_adapter_rank}")


def _check_privacy(privacy: PrivacyPlan, policy: SitePolicy) -> None:
    limits = policy.limits
    if privacy.noise_multiplier < limits.min_noise_multiplier:
        raise Declined("privacy", f"noise_multiplier={privacy.noise_multiplier}: too little")
    if privacy.clip_norm > limits.max_clip_norm:
        raise Declined("privacy", f"clip_norm={privacy.clip_norm}: too large")
    if privacy.steps_per_round > limits.max_steps_per_round:
        raise Declined("privacy", f"steps_per_round={privacy.steps_per_round}: too many")
    if privacy.delta > policy.delta:
        raise Declined("privacy", f"delta={privacy.delta}: the site's is {policy.delta}")


def _check_cost(features: Features, privacy: PrivacyPlan, policy: SitePolicy) -> None:
    """What this round alone costs a patient; what all cost together is the ledger's to say."""
    most = policy.limits.max_epsilon_per_round
    if math.isinf(most):
        return
    from ophora_privacy.accountant import epsilon_of

    shared, event = features.accounted(privacy), privacy.event()
    if shared is not None:
        event = replace(event, noise_multiplier=shared.noise_multiplier)
    cost = epsilon_of([event], policy.delta).value
    if not cost <= most:
        raise Declined("privacy", f"epsilon={cost:.3g} for this round alone: at most {most:g}")


def _check_noise(features: Features, limits: FederationLimits) -> None:
    match features.noise:
        case LocalNoise() if limits.noise == "distributed":
            raise Declined("privacy", "local noise: the site takes distributed noise only")
        case DistributedNoise() if limits.noise == "local":
            raise Declined("privacy", "distributed noise: the site takes local noise only")
        case DistributedNoise(steps_per_patient=steps) if steps > limits.max_steps_per_round:
            raise Declined("privacy", f"steps_per_patient={steps}: too many")
        case DistributedNoise(colluding_sites=sites) if sites < limits.min_colluding_sites:
            raise Declined("privacy", f"colluding_sites={sites}: too few")
        case _:
            pass


def _check_secure_sum(features: Features, limits: FederationLimits, roster: Roster | None) -> None:
    secure = features.secure
    if secure is None:
        if limits.require_secure_sum:
            raise Declined("secure-sum", "the site sends no update but in a secure sum")
        return
    if secure.min_sites < limits.min_sites:
        raise Declined("secure-sum", f"min_sites={secure.min_sites}: too few")
    if roster is None:
        raise Declined("secure-sum", "no roster pinned: run `ophora site pin-roster`")
    if secure.roster_digest != roster.digest() or secure.max_sites != len(roster):
        raise Declined("secure-sum", "the round has another roster than the site has pinned")
