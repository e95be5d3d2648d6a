"""A site's word on a release: approve or reject, signed with the site's identity key (Ed25519).

    candidate (adapter, evidence, policy) -> what a person reads -> approvals/SITE.json -> the gate

    SITE/identity.key (0600)   identity.pub: what the coordinator's roster holds of this site

The word is about three hashes: of the adapter file, of the evidence and of the thresholds, so it
can't be carried over to other figures or to a laxer policy. The identity key is another than
`review.key`, which signs decisions on patients' clips and is known to nobody outside. The record is
the one that `ophora_server.release_gate` reads; the layers keep the two apart, a test holds them
together.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ophora_client.errors import SiteInvalid
from ophora_model.draft import write_private, write_whole
from ophora_model.errors import AdapterMismatch, BaseMissing, PlanInvalid
from ophora_model.release import Release, read_release
from ophora_model.strict import check_choice
from ophora_privacy.signed_record import canonical_bytes, sign_record

Word = Literal["approve", "reject"]
WORDS: tuple[Word, ...] = ("approve", "reject")
_KEY_BYTES = 32
_MOST_BYTES = 2**24


class IdentityKey:
    """Signs what the site says to others. The private key is never shown, logged or sent."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The site's identity key, made at its first use. Raises `SiteInvalid` for a damaged one.

        A key that is gone while its public half is left is not replaced: the coordinator's roster
        knows the old one.
        """
        path, public = folder / "identity.key", folder / "identity.pub"
        if not path.exists():
            if public.exists():
                raise SiteInvalid("identity.key is gone: restore it from the site's backup")
            write_private(path, Ed25519PrivateKey.generate().private_bytes_raw())
        seed = path.read_bytes()
        if len(seed) != _KEY_BYTES:
            raise SiteInvalid(
                f"identity.key has {len(seed)} bytes: must be {_KEY_BYTES}; restore it"
            )
        made = cls(Ed25519PrivateKey.from_private_bytes(seed))
        if not public.exists():
            write_whole(public, f"{made.public_key}\n".encode("ascii"))
        return made

    @property
    def public_key(self) -> str:
        """64 hexadecimal digits, for the coordinator's roster."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, name: str, document: Mapping[str, Any]) -> bytes:
        """A record that holds the document under this name, the public key and the signature."""
        return sign_record(self._key, name, document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A release that asks for approval, as a site reads it; `figures` and `thresholds` as given."""

    release: Release
    evidence_sha256: str
    policy_sha256: str
    figures: Sequence[Mapping[str, Any]]
    thresholds: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From a release's folder with evidence.json and policy.json beside it.

        The adapter is verified as `read_release` does, and the evidence must be of it. Figures and
        thresholds are for a person to read: whose policy it is, the gate verifies. Raises
        `BaseMissing`, `AdapterMismatch` or `PlanInvalid`.
        """
        release = read_release(folder)
        evidence = _read(folder / "evidence.json")
        policy = _read(folder / "policy.json").get("policy")
        figures = evidence.get("figures")
        if not isinstance(figures, list) or not all(isinstance(each, dict) for each in figures):
            raise PlanInvalid("evidence.json: figures must be a list of tables; ask for another")
        if not isinstance(policy, dict):
            raise PlanInvalid("policy.json: policy must be a table; ask for another")
        if evidence.get("adapter_sha256") != release.sha256:
            raise AdapterMismatch(
                "evidence.json: is of another adapter than this release; ask for this one's"
            )
        return cls(
            release=release,
            evidence_sha256=_hash(evidence),
            policy_sha256=_hash(policy),
            figures=figures,
            thresholds=policy,
        )


def sign_approval(
    candidate: Candidate, *, site: str, word: Word, key: IdentityKey, signed_at: str | None = None
) -> bytes:
    """The content of approvals/SITE.json. `signed_at` is UTC, 2026-01-31T09:30:00Z; now if None."""
    check_choice("decision", word, WORDS)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "site": site,
        "adapter_sha256": candidate.release.sha256,
        "evidence_sha256": candidate.evidence_sha256,
        "policy_sha256": candidate.policy_sha256,
        "decision": word,
        "signed_at": signed_at or now,
    }
    return key.sign("approval", document)


def write_approval(folder: Path, site: str, record: bytes) -> Path:
    """Puts the record into `folder`/approvals; a site's later word replaces its earlier one."""
    path = folder / "approvals" / f"{site}.json"
    path.parent.mkdir(exist_ok=True)
    write_whole(path, record)
    return path


def _read(path: Path) -> dict[str, Any]:
    """A record in its one form of bytes, so that its hash is what everybody finds."""
    if not path.is_file():
        raise BaseMissing(f"release has no {path.name}: give a candidate of the coordinator's")
    if path.stat().st_size > _MOST_BYTES:
        raise PlanInvalid(f"{path.name}: above {_MOST_BYTES} bytes; ask for another")
    payload = path.read_bytes()
    try:
        given = json.loads(payload)
        same = isinstance(given, dict) and canonical_bytes(given) == payload
    except (ValueError, RecursionError) as error:
        raise PlanInvalid(f"{path.name}: is not JSON without NaN; ask for another") from error
    if not same:
        raise PlanInvalid(f"{path.name}: not as it was written; ask for another")
    return dict(given)


def _hash(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_bytes(document)).hexdigest()
