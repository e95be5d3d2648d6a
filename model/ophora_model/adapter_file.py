"""Adapter files: one safetensors file that diffusers and this package read alike, strictly here.

    transformer.NAME.lora_A.weight [rank, in], transformer.NAME.lora_B.weight [out, rank], float32
    metadata lora_adapter_metadata: rank, alpha and targets, in the words of peft
    metadata ophora: the card (base, adapter, stage, round, contributors, privacy, sampler, version)

Elsewhere a wrong prefix or a missing key loads as a weaker adapter, or none, without a word. Here
bytes go to names, types and shapes, then to the card, then to values, and each is checked before
the next is looked at; nothing is attached before all of it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ophora_model.adapter_card import AdapterCard
from ophora_model.aggregation import Factors
from ophora_model.base_layout import BaseLayout, Layers, targeted_layers
from ophora_model.draft import write_whole
from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.update import Tensors, Update, check_tensors

MAX_NORM = 1e4  # far above what tuning gives: meets what diverged or was spoilt
_PREFIX, _UP, _DOWN = "transformer.", ".lora_B.weight", ".lora_A.weight"
_CARD_KEY, _DIFFUSERS_KEY = "ophora", "lora_adapter_metadata"
_MAX_HEADER_BYTES = 2**24
_CONVERT = "never opened here, it can run code; convert it to safetensors where it was made"
_OTHER_FORMATS = (
    (b"PK", "a zip archive (PyTorch's .bin and .pt, or .npz)", _CONVERT),
    (b"\x80", "a pickle", _CONVERT),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself with git lfs pull"),
    (b"<", "a web page", "download the file itself"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFile:
    """A card and its factors by module name: finite, float32, of the card's rank."""

    card: AdapterCard
    factors: Factors

    def __post_init__(self) -> None:
        for name, up in self.factors.up.items():
            if up.shape[1] != self.card.rank:
                raise AdapterMismatch(
                    f"adapter tensor {name}: rank {up.shape[1]}, its card says"
                    f" {self.card.rank}; write the card of these tensors"
                )

    def trained(self) -> Update:
        """What was trained: B, and A as well where no seed draws it."""
        own = {f"{name}{_UP}": up for name, up in self.factors.up.items()}
        if self.card.seed is None:
            own |= {f"{name}{_DOWN}": down for name, down in self.factors.down.items()}
        return Update(tensors=own)


def seeded_adapter(card: AdapterCard, trained: Tensors, layers: Layers) -> AdapterFile:
    """An FFA adapter from its trained B factors; A is drawn from the card's seed.

    Raises `AdapterMismatch` unless they are exactly those of the card's targets in `layers`.
    """
    from ophora_model.adapter import frozen_factor

    wanted = targeted_layers(layers, card.targets)
    check_tensors(trained, {name: (out, card.rank) for name, (out, _) in wanted.items()})
    down = {name: frozen_factor(card.spec(), name, width) for name, (_, width) in wanted.items()}
    return AdapterFile(card=card, factors=Factors(up=dict(trained), down=down))


def adapter_bytes(adapter: AdapterFile, *, max_norm: float = MAX_NORM) -> bytes:
    """The file's content. Raises `AdapterMismatch` on factors that no reader would take.

    An adapter without effect can be written (a first round may end so); reading refuses it.
    """
    from safetensors.numpy import save

    _check_values(adapter, max_norm)
    keyed = {}
    for name in sorted(adapter.factors.up):
        keyed[f"{_PREFIX}{name}{_UP}"] = np.ascontiguousarray(adapter.factors.up[name])
        keyed[f"{_PREFIX}{name}{_DOWN}"] = np.ascontiguousarray(adapter.factors.down[name])
    metadata = {
        "format": "pt",
        _DIFFUSERS_KEY: json.dumps(_diffusers_config(adapter.card), sort_keys=True),
        _CARD_KEY: json.dumps(adapter.card.to_dict(), sort_keys=True, allow_nan=False),
    }
    return bytes(save(keyed, metadata=metadata))


def write_adapter(path: Path, adapter: AdapterFile, *, max_norm: float = MAX_NORM) -> None:
    """Writes the file whole or leaves the earlier one. Raises as `adapter_bytes`, and `OSError`."""
    payload = adapter_bytes(adapter, max_norm=max_norm)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, payload)


