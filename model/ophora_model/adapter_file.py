"""Adapter files: one safetensors file that diffusers and this package read alike, strictly here.

    transformer.NAME.lora_A.weight [rank, in], transformer.NAME.lora_B.weight [out, rank], float32
    metadata lora_adapter_metadata: rank, alpha and targets, in the words of peft
    metadata ophora: the card (base, adapter, stage, round, contributors, privacy, sampler, version)

Elsewhere a wrong prefix or a missing key loads as a weaker adapter, or none, without a word. Here
bytes go to names, types and shapes, then to the card, then to values, and each is checked before
the next is looked at; nothing is attached before all of it is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ophora_model.adapter_card import AdapterCard
from ophora_model.adapter_header import (
    DOWN,
    UP,
    check_entry,
    check_pairs,
    factor_key,
    metadata_of,
    pair_names,
    read_card,
    read_header,
)
from ophora_model.aggregation import Factors
from ophora_model.base_layout import BaseLayout, Layers, targeted_layers
from ophora_model.draft import write_whole
from ophora_model.errors import AdapterMismatch
from ophora_model.update import Tensors, Update, check_tensors

MAX_NORM = 1e4  # far above what tuning gives: meets what diverged or was spoilt


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
        own = {f"{name}{UP}": up for name, up in self.factors.up.items()}
        if self.card.seed is None:
            own |= {f"{name}{DOWN}": down for name, down in self.factors.down.items()}
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
        keyed[factor_key(name, UP)] = np.ascontiguousarray(adapter.factors.up[name])
        keyed[factor_key(name, DOWN)] = np.ascontiguousarray(adapter.factors.down[name])
    return bytes(save(keyed, metadata=metadata_of(adapter.card)))


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

    header = read_header(payload)
    card = read_card(header.pop("__metadata__", None))
    names: Collection[str] = pair_names(header)
    if layout is not None:
        check_base(card, layout)
        names = targeted_layers(layout.layers, card.targets)
    check_pairs(header, names)
    for key, entry in header.items():
        check_entry(key, entry, card.rank)
    try:
        keyed = load(payload)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise AdapterMismatch("no safetensors file or a spoilt one: fetch it again") from error
    up = {name: keyed[factor_key(name, UP)] for name in names}
    down = {name: keyed[factor_key(name, DOWN)] for name in names}
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
    check_pairs([factor_key(name, end) for name in found for end in (UP, DOWN)], wanted.keys())
    for name, sizes in wanted.items():
        if found[name] != sizes:
            raise AdapterMismatch(
                f"adapter tensor {name}: for a layer of {list(found[name])}, the base's is"
                f" {list(sizes)} (out, in); use the base that it was tuned on"
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
