"""Every message that leaves a site is built here, from one closed schema; all else is refused.

A reply holds a code, named scalars, the privacy ledger's receipt, and for the code "ok" float32
tensors with exactly the names and shapes that the coordinator announced; in a round with secure
aggregation, in their place, one message of its protocol, strictly read. No text but these, no key
but those listed, no value that is not a finite number (epsilon alone may be infinite: a site
without noise must say so).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ophora_client.errors import EgressRefused

ALLOWED_METRICS = ("steps", "seconds", "epsilon", "delta")
LOSS = (
    "loss"  # learned from the patients without noise: leaves only where the site's policy says so
)
DECLINE_CODES = (
    "adapter",
    "approval",
    "bad-plan",
    "base",
    "budget",
    "cancelled",
    "hours",
    "internal-error",
    "ledger",
    "no-clips",
    "non-finite",
    "preset",
    "privacy",
    "secure-sum",
    "stage",
    "timeout",
    "trainer-unavailable",
    "tuning",
    "version",
)
EXCHANGES = ("share-keys", "masked-input", "confirm", "unmask")  # of a secure sum, after tuning
_MADE_HERE = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message that may leave. Only this module makes it; `pack` sends nothing else."""

    code: str
    tensors: Mapping[str, NDArray[np.float32]]
    metrics: Mapping[str, float]
    made_by: object
    message: bytes = b""
    receipt: str = ""

    def __post_init__(self) -> None:
        if self.made_by is not _MADE_HERE:
            raise TypeError("an Outgoing message is made by outgoing_update or outgoing_decline")


def outgoing_update(
    tensors: Mapping[str, Any],
    metrics: Mapping[str, Any],
    *,
    announced: Mapping[str, tuple[int, ...]],
    share_loss: bool,
    receipt: str,
) -> Outgoing:
    """A round's update and its scalars. Raises EgressRefused on anything outside the schema."""
    if set(tensors) != set(announced):
        surplus = len(set(tensors) ^ set(announced))
        raise EgressRefused(f"{surplus} tensor names: must be exactly those announced")
    checked = {name: _check_tensor(tensors[name], announced[name]) for name in sorted(announced)}
    values = _check_scalars(metrics, share_loss)
    return Outgoing(
        code="ok",
        tensors=checked,
        metrics=values,
        made_by=_MADE_HERE,
        receipt=_check_receipt(receipt),
    )


def outgoing_advert(
    message: bytes, metrics: Mapping[str, Any], *, share_loss: bool, receipt: str
) -> Outgoing:
    """A round's keys for a secure sum and its scalars; the update itself stays at the site."""
    values = _check_scalars(metrics, share_loss)
    _check_message(message, "tune")
    return Outgoing(
        code="ok",
        tensors={},
        metrics=values,
        made_by=_MADE_HERE,
        message=message,
        receipt=_check_receipt(receipt),
    )


def outgoing_answer(exchange: str, message: bytes) -> Outgoing:
    """The answer to one exchange of a secure sum: a message of the kind that it asks for."""
    _check_message(message, exchange)
    return Outgoing(code="ok", tensors={}, metrics={}, made_by=_MADE_HERE, message=message)


def outgoing_decline(code: str) -> Outgoing:
    """A refusal: one of the listed codes and nothing beside it."""
    if code not in DECLINE_CODES:
        raise EgressRefused("decline code: must be one of DECLINE_CODES")
    return Outgoing(code=code, tensors={}, metrics={}, made_by=_MADE_HERE)


def pack(outgoing: Outgoing) -> Any:
    """The message as Flower's `RecordDict`. Takes only what this module made."""
    from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

    if not isinstance(outgoing, Outgoing):
        raise EgressRefused(f"{type(outgoing).__name__}: build it with outgoing_update first")
    content = RecordDict({"status": ConfigRecord({"code": outgoing.code})})
    if outgoing.receipt:
        content["receipt"] = ConfigRecord({"receipt": outgoing.receipt})
    if outgoing.message:
        # as an array, which Flower cuts in pieces: a masked update is as long as the adapter
        body = np.frombuffer(outgoing.message, np.uint8)
        content["secure-sum"] = ArrayRecord({"message": Array(body)})
        content["metrics"] = MetricRecord(dict(outgoing.metrics))
    elif outgoing.code == "ok":
        arrays = {name: Array(value) for name, value in outgoing.tensors.items()}
        content["update"] = ArrayRecord(arrays)
        content["metrics"] = MetricRecord(dict(outgoing.metrics))
    return content


def _check_tensor(value: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if type(value) is not np.ndarray or value.dtype != np.float32:
        raise EgressRefused("tensor: must be a plain float32 array")
    if value.shape != tuple(shape):
        raise EgressRefused("tensor shape: must be the one announced")
    if not np.isfinite(value).all():
        raise EgressRefused("tensor: must be finite")
    return np.ascontiguousarray(value)


def _check_message(message: Any, exchange: str) -> None:
    from ophora_privacy.errors import MessageRefused
    from ophora_privacy.secure_sum import messages

    kinds: dict[str, type[messages.SiteMessage]] = {
        "tune": messages.KeyAdvert,
        "share-keys": messages.SharedKeys,
        "masked-input": messages.MaskedInput,
        "confirm": messages.Confirmation,
        "unmask": messages.UnmaskShares,
    }
    if exchange not in kinds or type(message) is not bytes:
        raise EgressRefused("secure sum: must be the answer to one of its exchanges")
    try:
        kinds[exchange].from_bytes(message)
    except MessageRefused as error:
        raise EgressRefused(f"secure sum: {error}") from error


def _check_receipt(text: Any) -> str:
    """The receipt of the site's ledger: a head, an epsilon and a delta, and nothing else."""
    from ophora_privacy.errors import InvalidPlan
    from ophora_privacy.ledger_head import LedgerReceipt

    try:
        return LedgerReceipt.from_json(text).to_json()
    except (InvalidPlan, TypeError) as error:
        raise EgressRefused("receipt: must be the ledger's own") from error


def _check_scalars(metrics: Mapping[str, Any], share_loss: bool) -> dict[str, float]:
    allowed = (*ALLOWED_METRICS, LOSS) if share_loss else ALLOWED_METRICS
    return {name: _check_scalar(name, value, allowed) for name, value in metrics.items()}


def _check_scalar(name: str, value: Any, allowed: tuple[str, ...]) -> float:
    if name not in allowed:
        raise EgressRefused(f"metric name: must be one of {', '.join(allowed)}")
    if isinstance(value, bool) or type(value) not in (int, float):
        raise EgressRefused(f"{name}: must be a plain number")
    number = float(value)
    if not math.isfinite(number) and not (name == "epsilon" and number == math.inf):
        raise EgressRefused(f"{name}: must be finite")
    return number
