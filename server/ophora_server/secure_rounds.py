"""One round's secure sum over the wire: five phases, each with its own bounded wait.

Data path: requests out -> adverts back with the scalars -> four exchanges with the sites that are
left -> the sum, which is all that there is of their updates here -> the noise's half -> the mean.
A site that is late, declines or sends what doesn't hold drops out; too few left give the round up,
and the next attempt starts with new keys. Nothing of an attempt is kept.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ophora_model.update import Shapes, Update
from ophora_privacy.errors import InvalidPlan, MessageRefused, PrivacyError
from ophora_privacy.features import Features
from ophora_privacy.plan import PrivacyPlan
from ophora_privacy.secure_sum import Layout, Roster, SecureSum, SecureSumCoordinator, SecureSumPlan
from ophora_privacy.secure_sum.messages import (
    Confirmation,
    KeyAdvert,
    MaskedInput,
    SharedKeys,
    SiteMessage,
    UnmaskShares,
)
from ophora_server.aggregation import verify_update
from ophora_server.errors import QuorumMissed, ReceiptRefused, UpdateRejected
from ophora_server.receipts import ReceiptBook
from ophora_server.replies import Gathered
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import RoundEntry
from ophora_server.site_link import SiteLink, SiteReply

_POLL_S = 0.25


def new_attempt() -> str:
    """A name that no attempt had before."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureRound:
    """What the coordinator's half of one attempt needs to know."""

    attempt: str
    number: int
    features: Features
    privacy: PrivacyPlan
    shapes: Shapes
    roster: Roster
    context: str
    tune_s: float
    enough: int  # adverts that end the tuning; 0 waits for all
    exchange_s: float
    max_norm: float

    def plan(self) -> SecureSumPlan:
        """The same as every site makes for itself. Raises InvalidPlan."""
        if self.features.secure is None:
            raise InvalidPlan("features: must hold secure-aggregation")
        layout = Layout(tensors=tuple(sorted((n, tuple(s)) for n, s in self.shapes.items())))
        return self.features.secure.plan(
            self.features.noise,
            self.privacy,
            attempt=self.attempt,
            layout=layout,
            context=self.context,
        )


def gather_secure(
    link: SiteLink,
    run: RunFolder,
    entry: RoundEntry,
    requests: Mapping[str, str],
    nodes: Mapping[str, int],
    round: SecureRound,
) -> Gathered:
    """The mean over the survivors of `requests` (request to site code), and who they are.

    Raises QuorumMissed where too few sites are left, with nothing learned of any update.
    """
    exchange = _Exchange(link, run, entry, nodes, round)
    try:
        total = exchange.run(requests)
        mean = _mean(total, round)
        exchange.enter(total.survivors)
    except InvalidPlan:
        raise  # of the settings: no site that comes back mends it
    except MessageRefused as error:
        raise QuorumMissed(
            f"round {round.number}: the secure sum can't be opened ({error}): a site answered with"
            " a wrong share; find it before you resume, since every site tunes and spends anew"
        ) from error
    except PrivacyError as error:
        raise QuorumMissed(
            f"round {round.number}: the secure sum was given up ({error}); resume when the sites"
            " are back"
        ) from error
    return Gathered(mean=mean, accepted=tuple(total.survivors))


def _mean(total: SecureSum, round: SecureRound) -> Update:
    """Checked as one site's update is: no single one can be any more."""
    values = round.features.noise.coordinator_half(total, round.privacy)
    try:
        return verify_update(values, shapes=round.shapes, max_norm=round.max_norm).update
    except UpdateRejected as error:
        raise QuorumMissed(
            f"round {round.number}: the mean of the secure sum was refused ({error})"
        ) from error


