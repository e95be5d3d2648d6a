"""Secure aggregation: the coordinator learns the sum of the sites' updates and no single one.

The protocol of Bonawitz et al. 2017 on the regular graph of Bell et al. 2020 (SecAgg+): each site
adds to its update a mask that only it knows and one mask for each neighbour, which the neighbour
subtracts; secrets are shared among the neighbours, so that the masks of a site that drops out can
still be taken off, and of one that does not, only its own mask. X25519, HKDF-SHA256, ChaCha20 masks
under 256-bit keys, ChaCha20-Poly1305 for shares, Ed25519 for identity, Shamir over GF(2^128).

    `SecureSumPlan`         what is agreed on beforehand; its tag is in every message
    `SecureSumSite`         a site's five answers
    `SecureSumCoordinator`  five phases, then `SecureSum`
    `messages`              values with `to_bytes` and `from_bytes`, for any transport

Who there is, and what each learns
- The coordinator that follows the protocol, with up to `plan.tolerated_colluders` sites that pool
  all they hold with it: the sum over the survivors, who took part, who dropped out and when. Of an
  honest site's update, what that sum less the colluders' own inputs tells. At least `min_sites`
  survive, and each site checks that itself.
- The coordinator that lies about who dropped out: nothing more while at most
  `plan.tolerated_liars` sites side with it, since an honest site answers for one list of survivors,
  signed by two thirds of its neighbours, and never with both secrets of one site. It can't invent
  sites: round keys are signed with long-term keys that every site has pinned.
- Another site: its own update, the names in the round, and whatever the coordinator publishes.
- Somebody on the network: sizes, names and times; also without TLS, which there should be.
- Forged, changed, replayed and misplaced messages are refused, and nothing is answered to them.

What is not protected
- Against more colluders than that, sybils put into the roster when it was agreed on among them.
  A coordinator can choose, by leaving sites out, among the graphs that follow from the keys: with
  all others as neighbours, which is usual below some 100 sites, there is one graph only.
- What the sum itself tells: of few sites, or of the same sites again and again, quite a lot. Noise
  is what bounds it (`ophora_privacy.distributed_noise`, or noise at each site before the sum).
- The sum's truth: a site may send any update within its bound, a wrong share ends the round, and
  the coordinator may publish another sum. Norms of single updates can't be seen any more either.
- Availability: a coordinator or too many dropouts can stop any round; then nothing is revealed.
- Secrets in a site's memory while a round lasts, and the time the arithmetic takes.
"""

from ophora_privacy.secure_sum.coordinator import SecureSum, SecureSumCoordinator
from ophora_privacy.secure_sum.fixed_point import FixedPoint, RingVector
from ophora_privacy.secure_sum.identity import Roster, SiteIdentity
from ophora_privacy.secure_sum.layout import Layout
from ophora_privacy.secure_sum.plan import SecureSumPlan
from ophora_privacy.secure_sum.site import SecureSumSite

__all__ = [
    "FixedPoint",
    "Layout",
    "RingVector",
    "Roster",
    "SecureSum",
    "SecureSumCoordinator",
    "SecureSumPlan",
    "SecureSumSite",
    "SiteIdentity",
]
