"""Checkpoints: after every round one folder, complete or absent, that the next start resumes from.

    round-0003/adapter.safetensors   the trained factors after the round
    round-0003/state.json            round, stage, what the run was, SHA-256 of the tensors

A folder is written under another name, synced and renamed. What is torn all the same (a disk that
lied, a copy that stopped) fails its hash and is passed over for the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ophora_model.draft import sync, write_whole
from ophora_model.errors import AdapterMismatch
from ophora_model.update import Shapes, Tensors, check_tensors
from ophora_server.errors import InvalidFederation

_TENSORS, _STATE = "adapter.safetensors", "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The adapter after `round` (counted over all stages; 0 is the untrained one)."""

    round: int
    stage: str
    identity: str
    tensors: Tensors
    history: tuple[Mapping[str, Any], ...] = ()


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `folder`/round-NNNN; it is there in full or not at all."""
    final = folder / f"round-{checkpoint.round:04d}"
    part = folder / f".{final.name}.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors: dict[str, NDArray[np.float32]] = {
        name: np.ascontiguousarray(value) for name, value in sorted(checkpoint.tensors.items())
    }
    payload = save(tensors)
    state = {
        "round": checkpoint.round,
        "stage": checkpoint.stage,
        "identity": checkpoint.identity,
        "history": list(checkpoint.history),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    write_whole(part / _TENSORS, payload)
    write_whole(part / _STATE, json.dumps(state, sort_keys=True, allow_nan=False).encode())
    if final.exists():  # a torn one of a start before this: it was passed over
        shutil.rmtree(final)
    part.rename(final)
    sync(folder)
    return final


def last_checkpoint(folder: Path, *, shapes: Shapes, identity: str) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None.

    Raises InvalidFederation when it is of another run: starting over would write over it, and would
    spend the sites' budgets a second time.
    """
    for path in sorted(folder.glob("round-*"), key=lambda path: (len(path.name), path.name))[::-1]:
        checkpoint = _read(path)
        if checkpoint is None:
            continue
        if checkpoint.identity != identity:
            raise InvalidFederation(
                f"{path}: made with another run_id, preset, base or adapter;"
                " put them back, or name another folder"
            )
        try:
            check_tensors(checkpoint.tensors, shapes)
        except AdapterMismatch:
            continue
        return checkpoint
    return None


def _read(path: Path) -> Checkpoint | None:
    try:
        state = json.loads((path / _STATE).read_bytes())
        payload = (path / _TENSORS).read_bytes()
        if hashlib.sha256(payload).hexdigest() != state["sha256"]:
            return None
        tensors = load(payload)
        return Checkpoint(
            round=state["round"],
            stage=state["stage"],
            identity=state["identity"],
            tensors=tensors,
            history=tuple(state["history"]),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
