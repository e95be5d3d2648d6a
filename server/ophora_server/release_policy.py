"""Release policies: what a release has to hold, and whose signatures count.

    policy.toml -> ReleasePolicy -> `sign_policy` -> policy.json -> `read_policy` -> release gate

A policy can be strict or lax, but not silent: the five audits of leakage can't be left out, each
kind says how many samples it needs, and fewer than two sites never release. What is signed is a
document under a name in its canonical bytes (Ed25519), so that no signature serves for another
kind of document; the same form carries policies, approvals and the list of a release's files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ophora_model.draft import write_private, write_whole
from ophora_model.errors import ModelError, PlanInvalid
from ophora_model.strict import check_keys, check_number, check_whole
from ophora_privacy.errors import RecordRefused
from ophora_privacy.signed_record import SignedRecord, open_record, sign_record
from ophora_server.errors import InvalidFederation, RecordInvalid
from ophora_server.evidence import (
    HASH,
    KIND,
    hash_of,
    read_record,
)

AUDITS = ("membership", "canary", "replication", "iris", "overlay")
LEAST_APPROVALS = 2
SITE_CODE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_OPTIONAL = ("min_phase_match", "max_frechet")
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    """Thresholds, all of them inclusive. Raises `PlanInvalid`.

    Rates and AUC are held against the upper end of a figure's interval: membership AUC, true
    positives at 1 % false ones, share of replicated videos, share of re-identified irises.
    `max_readable_overlays` counts canary overlays that can be read in generated videos. The lower
    bound of epsilon by canaries is held against the epsilon that the release states, and that
    against `max_epsilon` (at a delta of at most `max_delta`). Phase match and Frechet distance
    count where they were measured; where `required` names "quality", they must have been.
    `required` are the kinds of evidence, the five of `AUDITS` among them; `min_samples` is by kind.
    """

    max_membership_auc: float
    max_membership_tpr: float
    max_replication_rate: float
    max_iris_rate: float
    max_readable_overlays: int
    max_epsilon: float
    max_delta: float
    min_sites: int
    min_approvals: int
    required: tuple[str, ...]
    min_samples: Mapping[str, int]
    min_phase_match: float | None = None
    max_frechet: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_membership_auc", "max_membership_tpr", "max_replication_rate"):
            check_number(name, getattr(self, name), low=0, high=1)
        check_number("max_iris_rate", self.max_iris_rate, low=0, high=1)
        check_whole("max_readable_overlays", self.max_readable_overlays, low=0)
        check_number("max_epsilon", self.max_epsilon, low=0, low_open=True)
        check_number("max_delta", self.max_delta, low=0, high=0.1, low_open=True)
        check_whole("min_sites", self.min_sites, low=1)
        # one site must not release, nor can the coordinator without any
        check_whole("min_approvals", self.min_approvals, low=LEAST_APPROVALS)
        if self.min_phase_match is not None:
            check_number("min_phase_match", self.min_phase_match, low=0, high=1)
        if self.max_frechet is not None:
            check_number("max_frechet", self.max_frechet, low=0)
        self._check_kinds()

    @property
    def sha256(self) -> str:
        """Hash of the thresholds, which approvals are about; it doesn't depend on who signed."""
        return hash_of(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **values,
            "required": list(self.required),
            "min_samples": dict(self.min_samples),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """The reverse of `to_dict`; the two of quality may be left out. Raises `PlanInvalid`."""
        held = {**dict.fromkeys(_OPTIONAL), **given} if isinstance(given, Mapping) else given
        check_keys("policy", held, tuple(field.name for field in fields(cls)))
        if not isinstance(held["required"], list):
            raise PlanInvalid(f"required={held['required']!r}: must be a list of kinds")
        return cls(**{**held, "required": tuple(held["required"])})

    @classmethod
    def read(cls, path: Path) -> Self:
        """From TOML that a person wrote. Raises `RecordInvalid`."""
        try:
            return cls.from_dict(tomllib.loads(read_record(path).decode("utf-8")))
        except (ValueError, ModelError) as error:
            raise RecordInvalid(f"{path.name}: {error}") from error

    def _check_kinds(self) -> None:
        for kind in self.required:
            if not isinstance(kind, str) or not KIND.fullmatch(kind):
                raise PlanInvalid(f"required={kind!r}: must be 1 to 32 of a-z 0-9 _ -")
        lacking = [kind for kind in AUDITS if kind not in self.required]
        if lacking:
            raise PlanInvalid(f"required: lacks {', '.join(lacking)}; no audit can be left out")
        if not isinstance(self.min_samples, Mapping):
            raise PlanInvalid(f"min_samples={self.min_samples!r}: must be a table of kinds")
        for kind in self.required:
            if kind not in self.min_samples:
                raise PlanInvalid(f"min_samples.{kind}: missing; say how many samples it needs")
        for kind, number in self.min_samples.items():
            check_whole(f"min_samples.{kind}", number, low=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The sites' public keys by site code, each site with a key of its own. Raises `PlanInvalid`.

    The coordinator is given them by the sites; a signature by any other key is nobody's.
    """

    keys: Mapping[str, str]

    def __post_init__(self) -> None:
        if not isinstance(self.keys, Mapping):
            raise PlanInvalid(f"roster={self.keys!r}: must be a table of site codes")
        for site, key in self.keys.items():
            if not isinstance(site, str) or not SITE_CODE.fullmatch(site):
                raise PlanInvalid(f"roster.{site}: must be a site code of a-z 0-9 -")
            if not isinstance(key, str) or not HASH.fullmatch(key):
                raise PlanInvalid(f"roster.{site}: must be 64 lower-case hexadecimal digits")
        if len(set(self.keys.values())) != len(self.keys):
            raise PlanInvalid("roster: two sites have one key; ask each for its own")

    @classmethod
    def read(cls, path: Path) -> Roster:
        """From TOML: `[sites]`, then code = "public key". Raises `RecordInvalid`."""
        try:
            given = tomllib.loads(read_record(path).decode("utf-8"))
            check_keys("roster", given, ("sites",))
            return cls(keys=given["sites"])
        except (ValueError, PlanInvalid) as error:
            raise RecordInvalid(f"{path.name}: {error}") from error


class CoordinatorKey:
    """Signs policies and releases (Ed25519). The private key is never shown, logged or sent."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def make(cls, path: Path) -> Self:
        """The key in this file, made at its first use (0600), with its public half beside it.

        Raises `InvalidFederation` for a damaged key, and where only the public half is left.
        """
        public = path.with_suffix(".pub")
        if not path.exists():
            if public.exists():
                raise InvalidFederation(f"{path.name} is gone: restore it from your backup")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_private(path, Ed25519PrivateKey.generate().private_bytes_raw())
        made = cls.open(path)
        if not public.exists():
            write_whole(public, f"{made.public_key}\n".encode("ascii"))
        return made

    @classmethod
    def open(cls, path: Path) -> Self:
        """The key in this file. Raises `InvalidFederation` where there is none of 32 bytes."""
        try:
            seed = path.read_bytes()
        except OSError as error:
            raise InvalidFederation(
                f"{path.name}: can't be read ({type(error).__name__});"
                " `ophora federation policy sign` makes it"
            ) from error
        if len(seed) != _KEY_BYTES:
            raise InvalidFederation(
                f"{path.name} has {len(seed)} bytes: must be {_KEY_BYTES}; restore it"
            )
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public_key(self) -> str:
        """64 hexadecimal digits: what others trust."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, name: str, document: Mapping[str, Any]) -> bytes:
        """A record that holds the document under this name, the public key and the signature."""
        return sign_record(self._key, name, document)


def open_signed(file: str, name: str, payload: bytes) -> SignedRecord:
    """The document under `name` in a signed record. Raises `RecordInvalid` on any other byte."""
    try:
        return open_record(name, payload)
    except RecordRefused as error:
        raise RecordInvalid(f"{file}: {error}") from error


def sign_policy(policy: ReleasePolicy, key: CoordinatorKey) -> bytes:
    """The content of policy.json."""
    return key.sign("policy", policy.to_dict())


def read_policy(path: Path, trusted: Collection[str]) -> ReleasePolicy:
    """A policy that one of the trusted keys signed. Raises `RecordInvalid`."""
    signed = open_signed(path.name, "policy", read_record(path))
    if signed.public_key not in trusted:
        raise RecordInvalid(
            f"{path.name}: signed by {signed.public_key[:12]}..., whom you don't trust;"
            " name its key, or sign it with yours"
        )
    try:
        return ReleasePolicy.from_dict(signed.document)
    except ModelError as error:
        raise RecordInvalid(f"{path.name}: {error}") from error


def read_public_key(path: Path) -> str:
    """The public key in a file as `CoordinatorKey.make` writes. Raises `RecordInvalid`."""
    text = read_record(path).decode("ascii", errors="replace").strip()
    if not HASH.fullmatch(text):
        raise RecordInvalid(f"{path.name}: must hold 64 lower-case hexadecimal digits")
    return text
