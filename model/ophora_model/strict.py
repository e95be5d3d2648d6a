"""Strict reading of mappings that come from a file or a wire into frozen dataclasses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ophora_model.errors import PlanInvalid


def check_keys(what: str, given: Mapping[str, Any], wanted: tuple[str, ...]) -> None:
    """Raises `PlanInvalid` that names the first unknown or missing key, or what is no table."""
    if not isinstance(given, Mapping):
        raise PlanInvalid(f"{what}={given!r}: must be a table with {', '.join(wanted)}")
    for key in given:
        if key not in wanted:
            raise PlanInvalid(
                f"{what}.{key}={given[key]!r}: unknown key; allowed: {', '.join(wanted)}"
            )
    for key in wanted:
        if key not in given:
            raise PlanInvalid(f"{what}.{key}: missing; a {what} has: {', '.join(wanted)}")


def check_number(
    name: str, value: object, *, low: float, high: float = math.inf, low_open: bool = False
) -> None:
    """Raises `PlanInvalid` unless `value` is a finite number within the bounds."""
    edge = "(" if low_open else "["
    allowed = f"{edge}{low}, {high}]"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PlanInvalid(f"{name}={value!r}: must be a finite number in {allowed}")
    if value < low or value > high or (low_open and value == low):
        raise PlanInvalid(f"{name}={value!r}: must be in {allowed}")


def check_whole(name: str, value: object, *, low: int, high: int = 2**31) -> None:
    """Raises `PlanInvalid` unless `value` is a whole number within the bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise PlanInvalid(f"{name}={value!r}: must be a whole number in [{low}, {high}]")


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raises `PlanInvalid` unless `value` is one of `allowed`."""
    if value not in allowed:
        raise PlanInvalid(f"{name}={value!r}: unknown; allowed: {', '.join(allowed)}")
