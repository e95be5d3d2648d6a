"""Checks that settings of every kind share: a value in its range, a word of a choice."""

from dataclasses import fields
from typing import Any

from ophora_curation.errors import SettingsError


def check_range(settings: Any, name: str, low: float, high: float) -> None:
    """Raise `SettingsError` unless the field is a number of its own type within the range."""
    value = getattr(settings, name)
    kind = next(field.type for field in fields(settings) if field.name == name)
    wanted = int if kind in (int, "int") else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted) or not low <= value <= high:
        word = "a whole number" if wanted is int else "a number"
        message = f"{name}={value!r}: must be {word} from {low:g} to {high:g}"
        raise SettingsError(message)


def check_choice(settings: Any, name: str, *allowed: str) -> None:
    """Raise `SettingsError` unless the field is one of the words."""
    value = getattr(settings, name)
    if value not in allowed:
        listed = ", ".join(f'"{word}"' for word in allowed)
        message = f'{name}="{value}": must be one of {listed}'
        raise SettingsError(message)
