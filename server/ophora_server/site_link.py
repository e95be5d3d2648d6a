"""The coordinator's wire to the sites: a small Protocol, and Flower's Grid behind it.

This is the only server module that touches Flower's message API. A request carries the round plan
as one JSON string and the adapter's tensors, or one message of a secure sum; a reply carries a
code, named scalars and, when the code is "ok", the update's tensors or such a message. Bytes are
counted as payload: serialized tensors, their names, and the text and scalars beside them; not
Flower's framing, TLS or heartbeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from ophora_model.update import Tensors

_SCALAR_BYTES = 8
_LONGEST_RECEIPT = 1000
REPLY_METRICS = ("delta", "epsilon", "loss", "seconds", "steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReply:
    """One site's answer, not yet verified.

    `tensors` is empty unless `code` is "ok", and so is `message`, which a secure sum's answers
    have in the place of tensors. `receipt` is that of the site's privacy ledger, as JSON.
    """

    request: str
    code: str
    tensors: Tensors
    metrics: Mapping[str, float]
    num_bytes: int
    message: bytes = b""
    receipt: str = ""


class SiteLink(Protocol):
    """What the rounds need of the wire."""

    def sites(self) -> dict[int, str]:
        """Node id -> site code of the sites that are there now."""
        ...

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
        """Send one request; its id and its payload bytes.

        `attempt` is the secure sum's, if any; `receipt` what is held of the site's ledger.
        """
        ...

    def exchange(
        self, node: int, attempt: str, exchange: str, message: bytes, *, ttl_s: float
    ) -> tuple[str, int]:
        """Send one message of a secure sum; its id and its payload bytes."""
        ...

    def poll(self, request: str) -> SiteReply | None:
        """The reply to one request, once; None while there is none."""
        ...


class GridLink:
    """SiteLink over Flower's Grid. `codes` are the sites that the coordinator registered."""

    def __init__(self, grid: Grid, codes: Mapping[int, str]) -> None:
        self._grid = grid
        self._codes = codes

    def sites(self) -> dict[int, str]:
        """Those online now; a node that nobody registered is not asked."""
        return {
            node: self._codes[node] for node in self._grid.get_node_ids() if node in self._codes
        }

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
        """One train message."""
        arrays = ArrayRecord({name: Array(np.asarray(value)) for name, value in tensors.items()})
        asked = ConfigRecord({"plan": plan, "attempt": attempt, "receipt": receipt})
        content = RecordDict({"plan": asked, "adapter": arrays})
        request = self._push(content, node, "train", ttl_s)
        texts = sum(len(text.encode()) for text in (plan, attempt, receipt))
        return request, _array_bytes(arrays) + texts

    def exchange(
        self, node: int, attempt: str, exchange: str, message: bytes, *, ttl_s: float
    ) -> tuple[str, int]:
        """One query message."""
        asked = ConfigRecord({"attempt": attempt, "exchange": exchange})
        body = ArrayRecord({"message": Array(np.frombuffer(message, np.uint8))})
        content = RecordDict({"exchange": asked, "message": body})
        request = self._push(content, node, "query.secure_sum", ttl_s)
        return request, len(message) + len(attempt.encode()) + len(exchange.encode())

    def _push(self, content: RecordDict, node: int, kind: str, ttl_s: float) -> str:
        message = Message(content, dst_node_id=node, message_type=kind, ttl=ttl_s)
        (request,) = self._grid.push_messages([message])
        return str(request)

    def poll(self, request: str) -> SiteReply | None:
        """Pulled alone, so that one update at a time is in memory."""
        for message in self._grid.pull_messages([request]):
            return _read_reply(request, message)
        return None


def _read_reply(request: str, answer: Message) -> SiteReply:
    """Anything that is not exactly a reply of ours reads as a code, never as an exception."""
    if answer.has_error():
        return _without_update(request, "lost", 0)
    content = answer.content
    status = content.config_records.get("status", ConfigRecord())
    code = status.get("code")
    metrics = _known_scalars(content.metric_records.get("metrics", {}))
    if not isinstance(code, str) or metrics is None:
        return _without_update(request, "malformed", 0)
    arrays = content.array_records.get("update", ArrayRecord())
    receipt = content.config_records.get("receipt", ConfigRecord()).get("receipt", "")
    if not isinstance(receipt, str) or len(receipt) > _LONGEST_RECEIPT:
        return _without_update(request, "malformed", 0)
    num_bytes = _array_bytes(arrays) + len(code.encode()) + _SCALAR_BYTES * len(metrics)
    num_bytes += len(receipt.encode())
    if code != "ok":
        return _without_update(request, _short(code), num_bytes)
    if "secure-sum" in content.array_records:
        message = _message(content.array_records["secure-sum"])
        if message is None or arrays:
            return _without_update(request, "malformed", num_bytes)
        return SiteReply(
            request=request,
            code="ok",
            tensors={},
            metrics=metrics,
            num_bytes=num_bytes + len(message),
            message=message,
            receipt=receipt,
        )
    try:
        tensors = {str(name): array.numpy() for name, array in arrays.items()}
    except Exception:  # bytes that a site chose: numpy's readers fail in a dozen ways on them
        return _without_update(request, "malformed", num_bytes)
    if not all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):  # an .npz reads too
        return _without_update(request, "malformed", num_bytes)
    return SiteReply(
        request=request,
        code="ok",
        tensors=tensors,
        metrics=metrics,
        num_bytes=num_bytes,
        receipt=receipt,
    )


def _message(arrays: ArrayRecord) -> bytes | None:
    """The bytes of a secure sum's message, None where it holds anything else."""
    try:
        body = arrays["message"].numpy()
    except Exception:  # as above: what a site chose
        return None
    is_bytes = len(arrays) == 1 and isinstance(body, np.ndarray) and body.dtype == np.uint8
    return body.tobytes() if is_bytes and body.ndim == 1 else None


def _without_update(request: str, code: str, num_bytes: int) -> SiteReply:
    return SiteReply(request=request, code=code, tensors={}, metrics={}, num_bytes=num_bytes)


def _known_scalars(metrics: Mapping[str, object]) -> dict[str, float] | None:
    """The metrics as floats; None when one is unknown or no number."""
    values: dict[str, float] = {}
    for name, value in metrics.items():
        if name not in REPLY_METRICS or not isinstance(value, int | float):
            return None
        values[name] = float(value)
    return values


def _short(code: str) -> str:
    """A code is a word; anything longer or odd is not written to a log."""
    plain = len(code) <= 32 and code.replace("-", "").isalnum() and code.isascii()
    return code if plain else "malformed"


def _array_bytes(arrays: ArrayRecord) -> int:
    return sum(len(array.data) + len(str(name).encode()) for name, array in arrays.items())