def read_adapter(
    path: Path, *, layout: BaseLayout | None = None, max_norm: float = MAX_NORM
) -> AdapterFile:
    """Reads and verifies a file; `parse_adapter` says what. Raises `AdapterMismatch`, no other."""
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise AdapterMismatch(
            f"{path.name}: can't be read ({type(error).__name__}); give an adapter file"
        ) from error
    try:
        return parse_adapter(payload, layout=layout, max_norm=max_norm)
    except AdapterMismatch as error:
        raise AdapterMismatch(f"{path.name}: {error}") from error


def parse_adapter(
    payload: bytes, *, layout: BaseLayout | None = None, max_norm: float = MAX_NORM
) -> AdapterFile:
    """The adapter in a file's bytes, or `AdapterMismatch` with what, the value and the remedy.

    Checked: the format, both blocks of metadata, pairs, types, rank and shapes, that all is finite,
    that A is the seed's, that B has a norm above 0 and at most `max_norm`; and, with `layout`, that
    base, names and shapes are the base's.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    header = _read_header(payload)
    card = _read_card(header.pop("__metadata__", None))
    names: Collection[str] = _pair_names(header)
    if layout is not None:
        check_base(card, layout)
        names = targeted_layers(layout.layers, card.targets)
    _check_keys(header, names)
    for key, entry in header.items():
        _check_entry(key, entry, card.rank)
    try:
        keyed = load(payload)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise AdapterMismatch("no safetensors file or a spoilt one: fetch it again") from error
    up = {name: keyed[f"{_PREFIX}{name}{_UP}"] for name in names}
    down = {name: keyed[f"{_PREFIX}{name}{_DOWN}"] for name in names}
    adapter = AdapterFile(card=card, factors=Factors(up=up, down=down))
    if layout is not None:
        check_sizes(adapter, layout.layers)
    _check_values(adapter, max_norm)
    check_trained(adapter)
    return adapter


def check_base(card: AdapterCard, layout: BaseLayout) -> None:
    """Raises `AdapterMismatch` where the adapter was tuned on another base."""
    if card.base_fingerprint != layout.fingerprint:
        raise AdapterMismatch(
            f"adapter was tuned on base {card.base_fingerprint[:12]}..., this one is"
            f" {layout.fingerprint[:12]}...: use the same base weights"
        )
    if card.preset != layout.preset:
        raise AdapterMismatch(
            f"preset={card.preset!r}: this base is {layout.preset!r}; load the adapter's preset"
        )


def check_trained(adapter: AdapterFile) -> None:
    """Raises `AdapterMismatch` where B is zero throughout: such an adapter changes nothing."""
    if not any(np.any(up) for up in adapter.factors.up.values()):
        raise AdapterMismatch(
            "adapter has no effect: every trained tensor is zero; release a round that was tuned"
        )


def check_sizes(adapter: AdapterFile, layers: Layers) -> None:
    """Raises `AdapterMismatch` unless the factors are those of the card's targets in `layers`."""
    wanted, found = targeted_layers(layers, adapter.card.targets), adapter.factors.layers()
    _check_keys([f"{_PREFIX}{name}{end}" for name in found for end in (_UP, _DOWN)], wanted.keys())
    for name, sizes in wanted.items():
        if found[name] != sizes:
            raise AdapterMismatch(
                f"adapter tensor {name}: for a layer of {list(found[name])}, the base's is"
                f" {list(sizes)} (out, in); use the base that it was tuned on"
            )


def _read_header(payload: bytes) -> dict[str, Any]:
    """Names, types and shapes, from the first bytes alone."""
    for start, kind, remedy in _OTHER_FORMATS:
        if payload.startswith(start):
            raise AdapterMismatch(f"is {kind}, no safetensors file: {remedy}")
    length = int.from_bytes(payload[:8], "little")
    if not 2 <= length <= min(_MAX_HEADER_BYTES, len(payload) - 8):
        raise AdapterMismatch(
            f"no safetensors file or cut short: {len(payload)} bytes, a header of {length}"
            " announced; fetch it again"
        )
    header = _read_json("header", payload[8 : 8 + length])
    for key, entry in header.items():
        if not isinstance(entry, dict):
            raise AdapterMismatch(f"header: {key[:99]!r} is no table; fetch the file again")
    return header


