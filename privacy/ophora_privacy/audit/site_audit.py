"""What a site may say of an audit: rounded aggregates in one closed schema, and nothing else.

    figures -> `SiteAudit` -> `to_dict` (rounded) -> JSON -> `from_dict` (strict) -> coordinator

Rates have two decimals, counts of patients and clips are rounded down to fives, no group has fewer
than five patients, bounds on epsilon are rounded down. There is no score of a clip, no id and no
text. The figures are learned from patients without noise: the ledger's epsilon does not cover them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints

from ophora_privacy.audit.errors import AuditInvalid, GroupTooSmall
from ophora_privacy.audit.membership import MIN_PATIENTS, ROC_RATES, MembershipFigures
from ophora_privacy.audit.one_run import CanaryFigures
from ophora_privacy.audit.replication import ReplicationFigures

Attack = Literal["loss", "pia", "sima"]
Likeness = Literal["content", "motion", "iris"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)
LIKENESSES: tuple[Likeness, ...] = get_args(Likeness)
REASONS = ("few-held-out", "few-trained", "few-irises", "no-canaries", "not-asked")
SCHEMA = 1
_CODE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DECIMALS = 2
_UNBOUNDED = ("epsilon", "epsilon_at_least")
_FINE = ("delta", "confidence")  # agreed constants, not measured: as they are
_STEP = 5
_MOST = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayFigures:
    """In how many of the generated videos a planted code could be read."""

    videos: int
    codes: int
    videos_with_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAudit:
    """One site's audit of one release. A part that was not measured is in `missing` with a code.

    `epsilon` at `delta` is the ledger's. Raises AuditInvalid or GroupTooSmall on anything that the
    schema doesn't allow.
    """

    site: str
    release_sha256: str
    epsilon: float
    delta: float
    membership: Mapping[Attack, MembershipFigures]
    replication: Mapping[Likeness, ReplicationFigures]
    canaries: CanaryFigures | None = None
    overlay: OverlayFigures | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.site, str) or not _CODE.fullmatch(self.site):
            raise AuditInvalid("site: must be a site's code, lower-case letters, digits and -")
        if not isinstance(self.release_sha256, str) or not _SHA256.fullmatch(self.release_sha256):
            raise AuditInvalid("release_sha256: must be 64 hexadecimal digits")
        if not _is_number(self.epsilon, infinite=True) or self.epsilon < 0:
            raise AuditInvalid(f"epsilon={self.epsilon!r}: must be >= 0")
        if not _is_number(self.delta) or not 0 < self.delta < 1:
            raise AuditInvalid(f"delta={self.delta!r}: must be in (0, 1)")
        for name, part, allowed in (
            ("membership", self.membership, ATTACKS),
            ("replication", self.replication, LIKENESSES),
        ):
            for key, figures in part.items():
                if key not in allowed:
                    raise AuditInvalid(f"{name}: unknown key; allowed: {', '.join(allowed)}")
                _check_figures(name, figures)
        for name, single in (("canaries", self.canaries), ("overlay", self.overlay)):
            if single is not None:
                _check_figures(name, single)
        _check_missing(self.missing)

    def to_dict(self) -> dict[str, Any]:
        """What may leave the site; figures are rounded here. JSON-able; infinity is "inf"."""
        return {
            "schema": SCHEMA,
            "site": self.site,
            "release_sha256": self.release_sha256,
            "epsilon": "inf" if math.isinf(self.epsilon) else _rounded("epsilon", self.epsilon),
            "delta": self.delta,
            "membership": {key: _figures_dict(each) for key, each in self.membership.items()},
            "replication": {key: _figures_dict(each) for key, each in self.replication.items()},
            "canaries": None if self.canaries is None else _figures_dict(self.canaries),
            "overlay": None if self.overlay is None else _figures_dict(self.overlay),
            "missing": dict(self.missing),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> SiteAudit:
        """The reverse of `to_dict`; refuses other keys, types and values, and unrounded figures."""
        names = ("schema", *(each.name for each in fields(cls)))
        _check_keys("audit", given, names)
        if given["schema"] != SCHEMA:
            raise AuditInvalid(f"schema={given['schema']!r}: must be {SCHEMA}; update the site")
        epsilon = math.inf if given["epsilon"] == "inf" else given["epsilon"]
        return cls(
            site=given["site"],
            release_sha256=given["release_sha256"],
            epsilon=epsilon,
            delta=given["delta"],
            membership=_tables("membership", given["membership"], MembershipFigures),
            replication=_tables("replication", given["replication"], ReplicationFigures),
            canaries=_single("canaries", given["canaries"], CanaryFigures),
            overlay=_single("overlay", given["overlay"], OverlayFigures),
            missing=_table("missing", given["missing"]),
        )


def _figures_dict(figures: Any) -> dict[str, Any]:
    return {each.name: _rounded(each.name, getattr(figures, each.name)) for each in fields(figures)}


def _rounded(name: str, value: Any) -> Any:
    """As it may leave; rounding what is rounded changes nothing."""
    if isinstance(value, tuple):
        return [_rounded(name, each) for each in value]
    if isinstance(value, int):
        return value // _STEP * _STEP if name.endswith(("_patients", "_clips")) else value
    if name in _FINE:
        return value
    if name == "epsilon_at_least":  # a lower bound stays one
        return math.floor(value * 10**_DECIMALS + 1e-9) / 10**_DECIMALS
    return round(value, _DECIMALS)


def _tables(name: str, given: Any, kind: type) -> dict[Any, Any]:
    return {key: _single(name, value, kind) for key, value in _table(name, given).items()}


def _single(name: str, given: Any, kind: type) -> Any:
    if given is None and name in ("canaries", "overlay"):
        return None
    table = _table(name, given)
    hints = get_type_hints(kind)
    _check_keys(name, table, tuple(hints))
    values = {
        key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
    }
    made = kind(**values)
    _check_figures(name, made)
    for key in hints:
        value = getattr(made, key)
        again = _rounded(key, value)
        if (tuple(again) if isinstance(again, list) else again) != value:
            raise AuditInvalid(f"{name}.{key}: must be rounded as SiteAudit.to_dict does")
    return made


def _table(name: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise AuditInvalid(f"{name}: must be a table")
    return given


def _check_keys(name: str, given: Any, wanted: tuple[str, ...]) -> None:
    table = _table(name, given)
    surplus, missing = set(table) - set(wanted), set(wanted) - set(table)
    if surplus or missing:
        raise AuditInvalid(
            f"{name}: {len(surplus)} unknown keys, {len(missing)} missing; it has exactly"
            f" {', '.join(wanted)}"
        )


def _check_figures(name: str, figures: Any) -> None:
    hints = get_type_hints(type(figures))
    for key, hint in hints.items():
        value = getattr(figures, key)
        if hint is int:
            _check_count(f"{name}.{key}", value)
            if key.endswith("_patients") and value < MIN_PATIENTS:
                raise GroupTooSmall(f"{name}.{key}={value}: must be at least {MIN_PATIENTS}")
        elif hint is float:
            _check_float(f"{name}.{key}", value, high=_MOST if key in _UNBOUNDED else 1.0)
        else:
            length = len(ROC_RATES) if key == "roc" else 2
            if not isinstance(value, tuple) or len(value) != length:
                raise AuditInvalid(f"{name}.{key}: must hold {length} numbers")
            for each in value:
                _check_float(f"{name}.{key}", each, high=1.0)


def _check_count(name: str, value: Any) -> None:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise AuditInvalid(f"{name}: must be a whole number in [0, {_MOST}]")


def _check_float(name: str, value: Any, *, high: float) -> None:
    if not _is_number(value) or not 0 <= value <= high:
        raise AuditInvalid(f"{name}: must be a number in [0, {high:g}]")


def _is_number(value: Any, *, infinite: bool = False) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    return infinite or math.isfinite(value)


def _check_missing(missing: Mapping[str, str]) -> None:
    parts = (*ATTACKS, *LIKENESSES, "canaries", "overlay")
    for part, reason in missing.items():
        if part not in parts or reason not in REASONS:
            raise AuditInvalid(
                f"missing: parts are {', '.join(parts)}, reasons {', '.join(REASONS)}"
            )
