"""What each kind of message that leaves the site holds: the closed schema of `egress`, in words.

Names and shapes are those that `egress` checks; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

from ophora_client.egress import EXCHANGES
from ophora_client.sent_log import SentMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a message."""

    name: str
    shape: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of message; `slug` names it on the page, `title` for a reader."""

    slug: str
    title: str
    meaning: str
    fields: tuple[Field, ...]


def kind_of(message: SentMessage) -> Kind:
    """Which kind a noted message is of."""
    if message.code != "ok":
        return REFUSAL
    if message.asked in EXCHANGES:
        return _BY_EXCHANGE[message.asked]
    return UPDATE if message.tensors else KEYS


def _field(name: str, shape: str, meaning: str) -> Field:
    return Field(name=name, shape=shape, meaning=meaning)


_OK = _field("code", '"ok"', "The round was taken part in.")
_SCALARS = (
    _field("steps", "number", "Steps of tuning that were taken."),
    _field(
        "seconds",
        "number",
        "How long tuning took, rounded up to whole seconds; left out with distributed noise.",
    ),
    _field(
        "epsilon",
        "number",
        "What each patient has spent for life, this round included; may be inf.",
    ),
    _field("delta", "number", "The delta that epsilon is stated at."),
    _field(
        "loss",
        "number",
        "The mean loss; only where the site's own settings have share_loss = true.",
    ),
)
_RECEIPT = (
    _field("receipt.ledger_id", "32 hex digits", "The ledger's own random number."),
    _field("receipt.seq", "whole number", "How many entries the ledger has."),
    _field("receipt.head_hash", "64 hex digits", "The hash of its last entry."),
    _field("receipt.epsilon", "number", "As epsilon above."),
    _field("receipt.delta", "number", "As delta above."),
)
_TAG = _field(
    "tag", "32 bytes", "Which attempt at which sum this belongs to; the same at all sites."
)
_SENDER = _field("sender", "site code", "This site's code.")
_SIGNATURE = "64 bytes"

UPDATE = Kind(
    slug="update",
    title="update",
    meaning="What one round of tuning added to the adapter, and what it cost.",
    fields=(
        _OK,
        _field(
            "LAYER, one for each tuned layer",
            "[outputs of the layer, trained rank] float32",
            "What tuning added to the layer's B factor, clipped and noised as the plan says."
            " Exactly the names and shapes that the coordinator announced; all numbers finite.",
        ),
        *_SCALARS,
        *_RECEIPT,
    ),
)
KEYS = Kind(
    slug="keys",
    title="keys for a secure sum",
    meaning="Made anew for one attempt. The update itself stays at the site.",
    fields=(
        _OK,
        _TAG,
        _SENDER,
        _field("seal_key", "32 bytes", "Public key with which others seal shares for this site."),
        _field("mask_key", "32 bytes", "Public key from which pairs of sites derive their masks."),
        _field(
            "commitment", "32 bytes", "SHA-256 that binds this site's own mask before it is used."
        ),
        _field("signature", _SIGNATURE, "Over the fields above, by the site's identity key."),
        *_SCALARS,
        *_RECEIPT,
    ),
)
SHARED_KEYS = Kind(
    slug="share-keys",
    title="sealed shares",
    meaning="Shares of this site's two secrets of the attempt, readable by one neighbour each.",
    fields=(
        _OK,
        _TAG,
        _SENDER,
        _field("sealed.sender", "site code", "This site's code."),
        _field("sealed.recipient", "site code", "The neighbour that can open it."),
        _field("sealed.nonce", "12 bytes", "A random number, used once."),
        _field("sealed.ciphertext", "80 bytes", "Two shares, encrypted for the neighbour."),
    ),
)
MASKED = Kind(
    slug="masked-input",
    title="masked update",
    meaning="The update under masks that only a sum over several sites takes off.",
    fields=(
        _OK,
        _TAG,
        _SENDER,
        _field(
            "words",
            "uint32, one a number of the update",
            "The update plus masks, modulo 2^32: alone they can't be told from random numbers.",
        ),
    ),
)
CONFIRMATION = Kind(
    slug="confirm",
    title="confirmation",
    meaning="That this site was shown one list of those in the sum, and will confirm no other.",
    fields=(
        _OK,
        _TAG,
        _SENDER,
        _field("signature", _SIGNATURE, "Over the list, by the site's identity key."),
    ),
)
UNMASK = Kind(
    slug="unmask",
    title="shares for unmasking",
    meaning="What takes the masks off the sum: of each neighbour one share, never both.",
    fields=(
        _OK,
        _TAG,
        _SENDER,
        _field("self_seeds.owner", "site code", "A neighbour whose masked update is in the sum."),
        _field("self_seeds.share", "32 bytes", "This site's share of that neighbour's own mask."),
        _field("mask_keys.owner", "site code", "A neighbour that dropped out."),
        _field("mask_keys.share", "32 bytes", "This site's share of its key for masks."),
    ),
)
REFUSAL = Kind(
    slug="refusal",
    title="refusal",
    meaning="That this site takes no part, by one word from a closed list and nothing beside it.",
    fields=(_field("code", "one of the words below", "Why; the details stay in the site's log."),),
)
KINDS = (UPDATE, REFUSAL, KEYS, SHARED_KEYS, MASKED, CONFIRMATION, UNMASK)
_BY_EXCHANGE = {kind.slug: kind for kind in (SHARED_KEYS, MASKED, CONFIRMATION, UNMASK)}

REFUSALS = {
    "adapter": "the adapter has another shape than announced, or too high a rank",
    "approval": "nobody at the site has approved the run",
    "bad-plan": "the plan is not one that this program reads",
    "base": "other base weights than the site holds or allows",
    "budget": "the round would pass the cap on epsilon",
    "cancelled": "another round took its place",
    "hours": "outside the hours in which rounds may begin",
    "internal-error": "an unforeseen error",
    "ledger": "the privacy ledger can't be used, or went back",
    "no-clips": "no clip for this stage",
    "non-finite": "tuning gave numbers that are not finite",
    "preset": "another base preset than the site's",
    "privacy": "clipping, noise, steps or cost outside the site's policy",
    "secure-sum": "the secure sum is not as the site's policy or roster has it",
    "stage": "a stage that the site takes no part in",
    "timeout": "tuning took longer than the site allows",
    "trainer-unavailable": "the site's trainer did not answer",
    "tuning": "a learning rate above the site's bound",
    "version": "another version of the code",
}
