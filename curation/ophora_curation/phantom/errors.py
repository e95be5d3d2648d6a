"""Errors of the phantom.

CurationError > PhantomError
    InvalidRequest        a setting is out of range; fix it and call again (also a ValueError)
        UnknownPhase      not one of the twelve phase keys
    SpeechUnavailable     the speech synthesiser is not installed or does not start
"""

from __future__ import annotations

from ophora_curation.errors import CurationError
from ophora_curation.phases import PHASES


class PhantomError(CurationError):
    """Whatever the phantom refuses or cannot do."""


class InvalidRequest(PhantomError, ValueError):
    """A setting out of range: the message names it, its value and what is allowed."""


class UnknownPhase(InvalidRequest):
    """A phase key that does not exist."""

    def __init__(self, phase: str) -> None:
        super().__init__(f"phase={phase!r}: must be one of {', '.join(PHASES)}")


class SpeechUnavailable(PhantomError):
    """No speech synthesiser: install the extra `phantom`, or ask for videos without a voice."""
