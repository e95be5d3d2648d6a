"""Releases: an adapter as a folder that any diffusers installation can load, with its card.

    FOLDER/adapter.safetensors   an adapter file (adapter_file.py)
    FOLDER/release.json          the same card, the history of rounds, SHA-256 of the file

Both are replaced together or not at all. Reading checks hash, card and everything that an adapter
file promises; attaching checks base, names and sizes. A single adapter file reads as a release
without a history.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ophora_model.adapter_card import CARD_KEYS, AdapterCard
from ophora_model.adapter_file import (
    AdapterFile,
    adapter_bytes,
    check_sizes,
    parse_adapter,
    read_adapter,
    seeded_adapter,
)
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.aggregation import Factors
from ophora_model.draft import draft_of, sync
from ophora_model.errors import AdapterMismatch, BaseMissing, PlanInvalid
from ophora_model.presets import find_preset
from ophora_model.strict import check_keys
from ophora_model.update import Tensors

if TYPE_CHECKING:
    from ophora_model.adapter import Adapter
    from ophora_model.base import Base
    from ophora_model.sampling import Generator

_TENSORS, _CARD = "adapter.safetensors", "release.json"
_KEYS = (*CARD_KEYS, "history", "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A verified release: its adapter file, the history of rounds and the file's SHA-256."""

    content: AdapterFile
    history: Sequence[Mapping[str, Any]]
    sha256: str

    @property
    def card(self) -> AdapterCard:
        """All that the release says of itself."""
        return self.content.card

    @property
    def preset(self) -> str:
        """Name of the preset it was tuned on."""
        return self.card.preset

    @property
    def base_fingerprint(self) -> str:
        """Hash of the base's weights."""
        return self.card.base_fingerprint

    @property
    def adapter(self) -> AdapterSpec:
        """Rank, alpha, targets and seed (0 where no seed draws A)."""
        return self.card.spec()

    @property
    def stage(self) -> str:
        """The stage that ended in it."""
        return self.card.stage

    @property
    def round(self) -> int:
        """The last round in it."""
        return self.card.round

    @property
    def tensors(self) -> Tensors:
        """The trained factors by module name."""
        return self.content.factors.up


def write_release(
    folder: Path,
    *,
    preset: str,
    base_fingerprint: str,
    adapter: AdapterSpec,
    tensors: Tensors,
    stage: str,
    round: int,
    history: Sequence[Mapping[str, Any]] = (),
    base_folder: Path | None = None,
    contributors: Sequence[str] = (),
    epsilon: float | None = None,
    delta: float | None = None,
    sampler: Mapping[str, Any] | None = None,
    code_version: str | None = None,
    down: Tensors | None = None,
) -> Path:
    """Writes both files under temporary names, renamed once both are whole; the card last.

    Contributors are pseudonyms; without epsilon and delta no guarantee is stated; the version is
    this package's unless given. `down` are A factors that no seed draws (a merge's), in place of
    those of the adapter's seed. A stacked adapter is written as one of its whole rank. Raises
    `AdapterMismatch` where the tensors are not those of this adapter on this preset, `PlanInvalid`
    on a value of the card, and `OSError`; then an earlier release stays as it was.
    """
    from ophora_model.base import empty_transformer
    from ophora_model.base_layout import linear_layers

    card = AdapterCard(
        preset=preset,
        base_fingerprint=base_fingerprint,
        targets=adapter.targets,
        rank=adapter.rank,
        alpha=adapter.alpha,
        seed=adapter.seed if down is None else None,
        stage=stage,
        round=round,
        contributors=tuple(contributors),
        epsilon=epsilon,
        delta=delta,
        sampler=dict(sampler or {}),
        code_version=code_version or importlib.metadata.version("ophora-federated"),
    )
    layers = linear_layers(empty_transformer(find_preset(preset), base_folder))
    if down is None:
        content = seeded_adapter(card, tensors, layers)
    else:
        content = AdapterFile(card=card, factors=Factors(up=dict(tensors), down=dict(down)))
        check_sizes(content, layers)
    _write(folder, content, history)
    return folder


def read_release(path: Path) -> Release:
    """Reads and verifies a release's folder, or an adapter file.

    Raises `AdapterMismatch` or `BaseMissing` and names what is wrong.
    """
    if path.is_file():
        content = read_adapter(path)
        return Release(content=content, history=(), sha256=_hash(path.read_bytes()))
    for part in (_TENSORS, _CARD):
        if not (path / part).is_file():
            raise BaseMissing(f"release has no {part}: give a folder that a federation released")
    card, history, announced = _read_card(path / _CARD)
    payload = (path / _TENSORS).read_bytes()
    if _hash(payload) != announced:
        raise AdapterMismatch(
            f"{_TENSORS} has sha256 {_hash(payload)[:12]}..., its card says {announced[:12]}...:"
            " fetch the release again"
        )
    try:
        content = parse_adapter(payload)
    except AdapterMismatch as error:
        raise AdapterMismatch(f"{_TENSORS}: {error}") from error
    _check_same_card(card, content.card)
    return Release(content=content, history=history, sha256=announced)


def load_generator(
    release: Path | None, *, preset: str | None = None, base_folder: Path | None = None
) -> Generator:
    """A generator with the release's adapter, or with the bare base of `preset`.

    Raises `AdapterMismatch` where the release was tuned on another base, does not fit this one or
    does not move its output.
    """
    from ophora_model.attachment import check_effect
    from ophora_model.base import load_base
    from ophora_model.sampling import Generator

    if release is None:
        return Generator(load_base(find_preset(preset or "tiny"), base_folder))
    read = read_release(release)
    if preset is not None and preset != read.preset:
        raise AdapterMismatch(f"preset={preset!r}: this release was tuned on {read.preset!r}")
    base = load_base(find_preset(read.preset), base_folder)
    check_effect(base, attach_release(base, read))
    return Generator(base)


def attach_release(base: Base, release: Release) -> Adapter:
    """Attaches the release's adapter to the base. Raises `AdapterMismatch`."""
    from ophora_model.attachment import attach_file

    return attach_file(base, release.content)


def _write(folder: Path, content: AdapterFile, history: Sequence[Mapping[str, Any]]) -> None:
    payload = adapter_bytes(content)
    card = {**content.card.to_dict(), "history": list(history), "sha256": _hash(payload)}
    text = json.dumps(card, indent=2, sort_keys=True, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    with draft_of(folder / _CARD) as card_part, draft_of(folder / _TENSORS) as tensors_part:
        tensors_part.write_bytes(payload)
        card_part.write_bytes(text.encode())
        sync(card_part)  # before the first rename: a full disk must not part the two


def _read_card(path: Path) -> tuple[AdapterCard, list[Mapping[str, Any]], str]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AdapterMismatch(f"{_CARD} is not JSON: fetch the release again") from error
    try:
        check_keys("release", given, _KEYS)
        card = AdapterCard.from_dict({key: given[key] for key in CARD_KEYS})
    except PlanInvalid as error:
        raise AdapterMismatch(f"{_CARD}: {error}; fetch the release again") from error
    if not isinstance(given["history"], list):
        raise AdapterMismatch(f"{_CARD}: history must be a list; fetch the release again")
    return card, given["history"], str(given["sha256"])


def _check_same_card(card: AdapterCard, inner: AdapterCard) -> None:
    said, held = card.to_dict(), inner.to_dict()
    for key in CARD_KEYS:
        if said[key] != held[key]:
            raise AdapterMismatch(
                f"{_CARD} says {key}={said[key]!r}, {_TENSORS} says {held[key]!r}:"
                " fetch the release again"
            )


def _hash(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()
