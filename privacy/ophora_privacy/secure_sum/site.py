"""A site's half of the protocol: five answers in one order, each checked before it is given.

Data path: `advertise` -> `share_keys` -> `masked_input` -> `confirm` -> `unmask`. The secrets of a
round live in this object only and are dropped with it: a site whose process dies has dropped out of
the round. A refused message changes nothing, so that the right one can still be answered.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ophora_privacy.errors import InputRefused, InvalidPlan, MessageRefused, TooFewSites
from ophora_privacy.secure_sum.agreement import (
    commitment_to,
    open_share,
    pair_mask_key,
    seal_share,
    self_mask_key,
)
from ophora_privacy.secure_sum.cohort import (
    ADVERT,
    CONFIRM,
    Cohort,
    advert_body,
    form_cohort,
    require_enough,
)
from ophora_privacy.secure_sum.fixed_point import RingVector
from ophora_privacy.secure_sum.identity import Roster, SiteIdentity
from ophora_privacy.secure_sum.keystream import KEY_BYTES, add_mask
from ophora_privacy.secure_sum.messages import (
    Confirmation,
    KeyAdvert,
    KeyRoster,
    MaskedInput,
    RelayedShares,
    RevealedShare,
    SharedKeys,
    SurvivorList,
    UnmaskRequest,
    UnmaskShares,
)
from ophora_privacy.secure_sum.plan import SecureSumPlan
from ophora_privacy.secure_sum.seed_share import SHARE_BYTES, split_seed

_Phase = Literal["advertise", "share_keys", "masked_input", "confirm"]


class SecureSumSite:
    """One site in one round; make a new one, with new secrets, for every attempt.

    `roster` is the one that the site has pinned. Raises InvalidPlan where the plan names another,
    or where the site's own key isn't on it.
    """

    def __init__(self, plan: SecureSumPlan, identity: SiteIdentity, roster: Roster) -> None:
        if plan.roster_digest != roster.digest():
            raise InvalidPlan("roster_digest: must be that of the roster this site has pinned")
        if roster.keys.get(identity.site_id) != identity.public_key():
            raise InvalidPlan(f"site {identity.site_id}: its key must be on the roster")
        self._plan = plan
        self._tag = plan.tag()
        self._identity = identity
        self._name = identity.site_id
        self._roster = roster
        self._phase: _Phase = "advertise"
        self._seal_key = X25519PrivateKey.generate()
        self._mask_key = X25519PrivateKey.generate()
        self._self_seed = os.urandom(KEY_BYTES)
        self._advert: KeyAdvert | None = None
        self._cohort: Cohort | None = None
        self._members: tuple[str, ...] = ()
        self._held: dict[str, bytes] = {}  # by owner: shares of its self seed and its mask key
        self._confirmed: tuple[str, ...] | None = None

    def advertise(self) -> KeyAdvert:
        """This round's public keys, signed with the site's long-term key."""
        self._require("advertise")
        unsigned = KeyAdvert(
            tag=self._tag,
            sender=self._name,
            seal_key=self._seal_key.public_key().public_bytes_raw(),
            mask_key=self._mask_key.public_key().public_bytes_raw(),
            commitment=commitment_to(self._self_seed, self._tag, self._name),
            signature=bytes(64),
        )
        signature = self._identity.sign(ADVERT, advert_body(unsigned))
        self._advert = KeyAdvert.from_fields(unsigned.to_fields() | {"signature": signature.hex()})
        self._phase = "share_keys"
        return self._advert

    def share_keys(self, message: KeyRoster) -> SharedKeys:
        """Shares of both secrets for each neighbour, sealed.

        Raises MessageRefused where an advert doesn't hold or the site's own was left out or
        changed, TooFewSites under `min_sites`.
        """
        self._require("share_keys", message.tag)
        cohort = form_cohort(self._plan, self._roster, message.adverts)
        if cohort.adverts.get(self._name) != self._advert:
            raise MessageRefused("key roster: must hold this site's own advert, unchanged")
        neighbours = cohort.neighbours[self._name]
        secrets = (self._self_seed, self._mask_key.private_bytes_raw())
        split = [
            split_seed(secret, threshold=cohort.threshold, holders=len(neighbours))
            for secret in secrets
        ]
        sealed = tuple(
            seal_share(
                self._seal_key,
                cohort.adverts[name].seal_key,
                self._tag,
                sender=self._name,
                recipient=name,
                shares=of_seed + of_key,
            )
            for name, of_seed, of_key in zip(neighbours, *split, strict=True)
        )
        self._cohort, self._phase = cohort, "masked_input"
        return SharedKeys(tag=self._tag, sender=self._name, sealed=sealed)

    def masked_input(self, message: RelayedShares, vector: RingVector) -> MaskedInput:
        """The input plus the site's own mask and, by the order of names, +- each pair's.

        `vector` is from the plan's grid; where the grid has noise, it must carry its share. Raises
        InputRefused on another one, MessageRefused on a share that is missing, not asked for,
        changed or of another round, TooFewSites where too few neighbours are left. One input only.
        """
        self._require("masked_input", message.tag)
        self._require_input(vector)
        held = self._opened(message)
        cohort = self._formed()
        total = vector.words.copy()
        add_mask(total, self_mask_key(self._self_seed, self._tag, self._name))
        for other in held:
            public = cohort.adverts[other].mask_key
            key = pair_mask_key(self._mask_key, public, self._tag, (self._name, other))
            add_mask(total, key, subtract=other < self._name)
        self._held, self._members, self._phase = held, message.members, "confirm"
        vector.spent = True
        words = total.astype("<u4", copy=False).tobytes()
        return MaskedInput(tag=self._tag, sender=self._name, words=words)

    def confirm(self, message: SurvivorList) -> Confirmation:
        """The site's signature over the survivors; over one list only, however often asked.

        Raises MessageRefused on a list without this site, with strangers, or that differs from one
        already confirmed; TooFewSites on a list under `min_sites`.
        """
        self._require("confirm", message.tag)
        if message.members != self._members or not set(message.survivors) <= set(self._members):
            raise MessageRefused("survivors: must be among those that shared their keys")
        self._require_survivors(message.survivors)
        if self._confirmed not in (None, message.survivors):
            raise MessageRefused("survivors: this site has confirmed another list")
        self._confirmed = message.survivors
        transcript = self._formed().transcript(self._members, message.survivors)
        signature = self._identity.sign(CONFIRM, transcript)
        return Confirmation(tag=self._tag, sender=self._name, signature=signature)

    def unmask(self, message: UnmaskRequest) -> UnmaskShares:
        """One share a neighbour: of a survivor's self seed, or of a dropped site's mask key.

        Raises MessageRefused where a site is asked for both or neither, the survivors are not those
        confirmed, or fewer than the threshold of this site's neighbours have signed them;
        TooFewSites where fewer than `min_sites` survive or have signed. The same request gets the
        same answer.
        """
        self._require("confirm", message.tag)
        survivors, dropped = set(message.survivors), set(message.dropped)
        if survivors & dropped or survivors | dropped != set(self._members):
            raise MessageRefused("unmask request: must name each site as survivor or as dropped")
        self._require_survivors(message.survivors)
        if self._confirmed != message.survivors:
            raise MessageRefused("unmask request: must name the survivors this site confirmed")
        self._require_confirmations(message)
        return UnmaskShares(
            tag=self._tag,
            sender=self._name,
            self_seeds=self._revealed(survivors, slice(None, SHARE_BYTES)),
            mask_keys=self._revealed(dropped, slice(SHARE_BYTES, None)),
        )

    def _revealed(self, owners: Collection[str], part: slice) -> tuple[RevealedShare, ...]:
        held = sorted(set(owners) & set(self._held))
        return tuple(RevealedShare(owner=name, share=self._held[name][part]) for name in held)

    def _opened(self, message: RelayedShares) -> dict[str, bytes]:
        """The shares by owner, after every check of what was relayed."""
        cohort, members = self._formed(), set(message.members)
        require_enough(self._plan, len(members), "sites that shared keys")
        if message.recipient != self._name or not {self._name} <= members <= set(cohort.adverts):
            raise MessageRefused("relayed shares: must be this site's, from sites of the round")
        expected = [name for name in cohort.neighbours[self._name] if name in members]
        if [sealed.sender for sealed in message.sealed] != expected:
            raise MessageRefused(f"relayed shares: must be one from each of {len(expected)} sites")
        if len(expected) < cohort.threshold:
            raise TooFewSites(f"neighbours={len(expected)}: must be >= {cohort.threshold}")
        if any(sealed.recipient != self._name for sealed in message.sealed):
            raise MessageRefused("relayed shares: must all be sealed for this site")
        return {
            sealed.sender: open_share(
                self._seal_key, cohort.adverts[sealed.sender].seal_key, self._tag, sealed
            )
            for sealed in message.sealed
        }

    def _require(self, phase: _Phase, tag: bytes | None = None) -> None:
        if tag is not None and tag != self._tag:
            raise MessageRefused("message: is of another round, plan or roster")
        if self._phase != phase:
            raise MessageRefused(f"{phase}: is out of turn; this site is at {self._phase}")

    def _require_input(self, vector: RingVector) -> None:
        grid, size = self._plan.grid, self._plan.layout.size
        if vector.grid != grid or vector.words.shape != (size,):
            raise InputRefused(f"input: must be {size} values on the plan's grid")
        if vector.spent:
            raise InputRefused("input: was in a sum already; encode this round's update")
        if vector.noise_std != grid.noise_std:
            raise InputRefused(
                f"noise_std={vector.noise_std}: must be {grid.noise_std}, as planned; "
                "add the site's noise share once"
            )

    def _require_survivors(self, survivors: tuple[str, ...]) -> None:
        require_enough(self._plan, len(survivors), "survivors")
        if self._name not in survivors:
            raise MessageRefused("survivors: must include this site, which sent its input")

    def _require_confirmations(self, message: UnmaskRequest) -> None:
        cohort = self._formed()
        transcript = cohort.transcript(self._members, message.survivors)
        signers = set()
        for confirmation in message.confirmations:
            if confirmation.sender not in message.survivors or confirmation.tag != self._tag:
                raise MessageRefused("confirmation: must be of a survivor, in this round")
            self._roster.check(confirmation.sender, CONFIRM, transcript, confirmation.signature)
            signers.add(confirmation.sender)
        require_enough(self._plan, len(signers), "confirmations")
        known = len(signers & set(cohort.neighbours[self._name]))
        if known < cohort.threshold:
            raise TooFewSites(f"neighbours that confirmed={known}: must be >= {cohort.threshold}")

    def _formed(self) -> Cohort:
        assert self._cohort is not None  # every phase that reads it comes after share_keys
        return self._cohort
