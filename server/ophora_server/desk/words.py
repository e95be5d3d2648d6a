"""What a site states of its patients' budget, as a person reads it."""

from __future__ import annotations

from ophora_privacy.page.words import figure


def budget(epsilon: float | None, delta: float | None, last_contact: float | None) -> str:
    """What is not known is said in words."""
    if epsilon is None:
        return "not heard from yet" if last_contact is None else "states no bound"
    if delta is None:
        return f"\u03b5 {figure(epsilon)}, \u03b4 not stated"
    # a hyphen and blanks at which no line is broken
    return f"\u03b5\u00a0{figure(epsilon)}, \u03b4\u00a0{figure(delta)}".replace("-", "\u2011")
