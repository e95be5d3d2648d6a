"""Decisions signed with the site's review key (Ed25519), each over the signature before it.

    SITE/review.key (0600)  review.pub  review.head (number and signature of the newest decision)

`verify_reviews` finds a decision that was changed, removed or moved, and a tier that no decision
explains. A chain alone can't show that its end was cut off: `review.head` does. Whoever can write
the key's file can sign; the key stays with the site, as `site.key` does. Curation's own tiers are
not signed, so what is found is a tier that differs from what curation recorded.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ophora_client.errors import SiteInvalid
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, Tier
from ophora_curation.store.review import Review, concerns
from ophora_model.draft import write_private, write_whole

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest decision, kept outside the manifest."""

    number: int
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that verification found; ids and closed words only."""

    what: str  # "signature" | "order" | "removed" | "tier" | "instruction"
    review: int  # its number; 0 where a clip is meant
    clip_id: str


class ReviewKey:
    """Signs decisions. The private key is never shown, logged or sent."""

    def __init__(self, folder: Path, key: Ed25519PrivateKey) -> None:
        self._folder = folder
        self._key = key

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The site's review key, made at its first use. Raises `SiteInvalid` for a damaged one."""
        path = folder / "review.key"
        if not path.exists():
            if (folder / "review.pub").exists() or (folder / "review.head").exists():
                message = "review.key is gone: restore it from the site's backup"
                raise SiteInvalid(message)
            write_private(path, Ed25519PrivateKey.generate().private_bytes_raw())
        seed = path.read_bytes()
        if len(seed) != _KEY_BYTES:
            message = f"review.key has {len(seed)} bytes: must be {_KEY_BYTES}; restore it"
            raise SiteInvalid(message)
        made = cls(folder, Ed25519PrivateKey.from_private_bytes(seed))
        if not (folder / "review.pub").exists():
            write_whole(folder / "review.pub", made.public_key.hex().encode() + b"\n")
        return made

    @property
    def public_key(self) -> bytes:
        """32 raw bytes; what `verify_reviews` takes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, review: Review) -> Review:
        """The decision with its signature."""
        return replace(review, signature=self._key.sign(review.signed_bytes()).hex())

    def note_head(self, review: Review) -> None:
        """Remember the newest decision. Call it once the decision is in the manifest."""
        head = {"number": review.number, "signature": review.signature}
        write_whole(self._folder / "review.head", json.dumps(head).encode() + b"\n")


def read_head(folder: Path) -> Head | None:
    """The newest decision that was noted, or None before the first. Raises `SiteInvalid`."""
    try:
        document = json.loads((folder / "review.head").read_bytes())
        return Head(number=int(document["number"]), signature=str(document["signature"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = "review.head can't be read: restore it from the site's backup"
        raise SiteInvalid(message) from error


def read_public_key(folder: Path) -> bytes | None:
    """The key that decisions are verified with, or None where nobody has decided yet."""
    try:
        key = bytes.fromhex((folder / "review.pub").read_text("ascii").strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        message = "review.pub can't be read: restore it from the site's backup"
        raise SiteInvalid(message) from error
    if len(key) != _KEY_BYTES:
        message = f"review.pub has {len(key)} bytes: must be {_KEY_BYTES}; restore it"
        raise SiteInvalid(message)
    return key


def verify_reviews(
    manifest: Manifest, public_key: bytes, *, head: Head | None = None
) -> tuple[Fault, ...]:
    """What is wrong with the decisions and the tiers that follow from them; () when all is well.

    A head that is older than the chain is fine (the process died before it noted the newest).
    """
    reviews = manifest.reviews()
    faults = [*_chain_faults(reviews, Ed25519PublicKey.from_public_bytes(public_key))]
    if head is not None and not any(
        (review.number, review.signature) == (head.number, head.signature) for review in reviews
    ):
        faults.append(Fault(what="removed", review=head.number, clip_id=""))
    faults += _tier_faults(manifest.clips(), manifest.curated_tiers(), reviews)
    return tuple(faults)


def verify_site(folder: Path, manifest: Manifest) -> tuple[Fault, ...]:
    """`verify_reviews` with the keys of a site's folder; decisions without a key are faults."""
    key, head = read_public_key(folder), read_head(folder)
    if key is not None:
        return verify_reviews(manifest, key, head=head)
    reviews = manifest.reviews()
    faults = [Fault(what="signature", review=each.number, clip_id=each.clip_id) for each in reviews]
    return (*faults, *_tier_faults(manifest.clips(), manifest.curated_tiers(), reviews))


def describe_faults(faults: Sequence[Fault]) -> str:
    """Counts by kind, for an error or a report."""
    counts = Counter(fault.what for fault in faults)
    return ", ".join(f"{what}: {count}" for what, count in sorted(counts.items()))


def _chain_faults(reviews: Sequence[Review], key: Ed25519PublicKey) -> Iterable[Fault]:
    previous = ""
    for number, review in enumerate(reviews, start=1):
        if review.number != number or review.previous != previous:
            yield Fault(what="order", review=review.number, clip_id=review.clip_id)
        try:
            key.verify(bytes.fromhex(review.signature), review.signed_bytes())
        except (InvalidSignature, ValueError):
            yield Fault(what="signature", review=review.number, clip_id=review.clip_id)
        previous = review.signature


def _tier_faults(
    clips: Sequence[ClipRow], curated: dict[str, Tier], reviews: Sequence[Review]
) -> Iterable[Fault]:
    """Clips whose tier is neither curation's nor a person's; a rejection by curation is final."""
    by_clip: dict[str, list[Review]] = {}
    for review in reviews:
        by_clip.setdefault(review.clip_id, []).append(review)
    for clip in clips:
        made = [each for each in by_clip.get(clip.clip_id, ()) if each.clip_sha256 == clip.sha256]
        wanted = curated[clip.clip_id]
        if made and not concerns(made[-1], clip):
            yield Fault(what="instruction", review=made[-1].number, clip_id=clip.clip_id)
        elif made and wanted != "rejected":
            wanted = made[-1].tier_after
        if clip.tier != wanted:
            yield Fault(what="tier", review=0, clip_id=clip.clip_id)
