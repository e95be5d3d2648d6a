"""The coordinator's half of the protocol: it learns the sum over the survivors and nothing else.

Data path: `receive` every site's message of a phase, close the phase, send what that returns; five
times over. Masked inputs are added up as they come, so that memory is that of one. What comes too
late, twice, unasked or wrong is refused, and costs its site's part only.

    receive KeyAdvert*    -> close_adverts()       -> KeyRoster, to all
    receive SharedKeys*   -> close_shares()        -> RelayedShares, one a site
    receive MaskedInput*  -> close_inputs()        -> SurvivorList, to the survivors
    receive Confirmation* -> close_confirmations() -> UnmaskRequest, to those that confirmed
    receive UnmaskShares* -> result()              -> SecureSum
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ophora_privacy.errors import InvalidPlan, MessageRefused, TooFewSites
from ophora_privacy.secure_sum.agreement import commitment_to, pair_mask_key, self_mask_key
from ophora_privacy.secure_sum.cohort import (
    CONFIRM,
    Cohort,
    check_advert,
    form_cohort,
    require_enough,
)
from ophora_privacy.secure_sum.identity import Roster
from ophora_privacy.secure_sum.keystream import add_mask
from ophora_privacy.secure_sum.messages import (
    Confirmation,
    KeyAdvert,
    KeyRoster,
    MaskedInput,
    RelayedShares,
    RevealedShare,
    SharedKeys,
    SiteMessage,
    SurvivorList,
    UnmaskRequest,
    UnmaskShares,
)
from ophora_privacy.secure_sum.plan import SecureSumPlan
from ophora_privacy.secure_sum.seed_share import join_seed

_PHASES: tuple[type[SiteMessage], ...] = (
    KeyAdvert,
    SharedKeys,
    MaskedInput,
    Confirmation,
    UnmaskShares,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureSum:
    """The sum of the survivors' inputs, by tensor name, and who they are."""

    values: dict[str, npt.NDArray[np.float32]]
    survivors: tuple[str, ...]


