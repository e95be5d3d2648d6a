"""A site's half of one attempt at a secure sum, as the resident trainer keeps it.

    tuned, contribution -> `advert` -> four exchanges by name, bytes in and bytes out -> unmasked

The secrets of an attempt live in this object and nowhere else: a trainer that ends has dropped out
of it. What does not hold is declined with one code, and the reason stays at the site.
"""

from __future__ import annotations

from collections.abc import Callable

from ophora_client.errors import Declined
from ophora_privacy.errors import PrivacyError
from ophora_privacy.secure_sum import RingVector, SecureSumSite
from ophora_privacy.secure_sum.messages import (
    KeyRoster,
    RelayedShares,
    SiteMessage,
    SurvivorList,
    UnmaskRequest,
)

CODE = "secure-sum"


class SecureHalf:
    """One site in one attempt; `contribution` goes into this sum masked, or into none."""

    def __init__(self, attempt: str, site: SecureSumSite, contribution: RingVector) -> None:
        self.attempt = attempt
        self._site = site
        self._contribution = contribution
        self._advert = b""

    def advert(self) -> bytes:
        """This site's keys for the attempt; the same however often asked."""
        if not self._advert:
            self._advert = self._site.advertise().to_bytes()
        return self._advert

    def answer(self, exchange: str, message: bytes) -> bytes:
        """The answer to one of `EXCHANGES`. Raises Declined; nothing was answered then."""
        answers: dict[str, Callable[[bytes], SiteMessage]] = {
            "share-keys": lambda sent: self._site.share_keys(KeyRoster.from_bytes(sent)),
            "masked-input": self._masked_input,
            "confirm": lambda sent: self._site.confirm(SurvivorList.from_bytes(sent)),
            "unmask": lambda sent: self._site.unmask(UnmaskRequest.from_bytes(sent)),
        }
        if exchange not in answers:
            raise Declined(CODE, "an exchange that there is not")
        try:
            return answers[exchange](message).to_bytes()
        except PrivacyError as error:
            raise Declined(CODE, f"{exchange}: {error}") from error

    def _masked_input(self, message: bytes) -> SiteMessage:
        return self._site.masked_input(RelayedShares.from_bytes(message), self._contribution)
