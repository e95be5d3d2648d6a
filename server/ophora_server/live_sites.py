"""Which sites are online, as the process that runs the rounds sees it, for others to read.

    SiteLink.sites -> WatchedLink -> RUN/live.json -> whoever serves metrics

Only the process with Flower's grid knows who is connected, and it ends with the rounds; the note is
a file so that a page or a scraper in another process has it. It is no record: a lost one costs
nothing.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

from ophora_model.draft import write_whole
from ophora_model.update import Tensors
from ophora_server.site_link import SiteLink, SiteReply

FILE = "live.json"
STALE_S = 120.0
_EVERY_S = 10.0


def num_live(run: Path, *, now: float | None = None) -> int:
    """How many sites were online when it was last noted; 0 where that is long ago or never was."""
    try:
        noted = json.loads((run / FILE).read_text(encoding="ascii"))
        age_s = (time.time() if now is None else now) - float(noted["time"])
        return int(noted["sites"]) if age_s + _EVERY_S >= 0 and age_s <= STALE_S else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


class WatchedLink:
    """A `SiteLink` that notes who is online, at most every ten seconds unless that changed."""

    def __init__(self, link: SiteLink, run: Path) -> None:
        self._link, self._file = link, run / FILE
        self._noted = (-1, 0.0)  # sites, when

    def sites(self) -> dict[int, str]:
        """The link's own answer."""
        found = self._link.sites()
        self._note(len(found))
        return found

    def send(
        self,
        node: int,
        plan: str,
        tensors: Tensors,
        *,
        ttl_s: float,
        attempt: str = "",
        receipt: str = "",
    ) -> tuple[str, int]:
        """As the link's."""
        return self._link.send(node, plan, tensors, ttl_s=ttl_s, attempt=attempt, receipt=receipt)

    def exchange(
        self, node: int, attempt: str, exchange: str, message: bytes, *, ttl_s: float
    ) -> tuple[str, int]:
        """As the link's."""
        return self._link.exchange(node, attempt, exchange, message, ttl_s=ttl_s)

    def poll(self, request: str) -> SiteReply | None:
        """As the link's; while replies are awaited is when sites come and go."""
        if time.monotonic() - self._noted[1] >= _EVERY_S:
            self.sites()
        return self._link.poll(request)

    def _note(self, num_sites: int) -> None:
        now = time.monotonic()
        if num_sites == self._noted[0] and now - self._noted[1] < _EVERY_S:
            return
        self._noted = (num_sites, now)
        line = json.dumps({"time": round(time.time(), 3), "sites": num_sites})
        with suppress(OSError):  # a full disk is for the rounds to notice
            write_whole(self._file, line.encode())