class SecureSumCoordinator:
    """One attempt at one round. Raises InvalidPlan where the plan names another roster."""

    def __init__(self, plan: SecureSumPlan, roster: Roster) -> None:
        if plan.roster_digest != roster.digest():
            raise InvalidPlan("roster_digest: must be that of the roster given")
        self._plan = plan
        self._roster = roster
        self._tag = plan.tag()
        self._phase = 0
        self._cohort: Cohort | None = None
        self._adverts: dict[str, KeyAdvert] = {}
        self._shared: dict[str, SharedKeys] = {}
        self._total = np.zeros(plan.layout.size, np.uint32)
        self._arrived: set[str] = set()  # whose input is in the total
        self._confirmations: dict[str, Confirmation] = {}
        self._answers: dict[str, UnmaskShares] = {}
        self._takers: dict[type, Callable[..., None]] = {
            KeyAdvert: self._take_advert,
            SharedKeys: self._take_shares,
            MaskedInput: self._take_input,
            Confirmation: self._take_confirmation,
            UnmaskShares: self._take_answer,
        }

    def receive(self, message: SiteMessage) -> None:
        """Take one site's message of the current phase.

        Raises MessageRefused on one of another round or phase, from a site not expected in it, a
        second one, or one that does not hold; it is then as if it had not come.
        """
        if message.tag != self._tag:
            raise MessageRefused(f"site {message.sender}: message of another round or plan")
        if self._phase >= len(_PHASES) or type(message) is not _PHASES[self._phase]:
            raise MessageRefused(f"site {message.sender}: {type(message).__name__} out of turn")
        self._takers[type(message)](message)

    def close_adverts(self) -> KeyRoster:
        """Raises TooFewSites under `min_sites`, as all closers do; the round is then given up."""
        self._require_phase(KeyAdvert)
        adverts = tuple(self._adverts[name] for name in sorted(self._adverts))
        self._cohort = form_cohort(self._plan, self._roster, adverts)
        self._phase += 1
        return KeyRoster(tag=self._tag, adverts=adverts)

    def close_shares(self) -> dict[str, RelayedShares]:
        """What each site that shared its keys is to be sent."""
        self._require_phase(SharedKeys)
        require_enough(self._plan, len(self._shared), "sites that shared keys")
        self._phase += 1
        members = tuple(sorted(self._shared))
        sealed = {
            (item.recipient, sender): item
            for sender, message in self._shared.items()
            for item in message.sealed
        }
        return {
            name: RelayedShares(
                tag=self._tag,
                recipient=name,
                members=members,
                sealed=tuple(sealed[name, other] for other in self._live(name, members)),
            )
            for name in members
        }

    def close_inputs(self) -> SurvivorList:
        """Whose inputs are in the sum; those that shared keys and sent none have dropped out."""
        self._require_phase(MaskedInput)
        self._require_recoverable(self._arrived, "inputs")
        self._phase += 1
        members, survivors = tuple(sorted(self._shared)), tuple(sorted(self._arrived))
        return SurvivorList(tag=self._tag, members=members, survivors=survivors)

    def close_confirmations(self) -> UnmaskRequest:
        """The survivors again, with the signatures of those still there."""
        self._require_phase(Confirmation)
        self._require_recoverable(set(self._confirmations), "confirmations")
        self._phase += 1
        return UnmaskRequest(
            tag=self._tag,
            survivors=tuple(sorted(self._arrived)),
            dropped=tuple(sorted(set(self._shared) - self._arrived)),
            confirmations=tuple(self._confirmations[name] for name in sorted(self._confirmations)),
        )

    def result(self) -> SecureSum:
        """The sum, once enough sites have answered.

        Raises TooFewSites where a secret lacks shares, and MessageRefused where a rebuilt secret is
        not the advertised one: then some site sent a wrong share, and the round is given up.
        """
        self._require_phase(UnmaskShares)
        self._require_recoverable(set(self._answers), "answers")
        survivors = sorted(self._arrived)
        dropped = sorted(set(self._shared) - self._arrived)
        # Every secret is rebuilt and compared before the first mask is taken off.
        seeds = {owner: self._self_seed(owner) for owner in survivors}
        keys = {owner: self._mask_key(owner) for owner in dropped}
        total = self._total
        for owner, seed in seeds.items():
            add_mask(total, self_mask_key(seed, self._tag, owner), subtract=True)
        for owner, key in keys.items():
            self._remove_pairs(total, owner, key)
        self._phase += 1
        values = self._plan.layout.unflatten(self._plan.grid.decode(total))
        return SecureSum(values=values, survivors=tuple(survivors))

    def _take_advert(self, message: KeyAdvert) -> None:
        _require_first(message, self._adverts)
        check_advert(message, self._tag, self._roster)
        if len(self._adverts) >= self._plan.grid.max_sites:
            raise MessageRefused(f"site {message.sender}: max_sites have advertised already")
        self._adverts[message.sender] = message

    def _take_shares(self, message: SharedKeys) -> None:
        self._require_sender(message, self._adverts, self._shared)
        recipients = [sealed.recipient for sealed in message.sealed]
        senders = {sealed.sender for sealed in message.sealed}
        neighbours = list(self._formed().neighbours[message.sender])
        if recipients != neighbours or senders != {message.sender}:
            raise MessageRefused(f"site {message.sender}: must share with each neighbour once")
        self._shared[message.sender] = message

    def _take_input(self, message: MaskedInput) -> None:
        self._require_sender(message, self._shared, self._arrived)
        if len(message.words) != 4 * self._plan.layout.size:
            raise MessageRefused(f"site {message.sender}: must send {self._plan.layout.size} words")
        self._total += np.frombuffer(message.words, "<u4")
        self._arrived.add(message.sender)

    def _take_confirmation(self, message: Confirmation) -> None:
        self._require_sender(message, self._arrived, self._confirmations)
        members, survivors = sorted(self._shared), sorted(self._arrived)
        transcript = self._formed().transcript(members, survivors)
        self._roster.check(message.sender, CONFIRM, transcript, message.signature)
        self._confirmations[message.sender] = message

    def _take_answer(self, message: UnmaskShares) -> None:
        self._require_sender(message, self._confirmations, self._answers)
        asked = self._live(message.sender, self._shared)
        survivors = [name for name in asked if name in self._arrived]
        dropped = [name for name in asked if name not in self._arrived]
        if _owners(message.self_seeds) != survivors or _owners(message.mask_keys) != dropped:
            raise MessageRefused(f"site {message.sender}: must reveal one share a neighbour")
        self._answers[message.sender] = message

    def _self_seed(self, owner: str) -> bytes:
        seed = self._rebuilt(owner, lambda answer: answer.self_seeds)
        if commitment_to(seed, self._tag, owner) != self._formed().adverts[owner].commitment:
            raise MessageRefused(f"shares of site {owner}: don't give the seed it committed to")
        return seed

    def _mask_key(self, owner: str) -> X25519PrivateKey:
        raw = self._rebuilt(owner, lambda answer: answer.mask_keys)
        key = X25519PrivateKey.from_private_bytes(raw)
        if key.public_key().public_bytes_raw() != self._formed().adverts[owner].mask_key:
            raise MessageRefused(f"shares of site {owner}: don't give the key it advertised")
        return key

    def _rebuilt(
        self, owner: str, kind: Callable[[UnmaskShares], Sequence[RevealedShare]]
    ) -> bytes:
        cohort = self._formed()
        shares = {
            cohort.place(owner, holder): revealed.share
            for holder in self._live(owner, self._answers)
            for revealed in kind(self._answers[holder])
            if revealed.owner == owner
        }
        return join_seed(shares, threshold=cohort.threshold)

    def _remove_pairs(
        self, total: npt.NDArray[np.uint32], owner: str, key: X25519PrivateKey
    ) -> None:
        """Take off what the survivors added for the masks they share with a dropped site."""
        for other in self._live(owner, self._arrived):
            public = self._formed().adverts[other].mask_key
            mask = pair_mask_key(key, public, self._tag, (owner, other))
            add_mask(total, mask, subtract=other < owner)

    def _live(self, name: str, among: Mapping[str, object] | Sequence[str] | set[str]) -> list[str]:
        return [other for other in self._formed().neighbours[name] if other in among]

    def _require_recoverable(self, live: set[str], what: str) -> None:
        """Every secret that is still needed has its threshold of holders among the live."""
        require_enough(self._plan, len(live), what)
        least = self._formed().threshold
        fewest = min(len(self._live(owner, live)) for owner in self._shared)
        if fewest < least:
            raise TooFewSites(f"{what}={len(live)}: a site has {fewest} neighbours of {least} left")

    def _require_phase(self, kind: type[SiteMessage]) -> None:
        if self._phase >= len(_PHASES) or _PHASES[self._phase] is not kind:
            raise MessageRefused(f"{kind.__name__}: this phase is closed or not yet open")

    def _require_sender(
        self,
        message: SiteMessage,
        expected: Mapping[str, object] | set[str],
        seen: Mapping[str, object] | set[str],
    ) -> None:
        if message.sender not in expected:
            raise MessageRefused(f"site {message.sender}: has dropped out or was never in")
        _require_first(message, seen)

    def _formed(self) -> Cohort:
        assert self._cohort is not None  # every phase that reads it comes after close_adverts
        return self._cohort


def _require_first(message: SiteMessage, seen: Mapping[str, object] | set[str]) -> None:
    if message.sender in seen:
        raise MessageRefused(f"site {message.sender}: a second {type(message).__name__}")


def _owners(revealed: Sequence[RevealedShare]) -> list[str]:
    return [share.owner for share in revealed]
