"""Updates on the wire: float32, float16, or int8 with one scale a tensor, and error feedback.

    update + residual -> encode -> EncodedUpdate -> to_bytes ... from_bytes -> decode -> update

What rounding drops is the new residual, which the sender keeps and adds in the next round, so the
sum of what arrives stays within one quantisation step of the sum of what was meant (error feedback,
arXiv 1901.09847). Encode only what is clipped and noised already: then this is post-processing and
costs no privacy, and neither does the residual. The receiver's bound on the norm must leave room
for the residual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ophora_model.errors import AdapterMismatch
from ophora_model.strict import check_choice
from ophora_model.update import Shapes, Update

Kind = Literal["fp32", "fp16", "int8"]
KINDS: tuple[Kind, ...] = ("fp32", "fp16", "int8")
_DTYPES: Mapping[Kind, type[Any]] = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}
_SCALES = ":scales"  # no module is named so
_INT8_MAX = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedUpdate:
    """Tensors in the type of `kind`; for int8 one float32 scale each, in the order of names."""

    kind: Kind
    tensors: Mapping[str, NDArray[Any]]
    scales: NDArray[np.float32]

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        for name, value in self.tensors.items():
            if value.dtype != _DTYPES[self.kind]:
                raise AdapterMismatch(
                    f"encoded tensor {name}: {value.dtype}, kind is {self.kind}; encode it again"
                )
        wanted = (len(self.tensors) if self.kind == "int8" else 0,)
        if self.scales.dtype != np.float32 or self.scales.shape != wanted:
            raise AdapterMismatch(
                f"scales: {self.scales.dtype} {list(self.scales.shape)};"
                f" must be float32 {list(wanted)} for kind {self.kind}"
            )
        if not np.isfinite(self.scales).all() or (self.scales < 0).any():
            raise AdapterMismatch("scales: must be finite and >= 0; discard this update")

    def num_bytes(self) -> int:
        """Size of tensors and scales, without names."""
        return sum(value.nbytes for value in self.tensors.values()) + self.scales.nbytes

    def to_bytes(self) -> bytes:
        """A safetensors payload; the type of its tensors tells the kind."""
        from safetensors.numpy import save

        named = {name: np.ascontiguousarray(value) for name, value in self.tensors.items()}
        return bytes(save({**named, _SCALES: self.scales} if self.kind == "int8" else named))

    @classmethod
    def from_bytes(cls, payload: bytes) -> EncodedUpdate:
        """The reverse of `to_bytes`. Raises `AdapterMismatch` on anything else."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(payload)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise AdapterMismatch(
                "encoded update: no safetensors payload; send it again"
            ) from error
        scales = tensors.pop(_SCALES, np.zeros(0, np.float32))
        found = {value.dtype for value in tensors.values()}
        for kind in KINDS:
            if found == {np.dtype(_DTYPES[kind])}:
                return cls(kind=kind, tensors=tensors, scales=scales)
        named = ", ".join(sorted(map(str, found))) or "no tensor"
        raise AdapterMismatch(
            f"encoded update: holds {named}; must be all float32, all float16 or all int8"
        )


def encode(
    update: Update, kind: Kind, residual: Update | None = None
) -> tuple[EncodedUpdate, Update]:
    """The encoding of `update + residual`, and what it lost: the residual of the next round.

    Of each element int8 loses at most half a step, a step being a tensor's largest magnitude over
    127; float16 at most 2^-11 of it, or 2^-25; float32 nothing. Raises `AdapterMismatch` where the
    sum is not finite or has other names than the residual, and beyond 65504 for float16.
    """
    check_choice("kind", kind, KINDS)
    whole = update if residual is None else update + residual
    whole.check(whole.shapes())
    names = sorted(whole.tensors)
    scales = np.zeros(0, np.float32)
    tensors: dict[str, NDArray[Any]]
    if kind == "int8":
        scales = np.array([_scale(whole.tensors[name]) for name in names], np.float32)
        tensors = {
            name: _to_int8(whole.tensors[name], scale)
            for name, scale in zip(names, scales, strict=True)
        }
    elif kind == "fp16":
        tensors = {name: _to_fp16(name, whole.tensors[name]) for name in names}
    else:
        tensors = {name: whole.tensors[name] for name in names}
    encoded = EncodedUpdate(kind=kind, tensors=tensors, scales=scales)
    return encoded, whole - decode(encoded, whole.shapes())


def decode(encoded: EncodedUpdate, shapes: Shapes) -> Update:
    """The float32 update. Raises `AdapterMismatch` unless names and shapes are those announced."""
    tensors = {name: value.astype(np.float32) for name, value in encoded.tensors.items()}
    if encoded.kind == "int8":
        for name, scale in zip(sorted(tensors), encoded.scales, strict=True):
            with np.errstate(over="ignore"):  # a hostile scale: the check below refuses it
                tensors[name] = tensors[name] * scale
    update = Update(tensors=tensors)
    update.check(shapes)
    return update


def _scale(value: NDArray[np.float32]) -> np.float32:
    return np.float32(np.abs(value).max(initial=0) / np.float32(_INT8_MAX))


def _to_int8(value: NDArray[np.float32], scale: np.float32) -> NDArray[np.int8]:
    if scale == 0:  # nothing there, or too little for a float32 step: the residual keeps it
        return np.zeros(value.shape, np.int8)
    steps = np.clip(np.rint(value / scale), -_INT8_MAX, _INT8_MAX)
    return np.asarray(steps, np.int8)


def _to_fp16(name: str, value: NDArray[np.float32]) -> NDArray[np.float16]:
    largest, limit = float(np.abs(value).max(initial=0)), float(np.finfo(np.float16).max)
    if largest > limit:
        raise AdapterMismatch(
            f"adapter tensor {name}: magnitude {largest:.4g} overflows float16 (at most"
            f" {limit:g}); send it as fp32 or int8"
        )
    return value.astype(np.float16)
