"""A candidate that holds the gate, on the tiny preset; a test states what it changes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ophora_client.approval import Candidate, IdentityKey, Word, sign_approval, write_approval
from ophora_model.adapter import adapter_shapes
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.base import base_fingerprint, empty_transformer
from ophora_model.presets import find_preset
from ophora_model.release import read_release, write_release
from ophora_server.evidence import Evidence, Figure
from ophora_server.release_policy import CoordinatorKey, ReleasePolicy, Roster, sign_policy

SITES = ("site-a", "site-b", "site-c")
COORDINATOR = CoordinatorKey(Ed25519PrivateKey.from_private_bytes(b"c" * 32))
STRANGER = CoordinatorKey(Ed25519PrivateKey.from_private_bytes(b"x" * 32))
SITE_KEYS = {
    site: IdentityKey(Ed25519PrivateKey.from_private_bytes(bytes([index + 1]) * 32))
    for index, site in enumerate(SITES)
}
ROSTER = Roster(keys={site: key.public_key for site, key in SITE_KEYS.items()})
_KINDS = ("membership", "canary", "replication", "iris", "overlay")
_POLICY = ReleasePolicy(
    max_membership_auc=0.6,
    max_membership_tpr=0.03,
    max_replication_rate=0.01,
    max_iris_rate=0.01,
    max_readable_overlays=0,
    max_epsilon=8.0,
    max_delta=1e-3,
    min_sites=2,
    min_approvals=2,
    required=_KINDS,
    min_samples={**dict.fromkeys(_KINDS, 100), "quality": 10},
    min_phase_match=0.5,
    max_frechet=40.0,
)


def make_policy(**changed: Any) -> ReleasePolicy:
    """Thresholds that `make_evidence` holds."""
    return replace(_POLICY, **changed)


def make_figure(kind: str, name: str, value: float | None, **changed: Any) -> Figure:
    """A figure of enough samples; an interval of a hundredth around the value of a share."""
    share = value is not None and name.rpartition(".")[2] in ("auc", "tpr", "rate")
    usual: dict[str, Any] = {
        "low": value - 0.001 if share and value is not None else None,
        "high": value + 0.001 if share and value is not None else None,
        "samples": 200,
        "command": f"ophora federation audit releases/p2ft --kind {kind}",
        "parameters": {"confidence": 0.95, "attack": "pia"},
        "seed": 7,
        "code_version": "0.1.0",
        "made_on": "2026-11-28",
    }
    return Figure(kind=kind, name=name, value=value, **{**usual, **changed})


def make_evidence(adapter_sha256: str, *changed: Figure, without: str = "") -> Evidence:
    """Figures that hold; `changed` ones come instead of those of their kind and name."""
    usual = (
        make_figure("membership", "auc", 0.52),
        make_figure("membership", "tpr", 0.012),
        make_figure("canary", "epsilon_lower", 0.9),
        make_figure("replication", "rate", 0.002),
        make_figure("iris", "rate", 0.003),
        make_figure("overlay", "readable", 0),
    )
    held = {f"{figure.kind} {figure.name}": figure for figure in (*usual, *changed)}
    figures = tuple(figure for name, figure in held.items() if name != without)
    return Evidence(adapter_sha256=adapter_sha256, figures=figures)


def write_plain_release(folder: Path, *, seed: int = 1, **changed: Any) -> Path:
    """A small release of two sites with epsilon 4."""
    preset = find_preset("tiny")
    spec = AdapterSpec(rank=2, alpha=2.0, targets=("attn1.to_q",), seed=3)
    rng = np.random.default_rng(seed)
    shapes = adapter_shapes(empty_transformer(preset), spec)
    usual: dict[str, Any] = {
        "preset": "tiny",
        "base_fingerprint": base_fingerprint(preset),
        "adapter": spec,
        "tensors": {key: rng.normal(size=size).astype(np.float32) for key, size in shapes.items()},
        "stage": "p2ft",
        "round": 2,
        "history": [{"round": 1, "sites": ["site-a", "site-b"]}],
        "contributors": ("site-a", "site-b"),
        "epsilon": 4.0,
        "delta": 1e-4,
    }
    return write_release(folder, **{**usual, **changed})


def complete(folder: Path, *changed: Figure, policy: ReleasePolicy = _POLICY) -> Path:
    """Puts evidence and the signed policy beside the release in the folder."""
    make_evidence(read_release(folder).sha256, *changed).write(folder / "evidence.json")
    (folder / "policy.json").write_bytes(sign_policy(policy, COORDINATOR))
    return folder


def say(folder: Path, site: str, word: Word = "approve") -> Path:
    """The site signs for or against the candidate, as `ophora site approve` does."""
    record = sign_approval(Candidate.read(folder), site=site, word=word, key=SITE_KEYS[site])
    return write_approval(folder, site, record)


def write_candidate(folder: Path) -> Path:
    """A release that holds the gate: measured, and approved by two sites."""
    complete(write_plain_release(folder))
    for site in SITES[:2]:
        say(folder, site)
    return folder
