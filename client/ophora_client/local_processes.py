"""The processes of a trial run, and where its losses are kept: all of it inside the site's folder.

A launcher (`torchrun`, `accelerate launch`) starts the processes; here they find one another, take
their devices, share the base and stop at the same step. A tracker writes to a folder of the run,
never to a server.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ophora_client.errors import SiteInvalid

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ophora_model.base import Base

Tracker = Literal["none", "tensorboard", "mlflow"]
TRACKERS: tuple[Tracker, ...] = ("none", "tensorboard", "mlflow")
_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow-skinny"}
_PATIENCE = timedelta(days=7)  # for the first process, which fills the cache and makes videos


def open_accelerator(track: Tracker, folder: Path, name: str) -> Accelerator:
    """Processes, devices and tracker as the launcher or this machine has them.

    Raises `SiteInvalid` where the tracker is not installed.
    """
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    waits = InitProcessGroupKwargs(timeout=_PATIENCE)
    if track == "none":
        return Accelerator(kwargs_handlers=[waits])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        if track == "mlflow":
            _keep_mlflow_in(folder)
        made = Accelerator(log_with=track, project_dir=str(folder), kwargs_handlers=[waits])
        files = {"mlflow": {"logging_dir": folder.resolve().as_uri()}}
        made.init_trackers(name, init_kwargs=files)
    except (ImportError, ValueError) as error:
        raise SiteInvalid(
            f"--track {track}: {type(error).__name__} when it was opened; is it installed?"
            f" pip install {_PACKAGES[track]}"
        ) from error
    return made


def shard(base: Base, accelerator: Accelerator) -> None:
    """Spreads the base over the processes and their devices; load its denoiser on the CPU.

    Raises `SiteInvalid` where there is but one process.
    """
    from torch.distributed.device_mesh import init_device_mesh

    from ophora_model.sharding import shard_base

    if accelerator.num_processes < 2:
        raise SiteInvalid(
            "--shard: one process has nothing to share; start several with"
            " `torchrun --nproc-per-node N -m -- ophora_deploy.cli site tune ...`"
        )
    assert base.transformer is not None
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    shard_base(base.transformer, mesh=mesh)


def agreed(
    accelerator: Accelerator, cancelled: Callable[[], bool] | None
) -> Callable[[], bool] | None:
    """Whether any process is to stop: all have to, at the same step."""
    if cancelled is None or accelerator.num_processes < 2:
        return cancelled
    import torch

    def any_cancelled() -> bool:
        mine = torch.tensor(float(cancelled()), device=accelerator.device)
        return bool(accelerator.reduce(mine, reduction="sum"))

    return any_cancelled


def _keep_mlflow_in(folder: Path) -> None:
    """A database in this folder, whatever server the environment names, and no usage reports."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    import_module("mlflow").set_tracking_uri(f"sqlite:///{folder.resolve() / 'mlflow.db'}")
