"""The sites of one round as everybody sees them once the keys are known.

Data path: plan, pinned roster, adverts -> `form_cohort` (every signature checked) -> `Cohort`: who
is whose neighbour, at which place in the sharing, with which threshold. Site and coordinator use
the same function, so that they can't disagree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ophora_privacy.errors import MessageRefused, TooFewSites
from ophora_privacy.secure_sum.graph import neighbours_of
from ophora_privacy.secure_sum.identity import Roster
from ophora_privacy.secure_sum.messages import KeyAdvert
from ophora_privacy.secure_sum.plan import SecureSumPlan

ADVERT = "advert"  # what a signature is for
CONFIRM = "confirm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Checked adverts and the graph that follows from them; only `form_cohort` makes it."""

    adverts: Mapping[str, KeyAdvert]
    neighbours: Mapping[str, tuple[str, ...]]
    threshold: int
    digest: bytes

    def place(self, owner: str, holder: str) -> int:
        """At which place `holder` has its share of the secrets of `owner`; from 1."""
        return self.neighbours[owner].index(holder) + 1

    def transcript(self, members: Sequence[str], survivors: Sequence[str]) -> bytes:
        """What a confirmation signs: all keys, who shared them and whose input is in the sum."""
        lists = "\n".join([" ".join(members), " ".join(survivors)])
        return self.digest + lists.encode()


def advert_body(advert: KeyAdvert) -> bytes:
    """What the signature of an advert covers."""
    keys = advert.tag + advert.seal_key + advert.mask_key + advert.commitment
    return keys + advert.sender.encode()


def check_advert(advert: KeyAdvert, tag: bytes, roster: Roster) -> None:
    """Raises MessageRefused unless it is of this round and signed by its site."""
    if advert.tag != tag:
        raise MessageRefused(f"advert of site {advert.sender}: is of another round")
    roster.check(advert.sender, ADVERT, advert_body(advert), advert.signature)


def require_enough(plan: SecureSumPlan, sites: int, what: str) -> None:
    """Raises TooFewSites where fewer than `min_sites` are left."""
    if sites < plan.min_sites:
        raise TooFewSites(f"{what}={sites}: must be >= min_sites={plan.min_sites}")


def form_cohort(plan: SecureSumPlan, roster: Roster, adverts: Sequence[KeyAdvert]) -> Cohort:
    """Raises MessageRefused on an advert that doesn't hold, TooFewSites under `min_sites`."""
    names = [advert.sender for advert in adverts]
    if names != sorted(set(names)) or len(names) > plan.grid.max_sites:
        raise MessageRefused(f"{len(names)} adverts: must be sorted, none twice, <= max_sites")
    require_enough(plan, len(names), "adverts")
    tag = plan.tag()
    for advert in adverts:
        check_advert(advert, tag, roster)
    bodies = b"".join(len(body).to_bytes(2) + body for body in map(advert_body, adverts))
    digest = hashlib.sha256(tag + bodies).digest()
    return Cohort(
        adverts={advert.sender: advert for advert in adverts},
        neighbours=neighbours_of(names, plan.neighbours, digest),
        threshold=plan.threshold(len(names)),
        digest=digest,
    )
