"""A site's settings: site.toml, parsed once and strictly into frozen values.

A table or key that is not known, and a value of the wrong type or out of range, stops at once and
names the key, the value and what is allowed. Secrets are not in here.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from ophora_client.clip_sources import AuditTable
from ophora_client.errors import SiteInvalid
from ophora_client.policy import FederationLimits
from ophora_client.trace_rule import TracesTable
from ophora_curation.errors import SettingsError
from ophora_curation.execution import ExecutionSettings
from ophora_curation.settings import CurationSettings
from ophora_curation.text.refining import RefineSettings
from ophora_model.errors import ModelError
from ophora_model.presets import check_base_folder, find_preset
from ophora_privacy.errors import PrivacyError
from ophora_privacy.performance import PerformanceSettings

_CODE = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteTable:
    """`[site]`: the opaque code that the federation knows the site by."""

    code: str

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            message = (
                f'code="{self.code}": must be 1 to 32 lower-case letters, digits or "-", '
                "beginning with a letter, and must not be the hospital's name"
            )
            raise SiteInvalid(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyTable:
    """`[privacy]`: the budget per patient for life. `epsilon_cap = inf` is no cap at all."""

    epsilon_cap: float = 8.0
    delta: float = 1e-5
    share_loss: bool = False

    def __post_init__(self) -> None:
        if math.isnan(self.epsilon_cap) or self.epsilon_cap <= 0:
            message = f"epsilon_cap={self.epsilon_cap}: must be > 0, or inf for no cap"
            raise SiteInvalid(message)
        if not 0 < self.delta < 1:
            message = f"delta={self.delta}: must be between 0 and 1"
            raise SiteInvalid(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """`[model]`: the base that this site tunes; `base_folder = ""` is the preset's own source."""

    preset: str = "tiny"
    base_folder: str = ""

    def __post_init__(self) -> None:
        try:
            preset = find_preset(self.preset)
            if self.base_folder:
                check_base_folder(preset, Path(self.base_folder))
        except ModelError as error:
            raise SiteInvalid(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceTable:
    """`[performance]`: how this site computes its gradients; no guarantee depends on it.

    `micro_batch = 0` takes what fits.
    """

    path: str = "auto"
    micro_batch: int = 0
    draws_per_clip: int = 1

    def __post_init__(self) -> None:
        try:
            self.to_settings()
        except PrivacyError as error:
            raise SiteInvalid(str(error)) from error

    def to_settings(self) -> PerformanceSettings:
        """As the tuning takes them."""
        return PerformanceSettings(
            path=self.path,  # type: ignore[arg-type]  # which it checks
            micro_batch=self.micro_batch or None,
            draws_per_clip=self.draws_per_clip,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """Everything in site.toml."""

    site: SiteTable
    curation: CurationSettings = field(default_factory=CurationSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    privacy: PrivacyTable = field(default_factory=PrivacyTable)
    model: ModelTable = field(default_factory=ModelTable)
    federation: FederationLimits = field(default_factory=FederationLimits)
    audit: AuditTable = field(default_factory=AuditTable)
    performance: PerformanceTable = field(default_factory=PerformanceTable)
    traces: TracesTable = field(default_factory=TracesTable)


def parse_settings(text: str, policy: str | None = None) -> SiteSettings:
    """Settings from the text of site.toml and of policy.toml, where there is one.

    The policy's keys may stand in site.toml's table [federation] instead. Raises `SiteInvalid`.
    """
    document = _parse("site.toml", text)
    if policy is not None:
        if "federation" in document:
            raise SiteInvalid("site.toml: [federation] is policy.toml's now; keep it there alone")
        document["federation"] = _parse("policy.toml", policy)
    kinds = get_type_hints(SiteSettings)
    _refuse_unknown("site.toml", document, tuple(kinds), "table")
    if "site" not in document:
        message = 'site.toml: table [site] is missing: add it with code = "..."'
        raise SiteInvalid(message)
    files = {"federation": "policy.toml"} if policy is not None else {}
    return SiteSettings(
        **{
            name: _parse_table(kinds[name], name, table, files.get(name, "site.toml"))
            for name, table in document.items()
        }
    )


def render_settings(code: str, profile: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of a new site.toml: the code, then what differs from the defaults."""
    tables: dict[str, Mapping[str, Any]] = {"site": {"code": code}, **profile}
    lines = ["# Settings of this site. Keys left out have their defaults; unknown keys stop.", ""]
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_render(value)}" for key, value in table.items()]
        lines.append("")
    return "\n".join(lines)


def render_policy(limits: Mapping[str, Any]) -> str:
    """The text of a new policy.toml: what differs from the defaults."""
    lines = [
        "# What a coordinator may ask of this site. The hospital's own; nobody else changes it.",
        "# Keys left out have their defaults; unknown keys stop. docs/site.md explains each.",
        "",
        *(f"{key} = {_render(value)}" for key, value in limits.items()),
    ]
    return "\n".join(lines) + "\n"


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{name} is not valid TOML: {error}"
        raise SiteInvalid(message) from error


def _parse_table(kind: type, name: str, table: object, file: str) -> Any:
    if not isinstance(table, dict):
        message = f"{name}={table!r}: must be a table [{name}]"
        raise SiteInvalid(message)
    hints = get_type_hints(kind)
    _refuse_unknown(file, table, tuple(hints), f"key in [{name}]")
    values = {
        key: _convert(f"{file}: {name}.{key}", value, hints[key]) for key, value in table.items()
    }
    missing = [item.name for item in fields(kind) if item.name not in values and _is_required(item)]
    if missing:
        message = f"{file}: [{name}] lacks {missing[0]}"
        raise SiteInvalid(message)
    try:
        return kind(**values)
    except (SettingsError, SiteInvalid) as error:
        message = f"{file}: [{name}] {error}"
        raise SiteInvalid(message) from error


def _is_required(item: Any) -> bool:
    from dataclasses import MISSING

    return item.default is MISSING and item.default_factory is MISSING


def _refuse_unknown(
    file: str, table: Mapping[str, object], allowed: tuple[str, ...], what: str
) -> None:
    for key, value in table.items():
        if key not in allowed:
            shown = "{...}" if isinstance(value, dict) else repr(value)
            message = f"{file}: unknown {what}: {key} = {shown}: must be one of " + ", ".join(
                allowed
            )
            raise SiteInvalid(message)


def _convert(key: str, value: object, kind: Any) -> object:
    """A TOML value as the field's type; whole numbers are fine where a float is wanted."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        wanted = "a list of strings"
    elif isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    else:
        wanted = {str: "a string", int: "a whole number", float: "a number"}.get(
            kind, "true or false"
        )
    message = f"{key} = {value!r}: must be {wanted}"
    raise SiteInvalid(message)


def _render(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_render(item) for item in value) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
