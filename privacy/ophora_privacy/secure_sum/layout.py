"""The announced names and shapes of a round's tensors, and the flat vector made from them.

Data path: dict of float32 arrays <-> one float32 vector, in sorted order of names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ophora_privacy.errors import InputRefused, InvalidPlan

Flat = npt.NDArray[np.float32]

_MAX_VALUES = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Tensor names in sorted order, each with its shape. Raises InvalidPlan."""

    tensors: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.tensors]
        if not names or names != sorted(set(names)):
            raise InvalidPlan(f"layout of {len(names)} tensors: must be sorted, unique, not empty")
        sizes = [size for _, shape in self.tensors for size in shape]
        if any(type(size) is not int or size < 1 for size in sizes) or self.size >= _MAX_VALUES:
            raise InvalidPlan(f"layout of {self.size} values: must have sizes >= 1, < 2^31 in all")

    @classmethod
    def of(cls, values: Mapping[str, npt.NDArray[np.float32]]) -> Layout:
        """The layout that `values` have."""
        return cls(tensors=tuple((name, values[name].shape) for name in sorted(values)))

    @property
    def size(self) -> int:
        """How many values there are in all."""
        return sum(math.prod(shape) for _, shape in self.tensors)

    def flatten(self, values: Mapping[str, npt.NDArray[np.float32]]) -> Flat:
        """One float32 vector. Raises InputRefused on a name, shape, type, NaN or infinity."""
        if sorted(values) != [name for name, _ in self.tensors]:
            raise InputRefused(f"{len(values)} tensors: must be the {len(self.tensors)} announced")
        for place, (name, shape) in enumerate(self.tensors):
            if values[name].dtype != np.float32 or values[name].shape != shape:
                raise InputRefused(f"tensor {place}: must be float32 of the announced shape")
        flat = np.concatenate([values[name].ravel() for name, _ in self.tensors])
        if not np.isfinite(flat).all():
            raise InputRefused("values with NaN or infinity: must be finite; stop the round")
        return flat

    def unflatten(self, flat: Flat) -> dict[str, npt.NDArray[np.float32]]:
        """The inverse of `flatten`; the arrays are views of `flat`."""
        if flat.shape != (self.size,):
            raise InputRefused(f"{flat.size} values: must be {self.size}, as announced")
        values, start = {}, 0
        for name, shape in self.tensors:
            stop = start + math.prod(shape)
            values[name], start = flat[start:stop].reshape(shape), stop
        return values
