"""What one round asks of a site, as one frozen value that crosses the wire as JSON.

The coordinator announces it; the site compares it with its policy before anything is spent. It
holds no path, no code and no weights.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.errors import PlanInvalid
from ophora_model.presets import PRESET_NAMES
from ophora_model.strict import check_choice, check_keys, check_number, check_whole

if TYPE_CHECKING:
    from ophora_model.timesteps import Interval

Stage = Literal["tpt", "p2ft"]
STAGES: tuple[Stage, ...] = ("tpt", "p2ft")
OPTIMIZERS = ("adamw", "sgd")
RUN_ID = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")
LOCAL_NOISE: tuple[Mapping[str, Any], ...] = ({"kind": "local-noise"},)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPlan:
    """How a site tunes in one round; steps and batch are the privacy plan's.

    The paper's AdamW has betas 0.9 and 0.95 and a weight decay of 1e-3. With `timestep_intervals`
    above 1 the timesteps are parted and a round deals one part to each site, as the paper deals one
    to each GPU (section 3.2). With an `average_decay` above 0 a site's update ends at the average
    of its iterates, which forgets at that rate: less of the privacy noise, at no cost. A `proximal`
    above 0 pulls each step back to the adapter that was sent (FedProx, Li et al. 2020): for sites
    that differ much or take many steps. `optimizer` "sgd" takes plain steps: with one step a
    patient and distributed noise a site gives gradients, and the coordinator's optimizer steps.
    """

    learning_rate: float
    warmup_steps: int
    beta1: float
    beta2: float
    weight_decay: float
    caption_dropout: float
    gradient_checkpointing: bool
    timestep_intervals: int = 1
    average_decay: float = 0.0
    proximal: float = 0.0
    optimizer: str = "adamw"

    def __post_init__(self) -> None:
        check_number("tuning.average_decay", self.average_decay, low=0, high=0.9999)
        check_choice("tuning.optimizer", self.optimizer, OPTIMIZERS)
        check_number("tuning.proximal", self.proximal, low=0, high=1000)
        check_number("tuning.learning_rate", self.learning_rate, low=0, high=1, low_open=True)
        check_whole("tuning.warmup_steps", self.warmup_steps, low=0)
        check_number("tuning.beta1", self.beta1, low=0, high=0.9999)
        check_number("tuning.beta2", self.beta2, low=0, high=0.99999)
        check_number("tuning.weight_decay", self.weight_decay, low=0, high=1)
        check_number("tuning.caption_dropout", self.caption_dropout, low=0, high=1)
        check_whole("tuning.timestep_intervals", self.timestep_intervals, low=1, high=1000)
        if not isinstance(self.gradient_checkpointing, bool):
            raise PlanInvalid(
                f"tuning.gradient_checkpointing={self.gradient_checkpointing!r}: true or false"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> TuningPlan:
        """The reverse of `to_dict`; refuses unknown keys, and missing ones without a default."""
        usual = {
            "timestep_intervals": 1,
            "average_decay": 0.0,
            "proximal": 0.0,
            "optimizer": "adamw",
        }
        filled = {**usual, **given} if isinstance(given, Mapping) else given
        check_keys("tuning", filled, tuple(field.name for field in fields(cls)))
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """Stage, round, base, adapter, tuning and privacy of one round.

    `privacy` is `ophora_privacy.plan.PrivacyPlan.to_dict()` and `features` is
    `ophora_privacy.features.Features.to_list()`: the site reads them with those classes.
    `interval` is the part of the timesteps that this site tunes on in this round, as (index, count)
    with the count of `tuning.timestep_intervals`; None where that is 1. It is the same whatever the
    patients are, so that it costs no privacy.
    """

    run_id: str
    stage: Stage
    round: int
    preset: str
    base_fingerprint: str
    adapter: AdapterSpec
    tuning: TuningPlan
    privacy: Mapping[str, Any]
    code_version: str
    features: tuple[Mapping[str, Any], ...] = LOCAL_NOISE
    interval: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not RUN_ID.fullmatch(self.run_id):
            raise PlanInvalid("run_id: must be 1 to 64 of a-z, 0-9 and . _ + - ")
        check_choice("stage", self.stage, STAGES)
        check_whole("round", self.round, low=1)
        check_choice("preset", self.preset, PRESET_NAMES)
        if not all(isinstance(feature, Mapping) for feature in self.features):
            raise PlanInvalid("features: must be tables")
        _check_interval(self.interval, self.tuning.timestep_intervals)

    def timestep_interval(self) -> Interval:
        """The part of the timesteps that this site draws from."""
        from ophora_model.timesteps import WHOLE, Interval

        if self.interval is None:
            return WHOLE
        index, count = self.interval
        return Interval(index=index, count=count)

    def to_json(self) -> str:
        """One line, keys sorted."""
        return json.dumps(self._values(), sort_keys=True, allow_nan=False)

    def digest(self) -> str:
        """SHA-256, in hex, of what all sites of the round are asked: all but the interval."""
        values = {**self._values(), "interval": None}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def _values(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["adapter"] = self.adapter.to_dict()
        values["tuning"] = self.tuning.to_dict()
        values["privacy"] = dict(self.privacy)
        values["features"] = [dict(feature) for feature in self.features]
        return values

    @classmethod
    def from_json(cls, text: str) -> RoundPlan:
        """The reverse of `to_json`. Raises `PlanInvalid` on anything else."""
        try:
            given = json.loads(text)
        except ValueError as error:
            raise PlanInvalid("round plan: not JSON; update the coordinator") from error
        if not isinstance(given, dict):
            raise PlanInvalid("round plan: must be one JSON object")
        check_keys("plan", given, tuple(field.name for field in fields(cls)))
        adapter, tuning, interval = given["adapter"], given["tuning"], given["interval"]
        features = given["features"]
        if not isinstance(features, list):
            raise PlanInvalid(f"features={features!r}: must be a list")
        return cls(
            **{
                **given,
                "adapter": AdapterSpec.from_dict(adapter),
                "tuning": TuningPlan.from_dict(tuning),
                "features": tuple(features),
                "interval": tuple(interval) if isinstance(interval, list) else interval,
            }
        )


def deal_interval(tuning: TuningPlan, *, round: int, place: int) -> tuple[int, int] | None:
    """The interval of the site at `place` (from 0, among those of a round) in this round.

    As many sites as intervals cover every timestep in one round, fewer in as many rounds as there
    are intervals at most; a site that is always there gets each interval in turn.
    """
    count = tuning.timestep_intervals
    return None if count == 1 else ((place + round - 1) % count, count)


def _check_interval(interval: object, count: int) -> None:
    if interval is None and count == 1:
        return
    if not isinstance(interval, tuple) or len(interval) != 2 or count == 1:
        raise PlanInvalid(
            f"interval={interval!r}: must be (index, count) for timestep_intervals={count},"
            " and none for 1"
        )
    check_whole("interval.index", interval[0], low=0, high=count - 1)
    check_whole("interval.count", interval[1], low=count, high=count)
