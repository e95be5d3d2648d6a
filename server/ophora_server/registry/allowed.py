"""What may be written into the registry: ids, counts, digests, and nothing that reads as a text.

Every value passes here before a transaction begins. What came from a site is not repeated in an
error, only its length; no word is longer than 64 characters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ophora_model.errors import PlanInvalid
from ophora_model.round_plan import RUN_ID
from ophora_model.strict import check_number, check_whole
from ophora_server.evidence import HASH
from ophora_server.release_policy import SITE_CODE

LONGEST_WORD = 64
LARGEST_COUNT = 2**62
RECEIPT_METRICS = ("delta", "epsilon", "loss", "seconds", "steps", "update_norm")
_REPLY_CODE = re.compile(r"[A-Za-z0-9-]{1,32}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_SETTING = re.compile(r"[A-Za-z0-9._+:-]{0,64}")
_MOST_DEEP = 8


def check_site(value: object) -> None:
    """Raises `PlanInvalid` unless it is a site code."""
    _check("site", value, SITE_CODE, "1 to 32 of a-z 0-9 -, a letter first")


def check_run(value: object, name: str = "run_id") -> None:
    """Raises `PlanInvalid` unless it is the id of a run (or of a federation, or a stage)."""
    _check(name, value, RUN_ID, "1 to 64 of a-z 0-9 . _ + -")


def check_digest(name: str, value: object) -> None:
    """Raises `PlanInvalid` unless it is a SHA-256 in hexadecimal."""
    _check(name, value, HASH, "64 hexadecimal digits")


def check_code(value: object) -> None:
    """Raises `PlanInvalid` unless it is a reply's code."""
    _check("code", value, _REPLY_CODE, "1 to 32 letters, digits or -")


def check_word(name: str, value: object) -> None:
    """Raises `PlanInvalid` unless it is one word of at most 64 characters."""
    _check(name, value, _WORD, "1 to 64 letters, digits or . _ + -")


def check_count(name: str, value: object, *, low: int = 0) -> None:
    """Raises `PlanInvalid` unless it is a whole number that both databases hold."""
    check_whole(name, value, low=low, high=LARGEST_COUNT)


def check_metrics(
    what: str, metrics: Mapping[str, float | None], allowed: tuple[str, ...] = ()
) -> None:
    """Raises `PlanInvalid` on another name than those `allowed`, or a value that is not finite.

    None stands for a value that is infinite or missing. Without `allowed` a name is one word.
    """
    if len(metrics) > LONGEST_WORD:
        raise PlanInvalid(f"{what}: {len(metrics)} values; at most {LONGEST_WORD}")
    for name, value in metrics.items():
        _check(f"{what} name", name, _NAME, "1 to 64 of a-z 0-9 _ . -, a letter first")
        if allowed and name not in allowed:
            raise PlanInvalid(f"{what}: an unknown name; allowed: {', '.join(allowed)}")
        if value is not None:
            check_number(f"{what}.{name}", value, low=-math.inf)


def check_document(name: str, value: object, depth: int = 0) -> None:
    """Raises `PlanInvalid` unless it is JSON of numbers and short words: no path, no sentence."""
    if depth > _MOST_DEEP:
        raise PlanInvalid(f"{name}: nested more than {_MOST_DEEP} deep; leave that part out")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check(f"{name} key", key, _NAME, "1 to 64 of a-z 0-9 _ . -, a letter first")
            check_document(f"{name}.{key}", item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            check_document(name, item, depth + 1)
    elif isinstance(value, str):
        _check(name, value, _SETTING, "up to 64 letters, digits or . _ + : -, no path or text")
    elif not (value is None or isinstance(value, bool)):
        check_number(name, value, low=-math.inf)


def plain(value: Any) -> Any:
    """The document as JSON gives it back: tables are dicts, sequences are lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _check(name: str, value: object, pattern: re.Pattern[str], words: str) -> None:
    if not isinstance(value, str):
        raise PlanInvalid(f"{name}={type(value).__name__}: must be {words}")
    if not pattern.fullmatch(value):
        raise PlanInvalid(f"{name}=({len(value)} characters): must be {words}")
