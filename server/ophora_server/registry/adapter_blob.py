"""An adapter as the bytes that are kept: safetensors in one order, so that equal is equal bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ophora_model.errors import PlanInvalid
from ophora_model.update import Tensors
from ophora_server.evidence import hash_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterBlob:
    """Serialized tensors; `of` makes it, `read` takes bytes. Also fits a server optimizer's state.

    Raises `PlanInvalid` on bytes that are not safetensors.
    """

    payload: bytes
    shapes_digest: str

    @classmethod
    def of(cls, tensors: Tensors) -> AdapterBlob:
        """From float32 tensors by name."""
        ordered = {name: np.ascontiguousarray(value) for name, value in sorted(tensors.items())}
        return cls(payload=save(ordered), shapes_digest=_shapes_digest(ordered))

    @classmethod
    def read(cls, payload: bytes) -> AdapterBlob:
        """From what `payload` held before."""
        return cls(payload=payload, shapes_digest=_shapes_digest(_load(payload)))

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.payload).hexdigest()

    def tensors(self) -> Tensors:
        """By name."""
        return _load(self.payload)


def _load(payload: bytes) -> Tensors:
    try:
        return load(payload)
    except (SafetensorError, ValueError) as error:
        raise PlanInvalid(f"adapter=({len(payload)} bytes): must be safetensors") from error


def _shapes_digest(tensors: Tensors) -> str:
    """Of names, types and shapes."""
    return hash_of({name: [str(value.dtype), list(value.shape)] for name, value in tensors.items()})
