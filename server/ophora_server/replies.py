"""The replies of one round: taken as they come, verified, added up, and what they state of privacy.

Data path: requests -> poll until all are there or the round's time is over -> verify, keep the
ledger's receipt -> running mean. What a site states of its patients' epsilon is its ledger's
figure, which the coordinator can't check; it is carried into the release.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ophora_model.update import Shapes, Update, tensors_digest
from ophora_server.aggregation import Aggregate, verify_update
from ophora_server.errors import QuorumMissed, ReceiptRefused, UpdateRejected
from ophora_server.federation_settings import QuorumSettings
from ophora_server.receipts import ReceiptBook
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import REFUSED, RoundEntry
from ophora_server.site_link import SiteLink, SiteReply

_POLL_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One round's mean and who is in it, by code in order."""

    mean: Update
    accepted: tuple[str, ...]


def gather(
    link: SiteLink,
    run: RunFolder,
    entry: RoundEntry,
    requests: Mapping[str, str],
    *,
    number: int,
    quorum: QuorumSettings,
    mean: Aggregate,
    shapes: Shapes,
) -> Gathered:
    """Take replies to `requests` (request to site code) until enough are there or time is over.

    Raises QuorumMissed where fewer than `quorum.min_sites` updates hold, or too few for `mean`.
    """
    receipts = ReceiptBook(folder=run.receipts)
    accepted: list[str] = []
    pending = dict(requests)
    deadline = time.monotonic() + quorum.round_s
    enough = quorum.enough_updates or len(requests)
    while pending and mean.num_updates < enough and time.monotonic() < deadline:
        for request in list(pending):
            reply = link.poll(request)
            if reply is None:
                continue
            site = pending.pop(request)
            values = _take(site, reply, mean, receipts, quorum.max_update_norm, shapes, entry)
            if values["code"] == "ok":
                accepted.append(site)
            run.record("reply", round=number, site=site, bytes=reply.num_bytes, **values)
            del reply  # or the next one would come into memory beside it
        if pending and mean.num_updates < enough:
            time.sleep(_POLL_S)
    for site in pending.values():
        entry.take(site, "late", arrived=False)
        run.record("reply", round=number, site=site, bytes=0, code="late")
    if mean.num_updates < quorum.min_sites:
        raise QuorumMissed(
            f"round {number}: {mean.num_updates} updates of {quorum.min_sites} needed; "
            "resume when the sites are back"
        )
    try:
        return Gathered(mean=mean.mean(), accepted=tuple(sorted(accepted)))
    except UpdateRejected as error:
        raise QuorumMissed(f"round {number}: {error}") from error


def stated_cost(history: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """Epsilon and delta per patient that hold at every site of all rounds, or two None.

    A ledger's figure counts all that came before, so the last one of each site is its cost; the
    largest of the sites' counts, since a patient is taken to be at one of them. One site without a
    finite figure, or a round of before they were kept, leaves no statement.
    """
    last: dict[str, Mapping[str, float | None]] = {}
    for entry in history:
        stated = entry.get("stated", {})
        last.update({site: stated.get(site, {}) for site in entry["sites"]})
    costs = [(each.get("epsilon"), each.get("delta")) for each in last.values()]
    epsilons = [epsilon for epsilon, _ in costs if epsilon is not None]
    deltas = [delta for _, delta in costs if delta is not None]
    if not costs or not len(epsilons) == len(deltas) == len(costs):
        return None, None
    return max(epsilons), max(deltas)


def _take(
    site: str,
    reply: SiteReply,
    mean: Aggregate,
    receipts: ReceiptBook,
    max_norm: float,
    shapes: Shapes,
    entry: RoundEntry,
) -> dict[str, Any]:
    """Verify, enter and add one reply; what is wrong with it costs this site's update alone."""
    code = reply.code
    if code == "ok":
        try:
            verified = verify_update(reply.tensors, shapes=shapes, max_norm=max_norm)
            receipts.take(site, reply.receipt)
        except UpdateRejected:
            code = "rejected"  # the reason may hold names that the site chose
        except ReceiptRefused:
            code = "ledger"
    if code != "ok":
        entry.take(site, code, num_bytes=reply.num_bytes)
        return {"code": code}
    values = {"update_norm": verified.l2_norm, **reply.metrics}
    digest = tensors_digest(reply.tensors)
    counts = entry.take(site, "ok", num_bytes=reply.num_bytes, update_digest=digest, metrics=values)
    if not counts:
        return {"code": REFUSED}
    mean.add(verified)
    return {"code": "ok", **values}
