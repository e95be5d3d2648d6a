"""Releases: an adapter as a folder that any diffusers installation can load, with its card.

    FOLDER/adapter.safetensors   keys under "transformer.", alpha in `lora_adapter_metadata`
    FOLDER/release.json          preset, base, adapter, stage, round, history, SHA-256

The file holds both factors; reading checks names, shapes, values, hash, base and that the frozen
factor is the announced one before anything is attached.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.draft import write_whole
from ophora_model.errors import AdapterMismatch, BaseMissing
from ophora_model.presets import find_preset
from ophora_model.strict import check_keys
from ophora_model.update import Tensors, check_tensors

if TYPE_CHECKING:
    from ophora_model.adapter import Adapter
    from ophora_model.base import Base
    from ophora_model.sampling import Generator

_TENSORS, _CARD = "adapter.safetensors", "release.json"
_KEYS = ("preset", "base_fingerprint", "adapter", "stage", "round", "history", "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A verified release. `tensors` are the trained factors by module name."""

    preset: str
    base_fingerprint: str
    adapter: AdapterSpec
    stage: str
    round: int
    history: Sequence[Mapping[str, Any]]
    sha256: str
    tensors: Tensors


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
) -> Path:
    """Writes each file under a temporary name, renamed once whole; the card last.

    Raises `AdapterMismatch` where the tensors are not those of this adapter on this preset.
    """
    from safetensors.numpy import save

    from ophora_model.adapter import adapter_shapes, frozen_factor
    from ophora_model.base import empty_transformer

    transformer = empty_transformer(find_preset(preset), base_folder)
    check_tensors(tensors, adapter_shapes(transformer, adapter))
    keyed: dict[str, Any] = {}
    for name, up in sorted(tensors.items()):
        width = int(transformer.get_submodule(name).in_features)
        keyed[f"transformer.{name}.lora_B.weight"] = np.ascontiguousarray(up, np.float32)
        keyed[f"transformer.{name}.lora_A.weight"] = frozen_factor(adapter, name, width)
    payload = save(keyed, metadata=_metadata(adapter))
    card = {
        "preset": preset,
        "base_fingerprint": base_fingerprint,
        "adapter": adapter.to_dict(),
        "stage": stage,
        "round": round,
        "history": list(history),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / _TENSORS, payload)
    write_whole(folder / _CARD, json.dumps(card, indent=2, sort_keys=True).encode())
    return folder


def read_release(folder: Path) -> Release:
    """Reads and verifies. Raises `AdapterMismatch` or `BaseMissing` and names what is wrong."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    for part in (_TENSORS, _CARD):
        if not (folder / part).is_file():
            raise BaseMissing(f"release has no {part}: give a folder that a federation released")
    try:
        card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    except ValueError as error:
        raise AdapterMismatch(f"{_CARD} is not JSON: fetch the release again") from error
    check_keys("release", card, _KEYS)
    spec = AdapterSpec.from_dict(card["adapter"])
    payload = (folder / _TENSORS).read_bytes()
    found = hashlib.sha256(payload).hexdigest()
    if found != card["sha256"]:
        raise AdapterMismatch(
            f"{_TENSORS} has sha256 {found[:12]}..., its card says {str(card['sha256'])[:12]}...:"
            " fetch the release again"
        )
    try:
        keyed = load(payload)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise AdapterMismatch(f"{_TENSORS} is no safetensors file: fetch it again") from error
    return Release(**{**card, "adapter": spec, "tensors": _trained_factors(keyed, spec)})


def _trained_factors(keyed: Tensors, spec: AdapterSpec) -> dict[str, Any]:
    """The B factors by module name, once each has the announced A beside it and nothing else is."""
    from ophora_model.adapter import frozen_factor

    prefix, up, down = "transformer.", ".lora_B.weight", ".lora_A.weight"
    names = [key[len(prefix) : -len(up)] for key in keyed if key.endswith(up)]
    wanted = {f"{prefix}{name}{end}" for name in names for end in (up, down)}
    if set(keyed) != wanted:
        raise AdapterMismatch(
            f"{_TENSORS}: {len(set(keyed) ^ wanted)} tensors that are no pair of factors;"
            " fetch the release again"
        )
    for name in names:
        frozen = keyed[f"{prefix}{name}{down}"]
        width = frozen.shape[-1] if frozen.ndim == 2 else 1
        if not np.array_equal(frozen, frozen_factor(spec, name, width)):
            raise AdapterMismatch(
                f"{_TENSORS}: a frozen factor is not the one of adapter.seed={spec.seed};"
                " don't load it"
            )
    return {name: keyed[f"{prefix}{name}{up}"] for name in names}


def load_generator(
    release: Path | None, *, preset: str | None = None, base_folder: Path | None = None
) -> Generator:
    """A generator with the release's adapter, or with the bare base of `preset`.

    Raises `AdapterMismatch` where the release was tuned on another base, does not fit this one or
    has no effect.
    """
    from ophora_model.base import load_base
    from ophora_model.sampling import Generator

    if release is None:
        return Generator(load_base(find_preset(preset or "tiny"), base_folder))
    read = read_release(release)
    if preset is not None and preset != read.preset:
        raise AdapterMismatch(f"preset={preset!r}: this release was tuned on {read.preset!r}")
    base = load_base(find_preset(read.preset), base_folder)
    attach_release(base, read)
    return Generator(base)


def attach_release(base: Base, release: Release) -> Adapter:
    """Attaches the release's adapter to the base. Raises `AdapterMismatch`."""
    from ophora_model.adapter import attach_adapter

    if base.fingerprint != release.base_fingerprint:
        raise AdapterMismatch(
            f"release was tuned on base {release.base_fingerprint[:12]}..., this one is"
            f" {base.fingerprint[:12]}...: use the same base weights"
        )
    if not any(np.any(value) for value in release.tensors.values()):
        raise AdapterMismatch("release has no effect: every trained tensor is zero")
    if base.transformer is None:
        raise BaseMissing("base was loaded without part 'transformer': load it with that part")
    adapter = attach_adapter(base.transformer, release.adapter)
    check_tensors(release.tensors, adapter.shapes())
    adapter.write(release.tensors)
    return adapter


def _metadata(adapter: AdapterSpec) -> dict[str, str]:
    config = {
        "transformer.r": adapter.rank,
        "transformer.lora_alpha": adapter.alpha,
        "transformer.target_modules": list(adapter.targets),
        "transformer.peft_type": "LORA",
    }
    return {"format": "pt", "lora_adapter_metadata": json.dumps(config, sort_keys=True)}
