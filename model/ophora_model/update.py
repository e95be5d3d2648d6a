"""Updates as an algebra: named float32 tensors that add, scale and have a norm.

An update is what one site's tuning adds to the adapter in one round. With FFA-LoRA (A frozen and
shared) it is linear in the weights' change, so sums and means of updates are exact.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophora_model.errors import AdapterMismatch
from ophora_model.strict import check_number

Tensors = Mapping[str, NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Named float32 tensors. `+` and `-` need the same names and shapes, float32 and finite."""

    tensors: Tensors

    def __add__(self, other: Update) -> Update:
        self.check(other.shapes())
        other.check(self.shapes())
        return Update(tensors={k: v + other.tensors[k] for k, v in self.tensors.items()})

    def __sub__(self, other: Update) -> Update:
        return self + other.scaled(-1.0)

    def scaled(self, weight: float) -> Update:
        """Every tensor times `weight`. Raises `PlanInvalid` unless it is a finite float32."""
        check_number("weight", weight, low=-_LARGEST, high=_LARGEST)
        factor = np.float32(weight)
        return Update(tensors={k: v * factor for k, v in self.tensors.items()})

    def l2_norm(self) -> float:
        """Euclidean norm over all tensors together."""
        squares = (float(np.square(v, dtype=np.float64).sum()) for v in self.tensors.values())
        return math.sqrt(sum(squares))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to shape."""
        return {name: tuple(value.shape) for name, value in self.tensors.items()}

    def num_bytes(self) -> int:
        """Size of the tensors in memory and on the wire, without names."""
        return sum(value.nbytes for value in self.tensors.values())

    def check(self, shapes: Shapes) -> None:
        """Raises `AdapterMismatch` unless names, shapes, float32 and finiteness all hold."""
        check_tensors(self.tensors, shapes)


def check_tensors(tensors: Tensors, shapes: Shapes) -> None:
    """Raises `AdapterMismatch` unless `tensors` are exactly those announced, float32 and finite."""
    surplus, missing = sorted(set(tensors) - set(shapes)), sorted(set(shapes) - set(tensors))
    if surplus or missing:
        raise AdapterMismatch(
            f"adapter tensors: {len(surplus)} not announced, {len(missing)} missing"
            f" ({', '.join((surplus + missing)[:3])}); send exactly the announced names"
        )
    for name, value in tensors.items():
        if value.dtype != np.float32 or tuple(value.shape) != tuple(shapes[name]):
            raise AdapterMismatch(
                f"adapter tensor {name}: {value.dtype} {tuple(value.shape)};"
                f" must be float32 {tuple(shapes[name])}"
            )
        if not np.isfinite(value).all():
            raise AdapterMismatch(f"adapter tensor {name}: not finite; discard this update")


def tensors_digest(tensors: Tensors) -> str:
    """SHA-256 of names, types, shapes and values, in the order of the names, without a copy."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()
