"""The messages of the protocol, in the order in which they cross the network.

    KeyAdvert      site -> coordinator   this round's two public keys, signed
    KeyRoster      coordinator -> all    everybody's adverts
    SharedKeys     site -> coordinator   shares of its two secrets, sealed for each neighbour
    RelayedShares  coordinator -> site   what its neighbours sealed for it, and who did
    MaskedInput    site -> coordinator   its update plus masks, modulo 2^32
    SurvivorList   coordinator -> all    who sent one
    Confirmation   site -> coordinator   its signature over that list
    UnmaskRequest  coordinator -> all    the list again, with the signatures
    UnmaskShares   site -> coordinator   one share a neighbour: of the self seed, or of the key

Every message carries the plan's tag. They are values only; what each receiver checks is in
`site` and `coordinator`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ophora_privacy.secure_sum.seed_share import SHARE_BYTES
from ophora_privacy.secure_sum.wire import Body, Fixed, Message, Name, Names, Records

Key = Annotated[bytes, Fixed(32)]
Signature = Annotated[bytes, Fixed(64)]
Site = Annotated[str, Name()]
Sites = Annotated[tuple[str, ...], Names()]
Tag = Annotated[bytes, Fixed(32)]

NONCE_BYTES = 12
SEALED_BYTES = 2 * SHARE_BYTES + 16  # two shares and the cipher's tag


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAdvert(Message):
    """X25519 keys for sealing shares and for masks, and the SHA-256 that binds the self seed."""

    tag: Tag
    sender: Site
    seal_key: Key
    mask_key: Key
    commitment: Key
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRoster(Message):
    """All adverts of the round, by site id."""

    tag: Tag
    adverts: Annotated[tuple[KeyAdvert, ...], Records(KeyAdvert)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedShare(Message):
    """Two shares, readable by `recipient` only."""

    sender: Site
    recipient: Site
    nonce: Annotated[bytes, Fixed(NONCE_BYTES)]
    ciphertext: Annotated[bytes, Fixed(SEALED_BYTES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedKeys(Message):
    """One sealed share for each neighbour, by the neighbour's id."""

    tag: Tag
    sender: Site
    sealed: Annotated[tuple[SealedShare, ...], Records(SealedShare)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedShares(Message):
    """All sites that shared their keys, and what the recipient's neighbours sealed for it."""

    tag: Tag
    recipient: Site
    members: Sites
    sealed: Annotated[tuple[SealedShare, ...], Records(SealedShare)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedInput(Message):
    """uint32 words, little-endian; uniform to whoever lacks the masks."""

    tag: Tag
    sender: Site
    words: Annotated[bytes, Body()]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivorList(Message):
    """Of the sites that shared their keys, those whose masked input is in the sum."""

    tag: Tag
    members: Sites
    survivors: Sites


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation(Message):
    """The sender was shown this round's keys and this list of survivors, and will see no other."""

    tag: Tag
    sender: Site
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmaskRequest(Message):
    """For survivors the share of their self seed is asked, for the dropped that of their key."""

    tag: Tag
    survivors: Sites
    dropped: Sites
    confirmations: Annotated[tuple[Confirmation, ...], Records(Confirmation)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealedShare(Message):
    """The sender's share of one secret of `owner`."""

    owner: Site
    share: Annotated[bytes, Fixed(SHARE_BYTES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmaskShares(Message):
    """Of each neighbour one kind, never both."""

    tag: Tag
    sender: Site
    self_seeds: Annotated[tuple[RevealedShare, ...], Records(RevealedShare)]
    mask_keys: Annotated[tuple[RevealedShare, ...], Records(RevealedShare)]


SiteMessage = KeyAdvert | SharedKeys | MaskedInput | Confirmation | UnmaskShares
