"""The closed list of what a log line, a span or a metric may hold, and the seam that keeps it.

Every value passes `allowed` on its way out. A name that is not in FIELDS, or a value that its field
doesn't accept, is refused: it raises where OPHORA_LOG_STRICT is set, as the tests do, and is
replaced by "withheld" everywhere else, so that a slip costs a value and never tells one.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ophora_privacy.errors import FieldRefused

STRICT_VARIABLE = "OPHORA_LOG_STRICT"
WITHHELD = "withheld"
UNLISTED = "unlisted"  # how many values had a name that is not on the list
OTHER = "other"

DECLINED = (
    *("adapter", "approval", "bad-plan", "base", "budget", "cancelled", "hours", "internal-error"),
    *("ledger", "no-clips", "non-finite", "preset", "privacy", "secure-sum", "stage", "timeout"),
    *("trainer-unavailable", "tuning", "version"),
)
DROPPED = ("late", "lost", "malformed", "refused", "rejected")  # by the coordinator
CODES = ("ok", *DECLINED, *DROPPED, "quorum", "site-refused", "package-missing", OTHER)

_LARGEST = 2**62
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_PLACE = re.compile(r"ophora_[a-z_]+(\.[a-z0-9_]+){0,5}:[0-9]{1,6}")

Value = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One listed field; `values` says in words what `accepts` tells."""

    name: str
    meaning: str
    values: str
    accepts: Callable[[object], bool]


def _word(name: str, meaning: str, pattern: str, values: str) -> Field:
    compiled = re.compile(pattern)

    def accepts(value: object) -> bool:
        return type(value) is str and compiled.fullmatch(value) is not None

    return Field(name=name, meaning=meaning, values=values, accepts=accepts)


def _choice(name: str, meaning: str, choices: tuple[str, ...], values: str = "") -> Field:
    def accepts(value: object) -> bool:
        return type(value) is str and value in choices

    return Field(name=name, meaning=meaning, values=values or ", ".join(choices), accepts=accepts)


def _count(name: str, meaning: str) -> Field:
    def accepts(value: object) -> bool:
        return type(value) is int and 0 <= value <= _LARGEST

    return Field(name=name, meaning=meaning, values="a whole number", accepts=accepts)


def _amount(name: str, meaning: str) -> Field:
    def accepts(value: object) -> bool:
        return type(value) in (int, float) and math.isfinite(value) and value >= 0  # type: ignore[arg-type,operator]  # a number by then

    return Field(name=name, meaning=meaning, values="a number from 0 up", accepts=accepts)


_LISTED = (
    _word("run", "id of the run", r"[a-z0-9][a-z0-9._+-]{0,63}", "1 to 64 of a-z 0-9 . _ + -"),
    _count("round", "number of the round, over all stages"),
    _choice("stage", "stage of the round", ("tpt", "p2ft")),
    _word("site", "opaque code of a site", r"[a-z][a-z0-9-]{0,31}", "1 to 32 of a-z 0-9 -"),
    _choice("code", "what came of it, or why not", CODES, "one of the codes below"),
    _choice(
        "exchange",
        "exchange of a secure sum",
        ("tune", "share-keys", "masked-input", "confirm", "unmask"),
    ),
    _count("sites", "how many sites"),
    _count("rounds", "how many rounds"),
    _count("step", "step being taken"),
    _count("steps", "steps of the round"),
    _count("failures", "wrong passwords in a row"),
    _count("port", "port on loopback"),
    _count("bytes", "payload bytes"),
    _amount("seconds", "how long it took"),
    _word("error", "class of an error, not its text", r"[A-Za-z_][A-Za-z0-9_]{0,63}", "a class"),
    _word("where", "line of our code that it came through", _PLACE.pattern, "module:line"),
    _word("video", "id of a generated video", r"video_[0-9a-f]{8,64}", "video_ and hexadecimals"),
    _choice("state", "what a site's trainer does", ("loading", "idle", "tuning")),
    _choice("tier", "tier of clips", ("p2ft", "tpt", "quarantine", "rejected")),
    _choice("status", "what curation made of a video", ("curated", "refused")),
    _choice(
        "kind",
        "what the registry holds",
        ("sites", "runs", "rounds", "receipts", "releases", "audit_log"),
    ),
)  # fmt: skip
FIELDS: Mapping[str, Field] = {field.name: field for field in _LISTED}


def allowed(given: Mapping[str, object]) -> dict[str, Value]:
    """The listed part of `given`. Raises FieldRefused in strict mode, which quotes no value.

    Else a value that its field doesn't accept becomes "withheld", and values whose name is not on
    the list are only counted, as "unlisted": such a name may itself be what must not be told.
    """
    kept: dict[str, Value] = {}
    unlisted = 0
    for name, value in given.items():
        field = FIELDS.get(name)
        if field is None:
            _refuse(name, value, "must be a listed field")
            unlisted += 1
        elif not field.accepts(value):
            _refuse(name, value, f"must be {field.values}")
            kept[name] = WITHHELD
        else:
            kept[name] = value  # type: ignore[assignment]  # what `accepts` lets through
    if unlisted:
        kept[UNLISTED] = unlisted
    return kept


def listed_code(code: str) -> str:
    """A code that another party sent, as the list has it: "other" where it is none of ours."""
    return code if code in CODES else OTHER


def is_strict() -> bool:
    """Whether a refusal raises."""
    return bool(os.environ.get(STRICT_VARIABLE))


def _refuse(name: str, value: object, wanted: str) -> None:
    if is_strict():
        shown = name if _NAME.fullmatch(name) else "(a name)"
        raise FieldRefused(f"{shown}=({type(value).__name__}): {wanted}")
