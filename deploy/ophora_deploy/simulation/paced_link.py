"""The wire to simulated sites: no more requests are out than the workers will soon take.

The simulation runtime keeps every message that is out in memory, with an adapter of its own in it,
and looks through all of them for each site; a SuperLink keeps them on the disk. So requests wait
here, where they share the coordinator's one adapter, until replies make room.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from ophora_model.update import Tensors
from ophora_server.site_link import SiteLink, SiteReply


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    name: str
    node: int
    plan: str
    tensors: Tensors
    ttl_s: float
    attempt: str
    receipt: str

    def text_bytes(self) -> int:
        return sum(len(text.encode()) for text in (self.plan, self.attempt, self.receipt))


class PacedLink:
    """A `SiteLink` over another one, with at most `at_once` requests out.

    A request's bytes are stated when it is accepted: its texts, and the tensors as they were
    counted when they first went out. Its time to live begins when it really goes out.
    """

    def __init__(self, link: SiteLink, *, at_once: int) -> None:
        self._link, self._at_once = link, at_once
        self._waiting: deque[_Request] = deque()
        self._out: dict[str, str] = {}  # name here -> name at the link
        self._num_sent = 0
        self._counted: tuple[Tensors, int] | None = None  # tensors, their bytes

    def sites(self) -> dict[int, str]:
        """The link's own answer."""
        return self._link.sites()

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
        """Send it now or once there is room."""
        if self._counted is None or self._counted[0] is not tensors:
            self._begin_round()
        self._num_sent += 1
        request = _Request(
            name=f"paced-{self._num_sent}",
            node=node,
            plan=plan,
            tensors=tensors,
            ttl_s=ttl_s,
            attempt=attempt,
            receipt=receipt,
        )
        self._waiting.append(request)
        self._go_on()
        assert self._counted is not None  # the first request of a round always goes out
        return request.name, request.text_bytes() + self._counted[1]

    def exchange(
        self, node: int, attempt: str, exchange: str, message: bytes, *, ttl_s: float
    ) -> tuple[str, int]:
        """As the link's."""
        return self._link.exchange(node, attempt, exchange, message, ttl_s=ttl_s)

    def poll(self, request: str) -> SiteReply | None:
        """The reply to one request, once; it makes room for another."""
        name = self._out.get(request)
        if name is None:
            return None
        reply = self._link.poll(name)
        if reply is None:
            return None
        del self._out[request]
        self._go_on()
        if not self._out:
            self._counted = None  # nothing waits either: the round's adapter is not kept
        return replace(reply, request=request)

    def _begin_round(self) -> None:
        """What an earlier round still waited for is late: it is not asked any more."""
        self._waiting.clear()
        self._out.clear()
        self._counted = None

    def _go_on(self) -> None:
        while self._waiting and len(self._out) < self._at_once:
            request = self._waiting.popleft()
            name, num_bytes = self._link.send(
                request.node,
                request.plan,
                request.tensors,
                ttl_s=request.ttl_s,
                attempt=request.attempt,
                receipt=request.receipt,
            )
            self._out[request.name] = name
            if self._counted is None:
                self._counted = (request.tensors, num_bytes - request.text_bytes())
