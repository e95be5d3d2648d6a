"""What a requester may ask of this host: the offer, and an order checked against it.

fields of a request (JSON or form) -> read_order -> VideoOrder, or InvalidRequest that names the
field, the value and what is allowed. Field names follow the OpenAI videos API; `seed`, `steps` and
`guidance` are this host's own.
"""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from ophora_server.errors import InvalidRequest

MAX_PROMPT_CHARS = 2000
MAX_SEED = 2**32 - 1
MAX_STEPS = 200
MAX_GUIDANCE = 20.0

FIELDS = ("prompt", "model", "seconds", "size", "seed", "steps", "guidance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one release can make. A preset has one size and one length, so each is one value.

    `default_steps` and `default_guidance` are used where an order leaves them open.
    """

    model: str
    size: str  # width x height in pixels, such as 720x480
    seconds: str
    fps: float
    frames: int
    default_steps: int
    default_guidance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOrder:
    """One checked request; with a release it names one video exactly, as nothing is left open."""

    prompt: str
    model: str
    seconds: str
    size: str
    seed: int
    steps: int
    guidance: float


def read_order(fields: Mapping[str, object], offer: Offer) -> VideoOrder:
    """Check the fields of a request and fill in what it leaves open (the seed at random)."""
    for name in fields:
        if name not in FIELDS:
            raise InvalidRequest(name, f"{name}: unknown; allowed: {', '.join(FIELDS)}")
    return VideoOrder(
        prompt=check_prompt(fields.get("prompt")),
        model=_one_of(fields, "model", offer.model),
        seconds=_one_of(fields, "seconds", offer.seconds),
        size=_one_of(fields, "size", offer.size),
        seed=_whole(fields, "seed", 0, MAX_SEED, default=secrets.randbelow(2**31)),
        steps=_whole(fields, "steps", 1, MAX_STEPS, default=offer.default_steps),
        guidance=_number(fields, "guidance", 1.0, MAX_GUIDANCE, default=offer.default_guidance),
    )


def check_prompt(value: object) -> str:
    """Return the prompt without surrounding space; its text never appears in an error."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest("prompt", "prompt: must be a text that is not empty")
    prompt = value.strip()
    if len(prompt) > MAX_PROMPT_CHARS:
        raise InvalidRequest(
            "prompt", f"prompt of {len(prompt)} characters: at most {MAX_PROMPT_CHARS}"
        )
    if not prompt.isprintable() and not prompt.replace("\n", " ").replace("\t", " ").isprintable():
        raise InvalidRequest("prompt", "prompt: contains control characters; send plain text")
    return prompt


def _one_of(fields: Mapping[str, object], name: str, only: str) -> str:
    value = fields.get(name)
    if value is None or str(value) == only:
        return only
    raise InvalidRequest(name, f"{name}={_shown(value)}: not offered; allowed: {only}")


def _whole(fields: Mapping[str, object], name: str, low: int, high: int, *, default: int) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
    ):
        number = int(value)
        if low <= number <= high:
            return number
    raise InvalidRequest(
        name, f"{name}={_shown(value)}: must be a whole number from {low} to {high}"
    )


def _number(
    fields: Mapping[str, object], name: str, low: float, high: float, *, default: float
) -> float:
    value = fields.get(name)
    if value is None:
        return default
    number = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
    if low <= number <= high:
        return number
    raise InvalidRequest(name, f"{name}={_shown(value)}: must be a number from {low:g} to {high:g}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
