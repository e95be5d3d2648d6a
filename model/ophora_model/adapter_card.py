"""Adapter cards: what an adapter file says of itself beside the tensors.

One JSON value in the file's metadata, and the larger part of a release's card. It names no
hospital and no person: contributors are pseudonyms, and every free word is short and plain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.errors import PlanInvalid
from ophora_model.presets import PRESET_NAMES
from ophora_model.strict import check_choice, check_keys, check_number, check_whole

CARD_KEYS = (
    "preset",
    "base_fingerprint",
    "adapter",
    "stage",
    "round",
    "contributors",
    "epsilon",
    "delta",
    "sampler",
    "code_version",
)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterCard:
    """What a file says of itself beside the tensors.

    `seed` draws the frozen factors; None where A is the file's own (a merge over different seeds).
    `contributors` are pseudonyms. `epsilon` and `delta` are per patient, both None where no
    guarantee is stated. `sampler` is `SamplerRecord.to_dict()` of the videos it was judged by, or
    empty.
    """

    preset: str
    base_fingerprint: str
    targets: tuple[str, ...]
    rank: int
    alpha: float
    seed: int | None
    stage: str
    round: int
    contributors: tuple[str, ...] = ()
    epsilon: float | None = None
    delta: float | None = None
    sampler: Mapping[str, Any] = field(default_factory=dict)
    code_version: str

    def __post_init__(self) -> None:
        check_choice("preset", self.preset, PRESET_NAMES)
        if not _HASH.fullmatch(str(self.base_fingerprint)):
            raise PlanInvalid("base_fingerprint: must be 64 hexadecimal digits, a SHA-256")
        self.spec()
        check_whole("round", self.round, low=0)
        for name, word in (("stage", self.stage), ("code_version", self.code_version)):
            _check_word(name, word)
        for contributor in self.contributors:
            _check_word("contributors", contributor)
        if len(set(self.contributors)) != len(self.contributors):
            raise PlanInvalid("contributors: one is named twice; name each once")
        if (self.epsilon is None) != (self.delta is None):
            raise PlanInvalid(
                f"epsilon={self.epsilon!r}, delta={self.delta!r}: give both or neither"
            )
        if self.epsilon is not None:
            check_number("epsilon", self.epsilon, low=0)
            check_number("delta", self.delta, low=0, high=1)
        _check_sampler(self.sampler)

    def spec(self) -> AdapterSpec:
        """As an `AdapterSpec`; its seed is 0 where the card has none."""
        return AdapterSpec(
            rank=self.rank,
            alpha=self.alpha,
            targets=self.targets,
            seed=0 if self.seed is None else self.seed,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "preset": self.preset,
            "base_fingerprint": self.base_fingerprint,
            "adapter": {**self.spec().to_dict(), "seed": self.seed},
            "stage": self.stage,
            "round": self.round,
            "contributors": list(self.contributors),
            "epsilon": self.epsilon,
            "delta": self.delta,
            "sampler": dict(self.sampler),
            "code_version": self.code_version,
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> AdapterCard:
        """The reverse of `to_dict`. Raises `PlanInvalid` or `AdapterMismatch`."""
        check_keys("card", given, CARD_KEYS)
        flat = dict(given)
        adapter, contributors = flat.pop("adapter"), flat["contributors"]
        check_keys("adapter", adapter, ("rank", "alpha", "targets", "seed"))
        drawn = adapter["seed"] is not None
        spec = AdapterSpec.from_dict(adapter if drawn else {**adapter, "seed": 0})
        if not isinstance(contributors, list):
            raise PlanInvalid(f"contributors={contributors!r}: must be a list of pseudonyms")
        return cls(
            **{**flat, "contributors": tuple(contributors)},
            rank=spec.rank,
            alpha=spec.alpha,
            targets=spec.targets,
            seed=spec.seed if drawn else None,
        )


def _check_word(name: str, value: object) -> None:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise PlanInvalid(
            f"{name}={value!r}: must be 1 to 64 of letters, digits and . _ + -, a letter or digit"
            " first"
        )


def _check_sampler(sampler: object) -> None:
    if not isinstance(sampler, Mapping):
        raise PlanInvalid(f"sampler={sampler!r}: must be a table")
    for key, value in sampler.items():
        _check_word("sampler", key)
        if not isinstance(value, bool):
            check_number(f"sampler.{key}", value, low=-math.inf)
