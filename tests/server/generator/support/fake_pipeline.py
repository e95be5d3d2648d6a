"""A pipeline that needs no weights: real MP4 files, and faults on demand by the prompt's words."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ophora_model.errors import PlanInvalid
from ophora_model.video import write_video
from ophora_server.generator.order import Offer, VideoOrder

OFFER = Offer(
    model="ophora-fake",
    size="96x64",
    seconds="4",
    fps=2.0,
    frames=9,
    default_steps=4,
    default_guidance=3.0,
)
SLOW_STEP_S = 0.3


class FakePipeline:
    """Draws a moving bar. `slow`, `killed once`, `killed always`, `broken` and `refused` do so."""

    def render(
        self,
        order: VideoOrder,
        path: Path,
        *,
        on_step: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Mapping[str, object]:
        runs = path.parent.parent / "runs.txt"
        with runs.open("a") as file:
            file.write("run\n")
        if "broken" in order.prompt:
            raise RuntimeError(f"device error at {order.prompt}")
        if "refused" in order.prompt:
            raise PlanInvalid("steps=0: must be > 0")
        if "killed always" in order.prompt or (
            "killed once" in order.prompt and len(runs.read_text().splitlines()) == 1
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        for step in range(order.steps):
            if "slow" in order.prompt:
                time.sleep(SLOW_STEP_S)
            if cancelled():
                return {}
            on_step(step + 1, order.steps)
        frames = np.full((9, 64, 96, 3), order.seed % 200, np.uint8)
        for index, frame in enumerate(frames):
            frame[:, 8 * index : 8 * index + 12] = (220, 120, 40)
        write_video(path, frames, OFFER.fps)
        return {"steps": order.steps, "seed": order.seed}


def load_fake() -> FakePipeline:
    """Importable by a spawned worker."""
    return FakePipeline()


def fail_to_load() -> FakePipeline:
    """A release that can't be loaded."""
    raise SystemExit(1)
