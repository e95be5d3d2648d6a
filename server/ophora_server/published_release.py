"""Published releases: a folder that passed the gate and carries all that shows it.

    OUT/adapter.safetensors  release.json       the release (ophora_model.release)
        evidence.json  policy.json (signed)     what was measured, and what had to hold
        approvals/SITE.json (signed)            what each site decided
        decision.json  MODEL_CARD.md            the gate's rows, and all of it in words
        SIGNATURE.json                          SHA-256 of every file, signed by the coordinator

    candidate folder -> copy -> decide -> card -> signature -> verified as a stranger would -> OUT

A candidate is a release's folder with evidence, policy and approvals put beside it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ophora_model.draft import sync, write_whole
from ophora_model.errors import ModelError, PlanInvalid
from ophora_model.release import Release, read_release
from ophora_privacy.signed_record import canonical_bytes
from ophora_server.errors import RecordInvalid, ReleaseHeld, ReleaseUntrusted
from ophora_server.evidence import Evidence, parse_record, read_record
from ophora_server.model_card import render_card
from ophora_server.release_gate import Decision, decide
from ophora_server.release_policy import (
    SITE_CODE,
    CoordinatorKey,
    ReleasePolicy,
    Roster,
    open_signed,
    read_policy,
)

SIGNATURE, DECISION, MODEL_CARD = "SIGNATURE.json", "decision.json", "MODEL_CARD.md"
EVIDENCE, POLICY, APPROVALS = "evidence.json", "policy.json", "approvals"
_GIVEN = ("adapter.safetensors", "release.json", EVIDENCE, POLICY)
_MADE = (DECISION, MODEL_CARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRelease:
    """A release with its records, each verified by itself, and the gate's decision on them."""

    release: Release
    evidence: Evidence
    policy: ReleasePolicy
    decision: Decision


def judge(folder: Path, *, roster: Roster, trusted: Collection[str]) -> JudgedRelease:
    """Reads a candidate and takes the gate's decision, whatever it is; nothing is written.

    `trusted` are public keys that the policy may be signed with. Raises `RecordInvalid` where a
    record can't be used, and what `read_release` raises.
    """
    release = read_release(folder)
    evidence = Evidence.read(folder / EVIDENCE)
    policy = read_policy(folder / POLICY, trusted)
    decision = decide(
        policy,
        evidence,
        _read_approvals(folder),
        release.card,
        adapter_sha256=release.sha256,
        roster=roster,
    )
    return JudgedRelease(release=release, evidence=evidence, policy=policy, decision=decision)


def publish(candidate: Path, out: Path, *, key: CoordinatorKey, roster: Roster) -> JudgedRelease:
    """Writes the published release `out`, which is there whole and verified, or not at all.

    The policy must be signed with the same key. Raises `ReleaseHeld` where the gate does not hold,
    `PlanInvalid` where `out` is there already, and what `judge` raises.
    """
    if out.exists() or out.is_symlink():
        raise PlanInvalid(f"{out.name}: is there already; give another name")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    trusted = (key.public_key,)
    try:
        _copy(candidate, part)  # what is judged from here on is what is published
        judged = judge(part, roster=roster, trusted=trusted)
        _check_holds(judged.decision)
        _seal(part, judged, key)
        verify_release_folder(part, trusted, roster=roster)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync(out.parent)
    return judged


def verify_release_folder(
    folder: Path, trusted: Collection[str], *, roster: Roster | None = None
) -> JudgedRelease:
    """Checks a published release by its folder alone; only the trusted keys come from elsewhere.

    Guaranteed: one of the `trusted` public keys signed every byte and the policy; no file is
    missing or added; the records are about this adapter; and the decision, taken again from them,
    is the recorded one and holds. Without `roster` the sites' keys are those that the coordinator
    recorded; with it, they must be the ones given. Raises `ReleaseUntrusted`, no other.
    """
    try:
        _check_files(folder, trusted)
        recorded = read_record(folder / DECISION)
        named = Roster(keys=parse_record(DECISION, recorded).get("roster", {}))
        judged = judge(folder, roster=named, trusted=trusted)
    except (RecordInvalid, ModelError, OSError) as error:
        raise ReleaseUntrusted(f"{error}; don't use this release") from error
    if canonical_bytes(judged.decision.to_dict()) != recorded:
        raise ReleaseUntrusted(f"{DECISION}: the records lead to another decision; don't use it")
    if not judged.decision.holds:
        raise ReleaseUntrusted(f"{DECISION}: the gate does not hold; don't use it")
    for site in judged.decision.approved if roster else ():
        if roster and roster.keys.get(site) != named.keys[site]:
            raise ReleaseUntrusted(f"{site}: approved with another key than yours of this site")
    return judged


def _copy(candidate: Path, part: Path) -> None:
    """The files that a published release is made from, and no others."""
    (part / APPROVALS).mkdir(parents=True)
    for name in _GIVEN:
        if not (candidate / name).is_file():
            raise RecordInvalid(f"{name}: missing in {candidate.name}; put it there first")
        shutil.copyfile(candidate / name, part / name)
    for site, payload in _read_approvals(candidate).items():
        (part / APPROVALS / f"{site}.json").write_bytes(payload)


def _read_approvals(folder: Path) -> dict[str, bytes]:
    """By site code. A file that can't be one is refused, so that none is passed over."""
    found = {}
    for path in sorted((folder / APPROVALS).glob("*")):
        if path.suffix != ".json" or not SITE_CODE.fullmatch(path.stem):
            raise RecordInvalid(f"{APPROVALS}/{path.name[:64]}: must be SITE.json; take it away")
        found[path.stem] = read_record(path)
    return found


def _check_holds(decision: Decision) -> None:
    if not decision.holds:
        reasons = "; ".join(f"{row.name}: {row.why}" for row in decision.failing)
        raise ReleaseHeld(f"the gate does not hold: {reasons}")


def _seal(part: Path, judged: JudgedRelease, key: CoordinatorKey) -> None:
    """Decision, card and, over all files, the signature; synced before the folder is renamed."""
    card = render_card(judged.release, judged.evidence, judged.policy, judged.decision)
    write_whole(part / DECISION, canonical_bytes(judged.decision.to_dict()))
    write_whole(part / MODEL_CARD, card.encode("utf-8"))
    hashes = _hashes(part)
    for name in hashes:
        sync(part / name)
    write_whole(part / SIGNATURE, key.sign("files", hashes))
    sync(part / APPROVALS)
    sync(part)


def _check_files(folder: Path, trusted: Collection[str]) -> None:
    """Every file is there, none is added, and a trusted key signed their hashes."""
    signed = open_signed(SIGNATURE, "files", read_record(folder / SIGNATURE))
    if signed.public_key not in trusted:
        raise RecordInvalid(f"{SIGNATURE}: signed by {signed.public_key[:12]}..., nobody you trust")
    found, listed = _hashes(folder), signed.document
    for name in (*_GIVEN, *_MADE):
        if name not in listed:
            raise RecordInvalid(f"{SIGNATURE}: does not list {name}")
    for name in sorted({*found, *listed}):
        if found.get(name) != listed.get(name):
            said = "changed" if name in found and name in listed else "missing"
            raise RecordInvalid(f"{name[:64]}: {said if name in listed else 'not of the release'}")


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the signature, by path within the folder. Raises RecordInvalid."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or name == APPROVALS):
            raise RecordInvalid(f"{name[:64]}: must be a plain file; take it away")
        if path.is_file() and name != SIGNATURE:
            with path.open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes
