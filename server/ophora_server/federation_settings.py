"""What a run is asked to do: `federation.toml`, parsed once into frozen values.

Unknown and missing keys are refused by name with what is allowed. Nothing here is secret; the sites
see the adapter, tuning and privacy parts in every round plan.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.draft import write_whole
from ophora_model.errors import ModelError
from ophora_model.presets import check_base_folder, find_preset
from ophora_model.round_plan import RUN_ID, STAGES, TuningPlan
from ophora_model.strict import check_choice, check_keys, check_number, check_whole
from ophora_privacy.errors import PrivacyError
from ophora_privacy.features import DistributedNoise, Features, LocalNoise, SecureAggregation
from ophora_privacy.plan import PrivacyPlan
from ophora_privacy.secure_sum import Roster
from ophora_privacy.secure_sum.plan import FEWEST_SITES
from ophora_server.aggregation import AggregationSettings
from ophora_server.errors import InvalidFederation
from ophora_server.server_optimizer import ServerOptimizerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """One stage: how many rounds, and how a site tunes in each of them.

    `stack_rank` 0 goes on training the adapter of the stage before; above 0 that one stays as it is
    and a second one of this rank is trained on top of it.
    """

    name: str
    rounds: int
    tuning: TuningPlan
    privacy: PrivacyPlan
    stack_rank: int = 0

    def __post_init__(self) -> None:
        check_choice("stages.name", self.name, STAGES)
        check_whole("stages.rounds", self.rounds, low=1, high=10_000)
        check_whole("stages.stack_rank", self.stack_rank, low=0, high=1024)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> StageSettings:
        """Strict; `stack_rank` may be left out."""
        filled = {"stack_rank": 0, **given} if isinstance(given, Mapping) else given
        check_keys("stages", filled, tuple(field.name for field in fields(cls)))
        return cls(
            name=given["name"],
            rounds=given["rounds"],
            tuning=TuningPlan.from_dict(given["tuning"]),
            privacy=PrivacyPlan.from_dict(given["privacy"]),
            stack_rank=filled["stack_rank"],
        )

    def to_dict(self) -> dict[str, Any]:
        """The inverse of `from_dict`."""
        return {
            "name": self.name,
            "rounds": self.rounds,
            "stack_rank": self.stack_rank,
            "tuning": self.tuning.to_dict(),
            "privacy": self.privacy.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumSettings:
    """How many sites a round waits for, needs, and for how long.

    A round starts when `expected_sites` are there, or with at least `min_sites` after `wait_s`. It
    ends when all have answered, or `round_s` after it began; it counts with `min_sites` updates of
    an L2 norm of at most `max_update_norm`. With `enough_updates` above 0 it ends once so many are
    in: more sites are asked than needed, and what the slowest spent on the round is lost.
    """

    expected_sites: int
    min_sites: int
    wait_s: float
    round_s: float
    max_update_norm: float
    enough_updates: int = 0

    def __post_init__(self) -> None:
        check_whole("quorum.enough_updates", self.enough_updates, low=0, high=self.expected_sites)
        if 0 < self.enough_updates < self.min_sites:
            raise InvalidFederation(
                f"quorum.enough_updates={self.enough_updates}: must be 0 or >= min_sites"
            )
        check_whole("quorum.expected_sites", self.expected_sites, low=1, high=10_000)
        check_whole("quorum.min_sites", self.min_sites, low=1, high=self.expected_sites)
        check_number("quorum.wait_s", self.wait_s, low=0)
        check_number("quorum.round_s", self.round_s, low=0, low_open=True)
        check_number("quorum.max_update_norm", self.max_update_norm, low=0, low_open=True)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> QuorumSettings:
        """Strict; `enough_updates` may be left out."""
        filled = {"enough_updates": 0, **given} if isinstance(given, Mapping) else given
        check_keys("quorum", filled, tuple(field.name for field in fields(cls)))
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureSumSettings:
    """`[secure_sum]`: rounds whose updates the coordinator sees as a sum only.

    `coordinate_bound` is the most that a site moves one number of the adapter in a round, onto
    which it is projected. Noise is "local" or "distributed"; with distributed noise up to
    `colluding_sites` may add none, and a patient gets `steps_per_patient` local steps.
    """

    coordinate_bound: float = 1.0
    noise: str = "local"
    colluding_sites: int = 1
    steps_per_patient: int = 1
    exchange_s: float = 180.0

    def __post_init__(self) -> None:
        check_number("secure_sum.coordinate_bound", self.coordinate_bound, low=0, low_open=True)
        check_choice("secure_sum.noise", self.noise, ("local", "distributed"))
        check_whole("secure_sum.colluding_sites", self.colluding_sites, low=0, high=10_000)
        check_whole("secure_sum.steps_per_patient", self.steps_per_patient, low=1, high=1000)
        check_number("secure_sum.exchange_s", self.exchange_s, low=0, low_open=True)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> SecureSumSettings:
        """Strict; what is left out has its default."""
        known = tuple(field.name for field in fields(cls))
        filled = {**asdict(cls()), **given} if isinstance(given, Mapping) else given
        check_keys("secure_sum", filled, known)
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationSettings:
    """A whole run. `base_folder` is empty for a preset whose weights are installed.

    Without `secure_sum` the coordinator sees each site's update by itself.
    """

    run_id: str
    preset: str
    base_folder: str
    adapter: AdapterSpec
    quorum: QuorumSettings
    stages: tuple[StageSettings, ...]
    secure_sum: SecureSumSettings | None = None
    aggregation: AggregationSettings = field(default_factory=AggregationSettings)
    server_optimizer: ServerOptimizerSettings = field(default_factory=ServerOptimizerSettings)

    def __post_init__(self) -> None:
        preset = find_preset(self.preset)
        if not RUN_ID.fullmatch(str(self.run_id)):
            raise InvalidFederation(f"run_id={self.run_id!r}: must be 1 to 64 of a-z 0-9 . _ + -")
        if self.base_folder:
            check_base_folder(preset, Path(self.base_folder))
        names = [stage.name for stage in self.stages]
        if not names or sorted(set(names), key=STAGES.index) != names:
            raise InvalidFederation(f"stages={names}: must be some of {list(STAGES)}, in order")
        if self.stages[0].stack_rank:
            raise InvalidFederation(
                f"stages.stack_rank={self.stages[0].stack_rank}: must be 0 in the first stage:"
                " it has nothing to stack on"
            )
        for name in names:
            self.adapter_of(name)
        if self.secure_sum is not None:
            self._check_secure_sum(self.secure_sum)

    def _check_secure_sum(self, secure: SecureSumSettings) -> None:
        if self.aggregation.rule != "mean":
            raise InvalidFederation(
                f'aggregation.rule={self.aggregation.rule!r}: must be "mean" with [secure_sum]:'
                " nobody sees the updates that the others would be held against"
            )
        if self.quorum.min_sites < FEWEST_SITES:
            raise InvalidFederation(
                f"quorum.min_sites={self.quorum.min_sites}: must be >= {FEWEST_SITES} with"
                " [secure_sum]; of fewer, the sum tells each its neighbour's update"
            )
        if secure.noise == "local":
            return
        for stage in self.stages:
            if stage.privacy.steps_per_round != 1 or not stage.privacy.noise_multiplier:
                raise InvalidFederation(
                    f"stages.{stage.name}.privacy: must have steps_per_round=1 and noise with"
                    ' secure_sum.noise="distributed"'
                )

    def adapter_of(self, stage: str) -> AdapterSpec:
        """The adapter that a stage trains: the run's own, or one stacked on that before it."""
        spec = self.adapter
        for each in self.stages:
            if each.stack_rank:
                spec = spec.stacked(each.stack_rank)
            if each.name == stage:
                break
        return spec

    def features(self, roster: Roster | None) -> Features:
        """The protections of every round, as a list; `roster` where there is a secure sum."""
        secure = self.secure_sum
        if secure is None or roster is None:
            return Features(noise=LocalNoise())
        noise = DistributedNoise(
            colluding_sites=secure.colluding_sites, steps_per_patient=secure.steps_per_patient
        )
        return Features(
            noise=LocalNoise() if secure.noise == "local" else noise,
            secure=SecureAggregation(
                coordinate_bound=secure.coordinate_bound,
                min_sites=self.quorum.min_sites,
                max_sites=len(roster),
                roster_digest=roster.digest(),
            ),
        )

    @classmethod
    def read(cls, path: Path) -> FederationSettings:
        """Parse `federation.toml`. Raises InvalidFederation that names the key and the value."""
        try:
            return cls.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise InvalidFederation(f"{path}: not found; write it first") from error
        except OSError as error:
            raise InvalidFederation(f"{path}: can't be read ({type(error).__name__})") from error
        except (ValueError, ModelError, PrivacyError, InvalidFederation, TypeError) as error:
            raise InvalidFederation(f"{path.name}: {error}") from error

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> FederationSettings:
        """Strict; `secure_sum`, `aggregation` and `server_optimizer` may be left out."""
        usual: dict[str, Any] = {"secure_sum": None, "aggregation": {}, "server_optimizer": {}}
        filled = {**usual, **given} if isinstance(given, Mapping) else given
        check_keys("federation", filled, tuple(field.name for field in fields(cls)))
        secure_sum = filled["secure_sum"]
        if not isinstance(given["stages"], list):
            raise InvalidFederation(f"stages={given['stages']!r}: must be tables [[stages]]")
        return cls(
            run_id=given["run_id"],
            preset=given["preset"],
            base_folder=given["base_folder"],
            adapter=AdapterSpec.from_dict(given["adapter"]),
            quorum=QuorumSettings.from_dict(given["quorum"]),
            stages=tuple(StageSettings.from_dict(stage) for stage in given["stages"]),
            secure_sum=None if secure_sum is None else SecureSumSettings.from_dict(secure_sum),
            aggregation=AggregationSettings.from_dict(filled["aggregation"]),
            server_optimizer=ServerOptimizerSettings.from_dict(filled["server_optimizer"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """The inverse of `from_dict`."""
        values = {
            "run_id": self.run_id,
            "preset": self.preset,
            "base_folder": self.base_folder,
            "adapter": self.adapter.to_dict(),
            "quorum": asdict(self.quorum),
            "stages": [stage.to_dict() for stage in self.stages],
        }
        if self.secure_sum is not None:
            values["secure_sum"] = asdict(self.secure_sum)
        values["aggregation"] = asdict(self.aggregation)
        values["server_optimizer"] = asdict(self.server_optimizer)
        return values

    def write(self, path: Path) -> None:
        """As TOML; the file is there whole or not at all."""
        write_whole(path, _to_toml(self.to_dict()).encode())

    def identity(self) -> str:
        """Hash of what a checkpoint depends on; more rounds or another quorum may follow it."""
        parts: dict[str, Any] = {
            "run_id": self.run_id,
            "preset": self.preset,
            "adapter": self.adapter.to_dict(),
        }
        stacked = {stage.name: stage.stack_rank for stage in self.stages if stage.stack_rank}
        if stacked:  # absent otherwise: runs from before stacking go on
            parts["stacked"] = stacked
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _to_toml(values: Mapping[str, Any], prefix: str = "") -> str:
    """Scalars and lists first, then tables; a JSON scalar is a TOML scalar."""
    lines, tables = [], []
    for key, value in values.items():
        if isinstance(value, Mapping):
            tables.append(f"\n[{prefix}{key}]\n{_to_toml(value, f'{prefix}{key}.')}")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for item in value:
                tables.append(f"\n[[{prefix}{key}]]\n{_to_toml(item, f'{prefix}{key}.')}")
        else:
            lines.append(f"{key} = {json.dumps(value)}\n")
    return "".join(lines + tables)
