"""Numbers and states as a person reads them; what is not known is said in words."""

from __future__ import annotations

import datetime
import time

NONE = "\u2013"


def moment(seconds: float | None) -> str:
    """A time of day in UTC."""
    if seconds is None:
        return NONE
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def iso(seconds: float) -> str:
    """The same for machines."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def ago(seconds: float, now: float | None = None) -> str:
    """How long before now."""
    passed = max(0.0, (time.time() if now is None else now) - seconds)
    return "just now" if passed < 10 else f"{duration(passed)} ago"


def duration(seconds: float | None) -> str:
    """In the one or two units that matter."""
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def size(num_bytes: float | None) -> str:
    """In decimal units."""
    if num_bytes is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if num_bytes < 999.5 or unit == "TB":
            break
        num_bytes /= 1000
    return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.3g} {unit}"


def figure(value: float | None) -> str:
    """Three digits."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def short(digest: str | None) -> str:
    """Enough of a digest to tell it from others."""
    return NONE if digest is None else digest[:12]
