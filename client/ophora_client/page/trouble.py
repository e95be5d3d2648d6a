"""What can't be shown, in a sentence, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """`said` and `remedy` are words of ours and numbers: no path, no name of a file of patients.

    `is_fault` tells what is broken from what has merely not begun.
    """

    said: str
    remedy: str
    is_fault: bool = True


UNREADABLE = Trouble(
    said="A file of the site's folder can't be read.",
    remedy="Check the disk and that this command runs as the user who runs `ophora site serve`.",
)
SETTINGS = Trouble(
    said="site.toml or policy.toml can't be used, so every round is declined.",
    remedy="`ophora site doctor --site SITE` names the key and what is allowed; correct the file.",
)
