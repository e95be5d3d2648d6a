"""Stacking: tensors of a second adapter on a frozen first one, as columns of one adapter.

    B of the first [out, r] -> B [out, r + s], the new columns zero -> only the new ones are trained

What is sent to sites and released has all the columns, so that one file holds both adapters and any
reader of adapter files gives the same result. An update has the trained ones alone: the others
can't be moved by it, noised under a secure sum, or paid for. numpy alone: the coordinator uses it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.errors import AdapterMismatch
from ophora_model.update import Shapes, Tensors


def stacked_shapes(shapes: Shapes, spec: AdapterSpec) -> dict[str, tuple[int, ...]]:
    """The shapes of `spec` on the layers of another spec's `shapes`."""
    return {name: (shape[0], spec.rank) for name, shape in shapes.items()}


def widened(tensors: Tensors, spec: AdapterSpec) -> dict[str, NDArray[np.float32]]:
    """B factors with columns of zeros up to the rank of `spec`: what a stacked stage starts from.

    Tensors of that rank are returned as they are. Raises `AdapterMismatch` for a rank that is
    neither the spec's nor that of its frozen part.
    """
    wide = {}
    for name, value in tensors.items():
        columns = value.shape[1]
        if columns not in (spec.rank, spec.frozen_rank):
            raise AdapterMismatch(
                f"adapter tensor {name}: rank {columns}; must be {spec.rank}, or"
                f" {spec.frozen_rank} to be stacked on"
            )
        missing = spec.rank - columns
        wide[name] = np.pad(value, ((0, 0), (0, missing))) if missing else value
    return wide


def trained_shapes(shapes: Shapes, spec: AdapterSpec) -> dict[str, tuple[int, ...]]:
    """The shapes of an update of `spec`: its frozen columns are no part of it."""
    return {name: (shape[0], spec.trained_rank) for name, shape in shapes.items()}


def trained_columns(tensors: Tensors, spec: AdapterSpec) -> dict[str, NDArray[np.float32]]:
    """What is trained of B factors of the rank of `spec`: the columns after the frozen ones."""
    frozen = spec.frozen_rank
    return {name: np.ascontiguousarray(value[:, frozen:]) for name, value in tensors.items()}


def whole_columns(update: Tensors, spec: AdapterSpec) -> dict[str, NDArray[np.float32]]:
    """An update of `trained_shapes` with zeros for the frozen columns, to be added to B.

    Where no column is frozen it is returned as it is.
    """
    frozen = spec.frozen_rank
    if not frozen:
        return dict(update)
    return {name: np.pad(value, ((0, 0), (frozen, 0))) for name, value in update.items()}