class _Exchange:
    """The phases in order; a site that fails in one is left out of those after it."""

    def __init__(
        self,
        link: SiteLink,
        run: RunFolder,
        entry: RoundEntry,
        nodes: Mapping[str, int],
        round: SecureRound,
    ) -> None:
        self._link, self._run, self._nodes, self._round = link, run, nodes, round
        self._entry = entry
        self._receipts = ReceiptBook(folder=run.receipts)
        self._num_bytes: dict[str, int] = {}
        self._metrics: dict[str, Mapping[str, float]] = {}
        self._digests: dict[str, str] = {}  # of the masked inputs

    def enter(self, survivors: Sequence[str]) -> None:
        """The sites in the sum, before it counts. Raises QuorumMissed where one must not."""
        for site in survivors:
            counts = self._entry.take(
                site,
                "ok",
                num_bytes=self._num_bytes[site],
                update_digest=self._digests[site],
                metrics=self._metrics[site],
            )
            if not counts:  # nobody can take its part out of the sum
                raise QuorumMissed(
                    f"round {self._round.number}: site {site} was revoked in mid-round; resume"
                    " without it"
                )

    def run(self, requests: Mapping[str, str]) -> SecureSum:
        """Raises TooFewSites, or MessageRefused where a rebuilt secret is not the right one."""
        half = SecureSumCoordinator(self._round.plan(), self._round.roster)
        enough = self._round.enough or len(requests)
        self._collect("tune", requests, KeyAdvert, half, self._round.tune_s, enough)
        keys = half.close_adverts()
        sites = [advert.sender for advert in keys.adverts]
        self._ask("share-keys", dict.fromkeys(sites, keys.to_bytes()), SharedKeys, half)
        relayed = {site: sent.to_bytes() for site, sent in half.close_shares().items()}
        self._ask("masked-input", relayed, MaskedInput, half)
        survivors = half.close_inputs()
        shown = dict.fromkeys(survivors.survivors, survivors.to_bytes())
        self._ask("confirm", shown, Confirmation, half)
        wanted = half.close_confirmations()
        asked = dict.fromkeys((each.sender for each in wanted.confirmations), wanted.to_bytes())
        self._ask("unmask", asked, UnmaskShares, half)
        return half.result()

    def _ask(
        self,
        exchange: str,
        messages: Mapping[str, bytes],
        kind: type[SiteMessage],
        half: SecureSumCoordinator,
    ) -> None:
        requests: dict[str, str] = {}
        for site, message in messages.items():
            request, num_bytes = self._link.exchange(
                self._nodes[site],
                self._round.attempt,
                exchange,
                message,
                ttl_s=self._round.exchange_s,
            )
            requests[request] = site
            self._entry.sent(site, num_bytes)
        self._collect(exchange, requests, kind, half, self._round.exchange_s)

    def _collect(
        self,
        exchange: str,
        requests: Mapping[str, str],
        kind: type[SiteMessage],
        half: SecureSumCoordinator,
        wait_s: float,
        enough: int = 0,
    ) -> None:
        """Take the replies of one phase until all or enough are there, or its time is over."""
        pending, taken = dict(requests), 0
        deadline = time.monotonic() + wait_s
        while pending and time.monotonic() < deadline and not 0 < enough <= taken:
            for request in list(pending):
                reply = self._link.poll(request)
                if reply is None:
                    continue
                site = pending.pop(request)
                values = self._take(site, reply, kind, half)
                taken += values["code"] == "ok"
                self._note(exchange, site, reply.num_bytes, values)
            if pending and not 0 < enough <= taken:
                time.sleep(_POLL_S)
        for site in pending.values():
            self._note(exchange, site, 0, {"code": "late"})

    def _take(
        self, site: str, reply: SiteReply, kind: type[SiteMessage], half: SecureSumCoordinator
    ) -> dict[str, Any]:
        """What is wrong with a reply costs this site's part alone."""
        self._num_bytes[site] = self._num_bytes.get(site, 0) + reply.num_bytes
        if reply.code != "ok":
            return {"code": reply.code}
        try:
            message = kind.from_bytes(reply.message)
            if message.sender != site:
                raise MessageRefused(f"site {site}: sent another site's message")
            if kind is KeyAdvert:
                self._receipts.take(site, reply.receipt)
            half.receive(message)
        except MessageRefused:
            return {"code": "rejected"}  # the reason may hold what the site chose
        except ReceiptRefused:
            return {"code": "ledger"}
        if kind is KeyAdvert:
            self._metrics[site] = reply.metrics
        if kind is MaskedInput:
            self._digests[site] = hashlib.sha256(reply.message).hexdigest()
        return {"code": "ok", **reply.metrics}

    def _note(self, exchange: str, site: str, num_bytes: int, values: Mapping[str, Any]) -> None:
        """The tuning's reply as any round's; of the exchanges only what went wrong.

        A site that has given its masked input is in the sum whatever comes after.
        """
        code = str(values["code"])
        if code != "ok" and site not in self._digests:
            received = self._num_bytes.get(site, 0)
            self._entry.take(site, code, num_bytes=received, arrived=code != "late")
        if exchange == "tune":
            self._run.record(
                "reply", round=self._round.number, site=site, bytes=num_bytes, **values
            )
        elif values["code"] != "ok":
            self._run.record(
                "dropped",
                round=self._round.number,
                site=site,
                exchange=exchange,
                code=values["code"],
            )
