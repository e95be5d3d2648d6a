"""A run that is stopped after every single step, against one that never was."""

from pathlib import Path

import numpy as np

from goals import Goal, share
from ophora_model.errors import Cancelled
from ophora_model.training import Checkpointing, train
from tuning_parts.material import adapter_on, cached, films, fresh_base, plan


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Stops at each of its steps; the adapters must be the same bit for bit."""
    steps = 3 if quick else 10
    base = fresh_base()
    clips = cached(base, films(folder / "clips", number=6, seed=seed))
    whole = train(base, adapter_on(base), clips, plan(steps=steps)).tensors
    same = sum(
        _equal(whole, _stopped(folder / f"stop{stop}", clips, steps, stop))
        for stop in range(1, steps)
    )
    return [share("runs stopped and continued that are bit for bit the same", same, steps - 1)]


def _stopped(folder: Path, clips: list, steps: int, stop: int) -> dict:
    saved = Checkpointing(folder=folder, every=1)
    met: list[int] = []
    for cancelled in (lambda: len(met) == stop, None):
        base = fresh_base()
        try:
            result = train(
                base,
                adapter_on(base),
                clips,
                plan(steps=steps),
                checkpointing=saved,
                on_step=lambda report: met.append(report.step),
                cancelled=cancelled,
            )
        except Cancelled:
            continue
    return dict(result.tensors)


def _equal(one: dict, other: dict) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)
