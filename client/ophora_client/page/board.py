"""The board: each part of the page, read anew from the site's folder and its trainer.

    SITE -> part(name) -> values of one template

A part that can't be read is a `Trouble`, and the others are shown all the same. Nothing identifies
a patient: counts, codes, digests and settings.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, TypeVar

from ophora_client.errors import ClientError
from ophora_client.page.budget import BudgetReader
from ophora_client.page.kinds import KINDS, REFUSALS
from ophora_client.page.policy_words import policy_words
from ophora_client.page.sent import Sent, read_sent, waiting_runs
from ophora_client.page.standing import count_clips, look_at_membership
from ophora_client.page.trainer_state import look_at_trainer
from ophora_client.page.trouble import SETTINGS, UNREADABLE, Trouble
from ophora_client.site import Site

Found = TypeVar("Found")


class Board:
    """One site's page content. Safe across threads."""

    def __init__(self, site: Site) -> None:
        self.code = site.settings.site.code
        self._site = site  # for its paths: the settings are read anew for every part
        self._budget = BudgetReader()
        self.parts: dict[str, Callable[[], dict[str, Any]]] = {
            "now": self.now,
            "approvals": self.approvals,
            "budget": self.budget,
            "sent": self.sent,
            "kinds": self.kinds,
            "policy": self.policy,
        }

    def now(self) -> dict[str, Any]:
        """Trainer, clips and membership."""
        site, logs = self._site, self._site.logs_dir
        today = datetime.datetime.now(datetime.UTC)
        return {
            "trainer": _read(lambda: look_at_trainer(site.folder, logs)),
            "clips": _read(lambda: count_clips(site.manifest_path)),
            "joined": _read(lambda: look_at_membership(site.authority_path, today)),
        }

    def approvals(self) -> dict[str, Any]:
        """Runs that wait for a person, where the policy asks for one."""
        return {"approvals": _read(self._approvals)}

    def policy(self) -> dict[str, Any]:
        """What the site agrees to."""
        return {"policy": _read(lambda: policy_words(self._opened().settings))}

    def budget(self) -> dict[str, Any]:
        """Spent and left."""
        return {"budget": _read(lambda: self._budget.read(self._opened()))}

    def sent(self) -> dict[str, Any]:
        """The newest messages."""
        return {"sent": self._sent()}

    def sent_before(self, seq: int) -> dict[str, Any]:
        """Older messages than the one of this number."""
        return {**self.sent(), "before": seq}

    def kinds(self) -> dict[str, Any]:
        """What each kind of message holds."""
        return {"kinds": KINDS, "refusals": REFUSALS}

    def plot(self, *, is_narrow: bool) -> bytes | None:
        """The budget's plot as PNG; None where there is nothing to draw."""
        drawn = _read(lambda: self._budget.plot(self._opened(), is_narrow=is_narrow))
        return None if isinstance(drawn, Trouble) else drawn

    def _approvals(self) -> dict[str, Any] | Trouble:
        site = self._opened()
        sent = self._sent()
        if isinstance(sent, Trouble) and sent.is_fault:
            return Trouble(
                said="Which runs wait can't be told: the record of what was sent does not verify.",
                remedy="See below, under what was sent.",
            )
        waiting = waiting_runs(sent, site.approved_runs()) if isinstance(sent, Sent) else []
        return {"is_asked": site.settings.federation.approve_runs, "waiting": waiting}

    def _sent(self) -> Sent | Trouble:
        return _read(lambda: read_sent(self._site.logs_dir))

    def _opened(self) -> Site:
        return Site.open(self._site.folder)


def _read(read: Callable[[], Found]) -> Found | Trouble:
    """What was read; the errors of a folder that somebody harmed become sentences.

    Their texts may hold a path, so none is shown.
    """
    try:
        return read()
    except ClientError:
        return SETTINGS
    except OSError:
        return UNREADABLE
