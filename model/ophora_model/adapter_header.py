"""Headers of adapter files: names, types, shapes and both blocks of metadata, before any value.

    first bytes -> format -> JSON header -> card and diffusers' own config -> keys -> entries

Everything here is read from the first bytes of a file alone; adapter_file.py reads the values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ophora_model.adapter_card import AdapterCard
from ophora_model.errors import AdapterMismatch, PlanInvalid

_PREFIX, UP, DOWN = "transformer.", ".lora_B.weight", ".lora_A.weight"
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


def factor_key(name: str, end: str) -> str:
    """The key of a layer's factor in the file; `end` is UP or DOWN."""
    return f"{_PREFIX}{name}{end}"


def metadata_of(card: AdapterCard) -> dict[str, str]:
    """The metadata of a file: diffusers' config and the card, as JSON."""
    return {
        "format": "pt",
        _DIFFUSERS_KEY: json.dumps(_diffusers_config(card), sort_keys=True),
        _CARD_KEY: json.dumps(card.to_dict(), sort_keys=True, allow_nan=False),
    }


def read_header(payload: bytes) -> dict[str, Any]:
    """Names, types and shapes, with `__metadata__`. Raises `AdapterMismatch`."""
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


def read_card(metadata: object) -> AdapterCard:
    """The card in a header's metadata; diffusers must read the same. Raises `AdapterMismatch`."""
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


def pair_names(keys: Iterable[str]) -> list[str]:
    """The modules that a file's own keys name, each by one factor or both."""
    pattern = re.compile(rf"{re.escape(_PREFIX)}(.+)(?:{re.escape(UP)}|{re.escape(DOWN)})")
    return sorted({found[1] for found in map(pattern.fullmatch, keys) if found})


def check_pairs(keys: Iterable[str], names: Collection[str]) -> None:
    """Raises `AdapterMismatch` unless the keys are the factors of exactly these layers."""
    found = set(keys)
    wanted = {factor_key(name, end) for name in names for end in (UP, DOWN)}
    surplus, missing = sorted(found - wanted), sorted(wanted - found)
    stray = [key for key in surplus if not key.startswith(_PREFIX) and key.endswith((UP, DOWN))]
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


def check_entry(key: str, entry: Mapping[str, Any], rank: int) -> None:
    """Raises `AdapterMismatch` unless a tensor is float32, of two sizes and of the card's rank."""
    dtype, shape = entry.get("dtype"), entry.get("shape")
    if dtype != "F32":
        raise AdapterMismatch(
            f"tensor {key}: dtype={dtype!r}, must be 'F32'; convert it where it was made"
        )
    if not isinstance(shape, list) or len(shape) != 2:
        raise AdapterMismatch(f"tensor {key}: shape={shape!r}, must have two sizes; fetch it again")
    if shape[1 if key.endswith(UP) else 0] != rank:
        raise AdapterMismatch(
            f"tensor {key}: shape={shape!r} is not of the card's rank={rank};"
            " card and tensors are of two adapters, fetch the file again"
        )