def _read_json(what: str, text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AdapterMismatch(
            f"{what} is not JSON: no safetensors file of ours, or a spoilt one; fetch it again"
        ) from error
    if not isinstance(found, dict):
        raise AdapterMismatch(f"{what} must be one JSON object: fetch the file again")
    return found


def _read_card(metadata: object) -> AdapterCard:
    held = metadata if isinstance(metadata, dict) else {}
    for key in (_CARD_KEY, _DIFFUSERS_KEY):
        if not isinstance(held.get(key), str):
            raise AdapterMismatch(
                f"metadata has no {key!r}: another tool wrote the file, or dropped it;"
                " fetch the file as it was released"
            )
    try:
        card = AdapterCard.from_dict(_read_json(f"metadata {_CARD_KEY!r}", held[_CARD_KEY]))
    except PlanInvalid as error:
        raise AdapterMismatch(f"metadata {_CARD_KEY!r}: {error}; fetch the file again") from error
    found = _read_json(f"metadata {_DIFFUSERS_KEY!r}", held[_DIFFUSERS_KEY])
    for key, value in _diffusers_config(card).items():
        if found.get(key) != value:
            raise AdapterMismatch(
                f"metadata {_DIFFUSERS_KEY!r}: {key}={found.get(key)!r}, the card says {value!r};"
                " it would load at another strength elsewhere, fetch it again"
            )
    return card


def _diffusers_config(card: AdapterCard) -> dict[str, Any]:
    return {
        f"{_PREFIX}r": card.rank,
        f"{_PREFIX}lora_alpha": card.alpha,
        f"{_PREFIX}target_modules": list(card.targets),
        f"{_PREFIX}peft_type": "LORA",
    }


def _pair_names(keys: Iterable[str]) -> list[str]:
    """The modules that a file's own keys name, each by one factor or both."""
    pattern = re.compile(rf"{re.escape(_PREFIX)}(.+)(?:{re.escape(_UP)}|{re.escape(_DOWN)})")
    return sorted({found[1] for found in map(pattern.fullmatch, keys) if found})


def _check_keys(keys: Iterable[str], names: Collection[str]) -> None:
    found = set(keys)
    wanted = {f"{_PREFIX}{name}{end}" for name in names for end in (_UP, _DOWN)}
    surplus, missing = sorted(found - wanted), sorted(wanted - found)
    stray = [key for key in surplus if not key.startswith(_PREFIX) and key.endswith((_UP, _DOWN))]
    if stray:
        raise AdapterMismatch(
            f"{len(stray)} tensors lack the prefix {_PREFIX!r} ({_first(stray)}): diffusers would"
            " pass them over without a word; rename them"
        )
    if not wanted:
        raise AdapterMismatch(f"{len(found)} tensors, none a factor of a layer: fetch it again")
    if missing:
        raise AdapterMismatch(
            f"{len(missing)} of {len(wanted)} tensors missing ({_first(missing)}):"
            " fetch the whole file again"
        )
    if surplus:
        raise AdapterMismatch(
            f"{len(surplus)} tensors that are no pair of factors of the targets"
            f" ({_first(surplus)}): don't load it, fetch it again"
        )


def _first(keys: Sequence[str]) -> str:
    return ", ".join(key[:99] for key in keys[:3])


def _check_entry(key: str, entry: Mapping[str, Any], rank: int) -> None:
    dtype, shape = entry.get("dtype"), entry.get("shape")
    if dtype != "F32":
        raise AdapterMismatch(
            f"tensor {key}: dtype={dtype!r}, must be 'F32'; convert it where it was made"
        )
    if not isinstance(shape, list) or len(shape) != 2:
        raise AdapterMismatch(f"tensor {key}: shape={shape!r}, must have two sizes; fetch it again")
    if shape[1 if key.endswith(_UP) else 0] != rank:
        raise AdapterMismatch(
            f"tensor {key}: shape={shape!r} is not of the card's rank={rank};"
            " card and tensors are of two adapters, fetch the file again"
        )


def _check_values(adapter: AdapterFile, max_norm: float) -> None:
    from ophora_model.adapter import frozen_factor

    norm = adapter.trained().l2_norm()
    if not norm <= max_norm:
        raise AdapterMismatch(
            f"norm of the trained tensors={norm:.4g}: must be <= {max_norm:g};"
            " tuning diverged or the file is spoilt, don't load it"
        )
    card = adapter.card
    if card.seed is None:
        return
    for name, down in adapter.factors.down.items():
        if not np.array_equal(down, frozen_factor(card.spec(), name, down.shape[1])):
            raise AdapterMismatch(
                f"a frozen factor is not the one of adapter.seed={card.seed} ({name});"
                " don't load it"
            )
