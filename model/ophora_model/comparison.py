"""Comparison and merging of adapter files, by what they add to each layer: (alpha / rank) B A.

Norms and angles are of that product, taken from small cores of the factors, so two adapters of
different rank or seed compare, and no [out, in] matrix is formed.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ophora_model.adapter_card import CARD_KEYS, AdapterCard
from ophora_model.adapter_file import AdapterFile
from ophora_model.aggregation import (
    Factors,
    check_same_layers,
    check_weights,
    ffa_mean,
    product_mean,
    stack_factors,
)
from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.update import Tensors, Update

_MAX_RANK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDifference:
    """One layer that both adapters change.

    `relative` is the Frobenius norm of the difference over the larger of the two norms, in [0, 2];
    `cosine` is of the products as vectors, None where one is zero.
    """

    name: str
    norm_a: float
    norm_b: float
    relative: float
    cosine: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterDifference:
    """Layers in the order of names, the whole of them as one, and what the cards differ in.

    `card` maps a key to its values in a and in b.
    """

    layers: tuple[LayerDifference, ...]
    whole: LayerDifference
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    card: Mapping[str, tuple[Any, Any]]


def diff_adapters(a: AdapterFile, b: AdapterFile) -> AdapterDifference:
    """How far two adapters are apart, by layer and in all. `whole` counts the shared layers only.

    Raises `AdapterMismatch` where a shared layer differs in size: then the bases do.
    """
    sizes_a, sizes_b = a.factors.layers(), b.factors.layers()
    shared = sorted(sizes_a.keys() & sizes_b.keys())
    for name in shared:
        if sizes_a[name] != sizes_b[name]:
            raise AdapterMismatch(
                f"layer {name}: {list(sizes_a[name])} in a, {list(sizes_b[name])} in b;"
                " compare adapters of one base"
            )
    parts = [_inner_products(a, b, name) for name in shared]
    said_a, said_b = a.card.to_dict(), b.card.to_dict()
    return AdapterDifference(
        layers=tuple(_difference(name, *part) for name, part in zip(shared, parts, strict=True)),
        whole=_difference("", *(math.fsum(column) for column in zip(*parts, strict=True)))
        if parts
        else _difference("", 0.0, 0.0, 0.0, 0.0),
        only_in_a=tuple(sorted(sizes_a.keys() - sizes_b.keys())),
        only_in_b=tuple(sorted(sizes_b.keys() - sizes_a.keys())),
        card={key: (said_a[key], said_b[key]) for key in CARD_KEYS if said_a[key] != said_b[key]},
    )


def merge_adapters(
    files: Sequence[AdapterFile], weights: Sequence[float], *, rank: int | None = None
) -> AdapterFile:
    """The weighted mean of what the adapters add to each layer, as one adapter.

    Over one seed (and rank) it is an FFA adapter again and the mean is exact up to float32. Over
    different seeds it has factors of its own, seed None and alpha equal to rank: exact where `rank`
    is None, which takes the sum of the ranks, and else the best of that rank. The card's epsilon
    and delta are the sums (sequential composition, whoever the patients are), or None where one
    states none. Raises `AdapterMismatch` on different bases or layers, and `PlanInvalid` on
    weights, or on a rank that is above 1024 or another than that of adapters of one seed.
    """
    check_weights(weights, len(files))
    first = files[0].card
    for file in files:
        _check_same_base(first, file.card)
        check_same_layers(files[0].factors, file.factors)
    if first.seed is not None and len({(file.card.seed, file.card.rank) for file in files}) == 1:
        if rank is not None and rank != first.rank:
            raise PlanInvalid(f"rank={rank}: adapters of one seed keep their rank {first.rank}")
        updates = [Update(tensors=_scaled_up(file, first.alpha / first.rank)) for file in files]
        factors = Factors(up=ffa_mean(updates, weights).tensors, down=files[0].factors.down)
        return AdapterFile(card=_merged_card(files), factors=factors)
    summed = sum(file.card.rank for file in files) if rank is None else rank
    if summed > _MAX_RANK:
        raise PlanInvalid(f"rank={summed}: must be at most {_MAX_RANK}; give a smaller rank")
    pairs = [Factors(up=_scaled_up(file, 1.0), down=file.factors.down) for file in files]
    card = replace(_merged_card(files), rank=summed, alpha=float(summed), seed=None)
    return AdapterFile(card=card, factors=product_mean(pairs, weights, summed))


def _inner_products(a: AdapterFile, b: AdapterFile, name: str) -> tuple[float, float, float, float]:
    """Of one layer: squared norms of a, of b and of a - b, and the inner product of a and b."""
    scale_a, scale_b = (file.card.alpha / file.card.rank for file in (a, b))
    up, down = stack_factors([a.factors, b.factors], [scale_a, scale_b], name)
    up_core, down_core = np.linalg.qr(up).R, np.linalg.qr(down.T).R
    split = a.card.rank
    core_a = up_core[:, :split] @ down_core[:, :split].T
    core_b = up_core[:, split:] @ down_core[:, split:].T
    return (
        float(np.square(core_a).sum()),
        float(np.square(core_b).sum()),
        float(np.square(core_a - core_b).sum()),
        float((core_a * core_b).sum()),
    )


def _difference(name: str, a: float, b: float, apart: float, inner: float) -> LayerDifference:
    larger = math.sqrt(max(a, b))
    return LayerDifference(
        name=name,
        norm_a=math.sqrt(a),
        norm_b=math.sqrt(b),
        relative=math.sqrt(apart) / larger if larger else 0.0,
        cosine=max(-1.0, min(1.0, inner / math.sqrt(a) / math.sqrt(b))) if a and b else None,
    )


def _scaled_up(file: AdapterFile, over: float) -> Tensors:
    """B as it would be at the scale `over`: the product with A stays what it adds to the layer."""
    share = np.float32(file.card.alpha / file.card.rank / over)
    return {name: up * share for name, up in file.factors.up.items()}


def _check_same_base(one: AdapterCard, other: AdapterCard) -> None:
    if (one.preset, one.base_fingerprint) != (other.preset, other.base_fingerprint):
        raise AdapterMismatch(
            f"bases {one.preset} {one.base_fingerprint[:12]}... and {other.preset}"
            f" {other.base_fingerprint[:12]}...: merge adapters of one base"
        )


def _merged_card(files: Sequence[AdapterFile]) -> AdapterCard:
    cards = [file.card for file in files]
    epsilon, delta = _composed(cards)
    alike = all(card.sampler == cards[0].sampler for card in cards)
    return replace(
        cards[0],
        stage=cards[0].stage if len({card.stage for card in cards}) == 1 else "merged",
        round=max(card.round for card in cards),
        contributors=tuple(sorted({name for card in cards for name in card.contributors})),
        epsilon=epsilon,
        delta=delta,
        sampler=cards[0].sampler if alike else {},
        code_version=importlib.metadata.version("ophora-federated"),
    )


def _composed(cards: Sequence[AdapterCard]) -> tuple[float | None, float | None]:
    epsilons = [card.epsilon for card in cards if card.epsilon is not None]
    deltas = [card.delta for card in cards if card.delta is not None]
    if len(epsilons) < len(cards) or sum(deltas) > 1:
        return None, None
    return math.fsum(epsilons), math.fsum(deltas)
