"""The state of a training run: factors, optimizer moments, moving average; one file a checkpoint.

All draws of a run are keyed by seed, step and place (training.py), so no state of a random number
generator is needed to go on exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ophora_model.draft import draft_of
from ophora_model.errors import AdapterMismatch

_KEPT = 2  # checkpoints; the one before the last survives a damaged disk block
_PARTS = ("factor", "exp_avg", "exp_avg_sq", "average")


@dataclass(slots=True)
class TrainingState:
    """What changes while training, by tensor name; on the device of the factors."""

    factors: dict[str, Tensor]
    optimizer: torch.optim.AdamW
    average: dict[str, Tensor] = field(default_factory=dict)  # empty: none is kept
    step: int = 0

    def write(self, folder: Path, plan_hash: str) -> Path:
        """`folder/step-000123.safetensors`, whole or not at all; older ones but one are dropped.

        Raises `OSError` where the disk is full; the checkpoints before stay as they were.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"step-{self.step:08d}.safetensors"
        about = {"step": str(self.step), "plan": plan_hash, "format": "ophora-training-1"}
        with draft_of(path) as part:
            save_file(dict(self._tensors()), part, metadata=about)
            part.chmod(0o600)
        for old in checkpoints(folder)[:-_KEPT]:
            old.unlink()
        return path

    def read(self, path: Path, plan_hash: str) -> None:
        """Continue from a checkpoint. Raises `AdapterMismatch`, and changes nothing then."""
        step, tensors = _load(path, plan_hash)
        wanted = {name: value.shape for name, value in self._tensors(fresh=True)}
        found = {name: value.shape for name, value in tensors.items()}
        if found != wanted:
            number = len(found.items() ^ wanted.items())
            raise AdapterMismatch(
                f"{path.name}: {number} tensors differ from this adapter's; train it from the start"
            )
        self.step = step
        with torch.no_grad():
            for name, factor in self.factors.items():
                factor.copy_(tensors[f"factor/{name}"])
                self.optimizer.state[factor] = {
                    "step": torch.tensor(float(step)),
                    "exp_avg": tensors[f"exp_avg/{name}"].to(factor.device),
                    "exp_avg_sq": tensors[f"exp_avg_sq/{name}"].to(factor.device),
                }
            for name, value in self.average.items():
                value.copy_(tensors[f"average/{name}"])

    def _tensors(self, *, fresh: bool = False) -> Sequence[tuple[str, Tensor]]:
        """Every tensor with its name in the file; `fresh`: shapes before a first step."""
        rows: list[tuple[str, Tensor]] = []
        for name, factor in self.factors.items():
            moments: Mapping[str, Tensor] = self.optimizer.state.get(factor, {})
            rows.append((f"factor/{name}", factor.detach()))
            for part in ("exp_avg", "exp_avg_sq"):
                rows.append((f"{part}/{name}", factor.detach() if fresh else moments[part]))
        rows += [(f"average/{name}", value) for name, value in self.average.items()]
        return [(name, value.cpu().contiguous()) for name, value in rows]


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def _load(path: Path, plan_hash: str) -> tuple[int, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        step = int(about["step"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise AdapterMismatch(
            f"{path.name}: not a checkpoint of training ({type(error).__name__}); delete it, the"
            " one before it is used then"
        ) from error
    if about.get("plan") != plan_hash:
        raise AdapterMismatch(
            f"{path.name}: belongs to another plan, adapter or set of clips; give another folder"
        )
    if any(name.partition("/")[0] not in _PARTS for name in tensors):
        raise AdapterMismatch(f"{path.name}: holds tensors of no known part; delete it")
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise AdapterMismatch(f"{path.name}: not finite; delete it, the one before it is used then")
    return step, tensors
